//! `meeting-repair-v1`: one question, and one repair round when its answer is bad. [`Ready::judge_or_repair`] does all of
//! that; the guest adds its prompt and its schema.

use assay_guest::{Answer, InitError, Prompt, Ready, ReportGuest, Schema, Step, Template, Transcript};

pub struct Meeting {
    system: Template,
    user: Template,
}

impl ReportGuest for Meeting {
    const PROMPT_VERSION: &'static str = "meeting-repair-v1";
    const SCHEMA_VERSION: &'static str = "report.v1";
    const DESCRIPTION: &'static str = "Meeting report; an answer that cannot be used is repaired once.";
    const SCHEMA: &'static str = include_str!("../../../schemas/report.v1.json");

    fn initialize() -> Result<Self, InitError> {
        Ok(Self {
            system: Template::parse(include_str!("system.md"))?,
            user: Template::parse(include_str!("user.md"))?,
        })
    }

    fn prompt(&self, transcript: &Transcript, schema: &Schema) -> Prompt {
        Prompt::structured(self.system.render(transcript, schema), self.user.render(transcript, schema), schema)
    }

    fn advance(ready: &Ready<Self>, transcript: &Transcript, answers: &[Answer]) -> Step {
        ready.judge_or_repair(transcript, || ready.guest().prompt(transcript, ready.schema()), answers)
    }
}

assay_guest::export_guest!(Meeting);

#[cfg(test)]
mod tests;
