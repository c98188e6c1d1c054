//! `__name__`: a prompt, a schema, and the code that corrects the answer.

use assay_guest::{InitError, Notes, Prompt, Rejection, ReportGuest, Schema, Template, Transcript};
use serde_json::Value;

/// The guest; it holds the parsed prompt.
pub struct Minutes {
    system: Template,
    user: Template,
}

impl ReportGuest for Minutes {
    const PROMPT_VERSION: &'static str = "__name__";
    const SCHEMA_VERSION: &'static str = "__schema_version__";
    const DESCRIPTION: &'static str = "Minutes of a conversation: title, summary, decisions.";
    const SCHEMA: &'static str = include_str!("../schema.json");

    /// Runs once, when the guest is built; the result becomes part of the component.
    fn initialize() -> Result<Self, InitError> {
        Ok(Self {
            system: Template::parse(include_str!("system.md").trim_end())?,
            user: Template::parse(include_str!("user.md").trim_end())?,
        })
    }

    fn prompt(&self, transcript: &Transcript, schema: &Schema) -> Prompt {
        Prompt::structured(self.system.render(transcript, schema), self.user.render(transcript, schema), schema)
    }

    /// Changes the answer before the schema is checked, so the answer may hold anything.
    fn postprocess(&self, mut document: Value, _: &Transcript, notes: &mut Notes) -> Result<Value, Rejection> {
        if let Some(Value::Array(decisions)) = document.get_mut("decisions") {
            let before = decisions.len();
            let mut seen = Vec::new();
            decisions.retain(|decision| {
                let new = !seen.contains(decision);
                seen.push(decision.clone());
                new
            });
            if decisions.len() < before {
                notes.add("repeated", "/decisions", "a decision was there twice");
            }
        }
        Ok(document)
    }
}

assay_guest::export_guest!(Minutes);

#[cfg(test)]
mod tests {
    use assay_guest::{Answer, Component, Ready, Step, Transcript};

    use super::Minutes;

    #[test]
    fn a_repeated_decision_is_kept_once() {
        let transcript = Transcript {
            id: "1".into(),
            text: "Anna: Thursday it is. Thursday it is.".into(),
            media_type: "text/plain".into(),
            filename: "call.txt".into(),
            received_at: "2026-01-05T09:00:00Z".into(),
            attributes: vec![],
        };
        let text = r#"{"title": "t", "summary": "s", "decisions": ["Thursday.", "Thursday."]}"#;
        let answer = Answer { text: text.into(), model: "m".into() };
        let guest = Ready::<Minutes>::initialize().expect("initializes");
        let Step::Accept(report) = guest.advance(&transcript, &[answer]) else { panic!("it must accept") };
        assert!(report.document.contains(r#""decisions":["Thursday."]"#));
        assert_eq!(report.notes[0].code, "repeated");
    }
}
