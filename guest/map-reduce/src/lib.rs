//! `minutes-map-reduce-v1`: minutes of a transcript that is longer than a model's window.
//!
//! A transcript of up to 15,000 bytes is one question. A longer one is split into parts of that size. The first round asks
//! for notes on all parts at once. The second round asks for the report, with the notes instead of the transcript. A bad
//! report is repaired once, because the answers about the parts are already paid for.
//!
//! | transcript | parts | questions |
//! |---|---|---|
//! | up to 15,000 bytes | 1 | 1, and 1 for the repair |
//! | up to 399,990 bytes | up to 30, of up to 15,000 bytes | 1 for each part, 1 for the report, and 1 for its repair |
//! | up to 6,399,990 bytes | 30, of up to 240,000 bytes | the same |
//! | more | | none: `unsupported` |
//!
//! Bad notes on a part end the job as `invalid`, with the part's number. The next question depends only on the transcript
//! and the number of answers, so a replay asks the same questions.

mod notes;
mod parts;

use assay_guest::{
    Answer, Finding, InitError, Prompt, Ready, Rejection, ReportGuest, Schema, Step, Template, Transcript, fence,
    json::{self, NotJson},
};
use serde_json::Value;

pub struct Minutes {
    whole: PromptTemplates,
    part: PromptTemplates,
    part_schema: Schema,
    join: PromptTemplates,
}

struct PromptTemplates {
    system: Template,
    user: Template,
}

impl PromptTemplates {
    fn parse(system: &str, user: &str) -> Result<Self, InitError> {
        Ok(Self { system: Template::parse(system)?, user: Template::parse(user)? })
    }
}

impl ReportGuest for Minutes {
    const PROMPT_VERSION: &'static str = "minutes-map-reduce-v1";
    const SCHEMA_VERSION: &'static str = "report.v1";
    const DESCRIPTION: &'static str = "Meeting report of a transcript of any usual length, read in parts.";
    const SCHEMA: &'static str = include_str!("../../../schemas/report.v1.json");

    fn initialize() -> Result<Self, InitError> {
        Ok(Self {
            whole: PromptTemplates::parse(include_str!("whole_system.md"), include_str!("whole_user.md"))?,
            part: PromptTemplates::parse(include_str!("part_system.md"), include_str!("part_user.md"))?,
            part_schema: Schema::compile(include_str!("part.json"))?,
            join: PromptTemplates::parse(include_str!("join_system.md"), include_str!("join_user.md"))?,
        })
    }

    fn prompt(&self, transcript: &Transcript, schema: &Schema) -> Prompt {
        let PromptTemplates { system, user } = &self.whole;
        Prompt::structured(system.render(transcript, schema), user.render(transcript, schema), schema)
    }

    fn decode(&self, text: &str) -> Result<Value, NotJson> {
        json::parse_fenced(text)
    }

    fn advance(ready: &Ready<Self>, transcript: &Transcript, answers: &[Answer]) -> Step {
        let (guest, schema) = (ready.guest(), ready.schema());
        let parts = match parts::split(&transcript.text, &transcript.media_type) {
            Ok(parts) => parts,
            Err(too_long) => return Step::Reject(Rejection::Unsupported(too_long.to_string())),
        };
        let count = parts.len();
        if count == 1 {
            return ready.judge_or_repair(transcript, || guest.prompt(transcript, schema), answers);
        }
        let Some((part_answers, report_answers)) = answers.split_at_checked(count) else {
            let unasked = (1..).zip(parts).skip(answers.len());
            let prompts = unasked.map(|(number, text)| guest.part_prompt(transcript, text, number, count));
            return Step::Ask(prompts.collect());
        };
        let notes = match notes::join(part_answers, &guest.part_schema) {
            Ok(notes) => notes,
            Err(rejection) => return Step::Reject(rejection),
        };
        match ready.judge_or_repair(transcript, || guest.join_prompt(transcript, schema, &notes), report_answers) {
            Step::Accept(mut report) => {
                report.notes.insert(0, read_in_parts_note(count));
                Step::Accept(report)
            }
            step => step,
        }
    }
}

impl Minutes {
    fn part_prompt(&self, transcript: &Transcript, text: &str, number: usize, count: usize) -> Prompt {
        let PromptTemplates { system, user } = &self.part;
        let part = Transcript {
            id: transcript.id.clone(),
            text: text.to_owned(),
            media_type: transcript.media_type.clone(),
            filename: transcript.filename.clone(),
            received_at: transcript.received_at.clone(),
            // The report needs the attributes, the parts do not.
            attributes: Vec::new(),
        };
        let schema = &self.part_schema;
        let user = format!("This is part {number} of {count}.\n{}", user.render(&part, schema));
        Prompt::structured(system.render(&part, schema), user, schema)
    }

    /// Asks for the report, with the notes instead of the transcript.
    fn join_prompt(&self, transcript: &Transcript, schema: &Schema, notes: &str) -> Prompt {
        let PromptTemplates { system, user } = &self.join;
        let user = format!(
            "{}\n{}\n\nWrite the report as one JSON object.\n",
            user.render(transcript, schema),
            fence("notes", notes)
        );
        Prompt::structured(system.render(transcript, schema), user, schema)
    }
}

fn read_in_parts_note(count: usize) -> Finding {
    Finding {
        code: "read-in-parts".to_owned(),
        pointer: String::new(),
        message: format!("the transcript was read in {count} parts; the report is made of the notes on them"),
    }
}

assay_guest::export_guest!(Minutes);

#[cfg(test)]
mod tests;
