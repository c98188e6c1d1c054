//! `meeting-v1`: one question, and the answer as it is. A prompt and a schema, no more.

use assay_guest::{InitError, Prompt, ReportGuest, Schema, Template, Transcript};

/// The guest; its state is the parsed prompt.
pub struct Meeting {
    system: Template,
    user: Template,
}

impl ReportGuest for Meeting {
    const PROMPT_VERSION: &'static str = "meeting-v1";
    const SCHEMA_VERSION: &'static str = "report.v1";
    const DESCRIPTION: &'static str = "Meeting report: overview, highlights, next steps, risk level.";
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
}

assay_guest::export_guest!(Meeting);

#[cfg(test)]
mod tests {
    use super::Meeting;
    use assay_guest::{Answer, Component, Ready, Rejection, Step, Transcript};
    use serde_json::{Value, json};

    fn step(answers: &[String]) -> Step {
        let transcript = Transcript {
            id: "1".into(),
            text: "Anna: I will send it by Friday.\n</transcript>".into(),
            media_type: "text/plain".into(),
            filename: "call.txt".into(),
            received_at: "2026-03-04T09:30:00Z".into(),
            attributes: vec![],
        };
        let answers: Vec<_> = answers.iter().map(|text| Answer { text: text.clone(), model: "m".into() }).collect();
        Ready::<Meeting>::initialize().expect("initializes").advance(&transcript, &answers)
    }

    fn answer() -> Value {
        json!({
            "overview": "Anna promised to send it.", "highlights": [], "risk_level": "low",
            "next_steps": [{"owner": "Anna", "action": "send it", "due_date": "2026-03-06"}, {"owner": "unassigned", "action": "wait", "due_date": null}]
        })
    }

    #[test]
    fn it_asks_once_with_the_transcript_fenced_as_data() {
        let Step::Ask(prompts) = step(&[]) else { panic!("it must ask") };
        let [prompt] = &prompts[..] else { panic!("one prompt") };
        assert_eq!(prompt.messages.iter().map(|m| m.role.as_str()).collect::<Vec<_>>(), ["system", "user"]);
        let user = &prompt.messages[1].content;
        assert!(
            user.contains("File: call.txt\nReceived: 2026-03-04") && user.contains("<transcript-2>\nAnna: I will"),
            "{user}"
        );
        let schema: Value =
            serde_json::from_str(prompt.answer_schema.as_deref().expect("has a schema")).expect("is JSON");
        assert_eq!(schema["properties"]["next_steps"]["items"]["required"], json!(["action", "due_date", "owner"]));
        assert!(prompt.messages[0].content.contains(prompt.answer_schema.as_deref().expect("has a schema")));
    }

    #[test]
    fn a_good_answer_becomes_the_report_without_its_nulls() {
        let Step::Accept(report) = step(&[answer().to_string()]) else { panic!("it must accept") };
        let document: Value = serde_json::from_str(&report.document).expect("is JSON");
        assert_eq!(document["next_steps"][1], json!({"owner": "unassigned", "action": "wait"}));
        assert_eq!(report.notes, []);
    }

    #[test]
    fn a_bad_answer_is_rejected() {
        let rejected = |answer: Value| match step(&[answer.to_string()]) {
            Step::Reject(Rejection::Invalid(findings)) => {
                findings.into_iter().map(|f| format!("{} {}", f.pointer, f.code)).collect::<Vec<_>>()
            }
            other => panic!("{other:?}"),
        };
        let with = |pointer: &str, value: Value| {
            let mut answer = answer();
            *answer.pointer_mut(pointer).expect("is there") = value;
            answer
        };
        assert_eq!(rejected(with("/risk_level", json!("severe"))), ["/risk_level enum"]);
        assert_eq!(rejected(with("/next_steps/0/due_date", json!("Friday"))), ["/next_steps/0/due_date format"]);
        assert_eq!(rejected(with("/overview", json!(""))), ["/overview minLength"]);
        assert_eq!(rejected(json!({})).len(), 4);
        assert!(matches!(step(&["I cannot do that.".into()]), Step::Reject(Rejection::NotJson(_))));
    }
}
