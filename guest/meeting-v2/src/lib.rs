//! `meeting-v2`: the guest checks and arranges what the model wrote. Quotes must occur in the transcript, days become dates,
//! and lists lose their repetitions. The summary line is derived from the overview.

mod due_date;
mod next_steps;
mod quote_mark;
mod quotes;
mod spoken_text;
mod summary;
mod tidy;
mod vtt;

use assay_guest::{
    InitError, Notes, Prompt, Rejection, ReportGuest, Schema, Template, Transcript,
    json::{self, NotJson},
};
use serde_json::{Value, json};

pub struct Meeting {
    system: Template,
    user: Template,
}

impl ReportGuest for Meeting {
    const PROMPT_VERSION: &'static str = "meeting-v2";
    const SCHEMA_VERSION: &'static str = "report.v2";
    const DESCRIPTION: &'static str =
        "Meeting report with decisions, open questions, participants, verified quotes and resolved dates.";
    const SCHEMA: &'static str = include_str!("../../../schemas/report.v2.json");

    fn initialize() -> Result<Self, InitError> {
        Ok(Self {
            system: Template::parse(include_str!("system.md"))?,
            user: Template::parse(include_str!("user.md"))?,
        })
    }

    fn answer_schema(derived: &mut Value) {
        if let Some(due) = derived.pointer_mut("/properties/next_steps/items/properties/due_date/description") {
            *due = json!(
                "The day as it was said (\"by Friday\", \"tomorrow\", \"5 March\") or as YYYY-MM-DD; null where no day was said."
            );
        }
    }

    fn prompt(&self, transcript: &Transcript, schema: &Schema) -> Prompt {
        Prompt::structured(self.system.render(transcript, schema), self.user.render(transcript, schema), schema)
    }

    fn decode(&self, text: &str) -> Result<Value, NotJson> {
        json::parse_fenced(text)
    }

    fn postprocess(&self, mut document: Value, transcript: &Transcript, notes: &mut Notes) -> Result<Value, Rejection> {
        let Some(report) = document.as_object_mut() else {
            return Ok(document);
        };
        for list in ["highlights", "decisions", "open_questions", "participants"] {
            if let Some(Value::Array(items)) = report.get_mut(list) {
                tidy::list(items);
            }
        }
        if let Some(Value::Array(names)) = report.get_mut("participants") {
            names.sort_by_cached_key(|name| name.as_str().map(str::to_lowercase));
        }
        if let Some(Value::String(overview)) = report.get_mut("overview") {
            *overview = tidy::text(overview);
            let line = summary::summary_line(overview);
            report.insert("summary".to_owned(), Value::String(line));
        }
        if let Some(Value::String(risk)) = report.get_mut("risk_level") {
            *risk = tidy::text(risk).to_lowercase();
        }
        if let Some(Value::Array(items)) = report.get_mut("next_steps") {
            next_steps::arrange(items, due_date::received_on(&transcript.received_at), notes);
        }
        if let Some(Value::Array(items)) = report.get_mut("quotes") {
            quotes::verify(items, transcript, notes);
        }
        Ok(document)
    }
}

assay_guest::export_guest!(Meeting);

#[cfg(test)]
mod tests;
