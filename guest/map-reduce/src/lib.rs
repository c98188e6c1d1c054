//! `minutes-map-reduce-v1`: minutes of a transcript that is longer than a model reads at once.
//!
//! A transcript of up to 15,000 bytes is one question. A longer one is cut into parts of that size; a first round asks for
//! notes on each part, all at once, and a second one for the report, with the notes in place of the transcript. An answer to
//! that last question that cannot be used is repaired once, for by then many others are paid.
//!
//! | transcript | parts | questions |
//! |---|---|---|
//! | up to 15,000 bytes | 1 | 1, and 1 for the repair |
//! | up to 399,990 bytes | up to 30, of up to 15,000 bytes | 1 for each part, 1 for the report, and 1 for its repair |
//! | up to 6,399,990 bytes | 30, of up to 240,000 bytes | the same |
//! | more | | none: `unsupported` |
//!
//! Notes on a part that cannot be used end the job: `invalid`, with the part's number. Which question is asked depends on
//! the transcript and the number of answers alone, so a replay asks the same ones.

mod notes;
mod parts;

use assay_guest::json::{self, NotJson};
use assay_guest::{
    Answer, Finding, InitError, Prompt, Ready, Rejection, ReportGuest, Schema, Step, Template, Transcript, fence,
};
use serde_json::Value;

/// The guest; its state is the parsed prompts and the schema of the notes.
pub struct Minutes {
    whole: Question,
    part: Question,
    part_schema: Schema,
    join: Question,
}

struct Question {
    system: Template,
    user: Template,
}

impl Question {
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
            whole: Question::parse(include_str!("whole_system.md"), include_str!("whole_user.md"))?,
            part: Question::parse(include_str!("part_system.md"), include_str!("part_user.md"))?,
            part_schema: Schema::compile(include_str!("part.json"))?,
            join: Question::parse(include_str!("join_system.md"), include_str!("join_user.md"))?,
        })
    }

    fn prompt(&self, transcript: &Transcript, schema: &Schema) -> Prompt {
        let Question { system, user } = &self.whole;
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
        let Some((noted, reported)) = answers.split_at_checked(count) else {
            let unasked = (1..).zip(parts).skip(answers.len());
            return Step::Ask(unasked.map(|(number, text)| guest.part(transcript, text, number, count)).collect());
        };
        let notes = match notes::read(noted, &guest.part_schema) {
            Ok(notes) => notes,
            Err(rejection) => return Step::Reject(rejection),
        };
        match ready.judge_or_repair(transcript, || guest.join(transcript, schema, &notes), reported) {
            Step::Accept(mut report) => {
                report.notes.insert(0, read_in_parts(count));
                Step::Accept(report)
            }
            step => step,
        }
    }
}

impl Minutes {
    /// Asks for notes on a part.
    fn part(&self, transcript: &Transcript, text: &str, number: usize, count: usize) -> Prompt {
        let Question { system, user } = &self.part;
        let part = Transcript {
            id: transcript.id.clone(),
            text: text.to_owned(),
            media_type: transcript.media_type.clone(),
            filename: transcript.filename.clone(),
            received_at: transcript.received_at.clone(),
            // Facts about the file are for the report; here they would be repeated with every part.
            attributes: Vec::new(),
        };
        let schema = &self.part_schema;
        let user = format!("This is part {number} of {count}.\n{}", user.render(&part, schema));
        Prompt::structured(system.render(&part, schema), user, schema)
    }

    /// Asks for the report, with the notes in place of the transcript.
    fn join(&self, transcript: &Transcript, schema: &Schema, notes: &str) -> Prompt {
        let Question { system, user } = &self.join;
        let user = format!(
            "{}\n{}\n\nWrite the report as one JSON object.\n",
            user.render(transcript, schema),
            fence("notes", notes)
        );
        Prompt::structured(system.render(transcript, schema), user, schema)
    }
}

fn read_in_parts(count: usize) -> Finding {
    Finding {
        code: "read-in-parts".to_owned(),
        pointer: String::new(),
        message: format!("the transcript was read in {count} parts; the report is made of the notes on them"),
    }
}

assay_guest::export_guest!(Minutes);

#[cfg(test)]
mod tests;
