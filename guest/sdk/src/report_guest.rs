//! A guest of one prompt version: its trait, and the same guest with its schema compiled.

use serde_json::Value;

use crate::{
    Answer, Component, InitError, Manifest, Notes, Prompt, Rejection, Report, Schema, Step, Transcript, json, judge,
};

/// Defines a guest for one prompt version; most authors implement this trait.
pub trait ReportGuest: Sized + Send + Sync + 'static {
    /// Names the prompt and the code around it, such as "meeting-v1". A new prompt needs a new name.
    const PROMPT_VERSION: &'static str;
    /// Names the schema, such as "report.v1".
    const SCHEMA_VERSION: &'static str;
    /// Describes the guest to people, in one line.
    const DESCRIPTION: &'static str;
    /// Holds the text of the canonical schema (JSON Schema 2020-12), usually an `include_str!`.
    const SCHEMA: &'static str;

    /// Makes what every call needs; runs once, when the guest is built.
    ///
    /// # Errors
    ///
    /// An [`InitError`] ends the build, and the author sees it.
    fn initialize() -> Result<Self, InitError>;

    /// Changes the stricter schema for the model. Override it when the guest accepts more than the canonical schema:
    /// "by Friday" where the report will hold a date.
    fn answer_schema(_derived: &mut Value) {}

    /// Returns the first question. [`Schema::answer_schema`] is the stricter variant for the model.
    fn prompt(&self, transcript: &Transcript, schema: &Schema) -> Prompt;

    /// Parses the model's answer as plain JSON. Override it to accept more, for example with [`json::parse_fenced`].
    ///
    /// # Errors
    ///
    /// [`json::NotJson`] rejects the answer as [`Rejection::NotJson`].
    fn decode(&self, text: &str) -> Result<Value, json::NotJson> {
        json::parse(text)
    }

    /// Changes the document before it is validated. The schema has not been checked yet, so the document may hold
    /// anything that the model wrote.
    ///
    /// # Errors
    ///
    /// A [`Rejection`] ends the job; the host keeps the answer.
    fn postprocess(&self, document: Value, _transcript: &Transcript, _notes: &mut Notes) -> Result<Value, Rejection> {
        Ok(document)
    }

    /// Returns the next step: asks [`Self::prompt`] when there is no answer, and judges the first answer otherwise.
    ///
    /// Override it for other flows and build on [`Ready::judge`]; [`Ready::judge_or_repair`] adds a repair round.
    fn advance(ready: &Ready<Self>, transcript: &Transcript, answers: &[Answer]) -> Step {
        match answers.first() {
            None => Step::Ask(vec![ready.guest().prompt(transcript, ready.schema())]),
            Some(answer) => match ready.judge(transcript, &answer.text) {
                Ok(report) => Step::Accept(report),
                Err(rejection) => Step::Reject(rejection),
            },
        }
    }
}

/// Holds a guest together with its compiled schema.
pub struct Ready<G> {
    guest: G,
    schema: Schema,
}

impl<G: ReportGuest> Ready<G> {
    /// Returns the guest's own state.
    pub fn guest(&self) -> &G {
        &self.guest
    }

    /// Returns the compiled schema.
    pub fn schema(&self) -> &Schema {
        &self.schema
    }

    /// Decides about one answer: decodes it, strips the stricter variant's nulls, post-processes and validates it.
    ///
    /// # Errors
    ///
    /// - [`Rejection::NotJson`]: `decode` failed.
    /// - [`Rejection::Invalid`]: the post-processed document breaks the schema.
    /// - Every rejection that `postprocess` returns.
    pub fn judge(&self, transcript: &Transcript, text: &str) -> Result<Report, Rejection> {
        self.judge_with_notes(transcript, text, Notes::default())
    }

    /// Decides as [`Self::judge`] does; `notes` come first in the report.
    pub(crate) fn judge_with_notes(
        &self,
        transcript: &Transcript,
        text: &str,
        mut notes: Notes,
    ) -> Result<Report, Rejection> {
        let mut document = self.guest.decode(text).map_err(|error| Rejection::NotJson(error.to_string()))?;
        self.schema.strip_nulls(&mut document);
        let document = self.guest.postprocess(document, transcript, &mut notes)?;
        judge::accept(&self.schema, document, text.len(), notes)
    }
}

impl<G: ReportGuest> Component for Ready<G> {
    fn initialize() -> Result<Self, InitError> {
        let mut schema = Schema::compile(G::SCHEMA)?;
        schema.change_answer_schema(G::answer_schema);
        Ok(Self { guest: G::initialize()?, schema })
    }

    fn manifest(&self) -> Manifest {
        Manifest {
            prompt_version: G::PROMPT_VERSION.to_owned(),
            schema_version: G::SCHEMA_VERSION.to_owned(),
            schema: self.schema.text().to_owned(),
            description: G::DESCRIPTION.to_owned(),
        }
    }

    fn advance(&self, transcript: &Transcript, answers: &[Answer]) -> Step {
        G::advance(self, transcript, answers)
    }

    fn schema(&self) -> &Schema {
        &self.schema
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{Ready, ReportGuest};
    use crate::{Answer, Component, InitError, Notes, Prompt, Rejection, Schema, Step, Transcript};

    struct Echo;

    impl ReportGuest for Echo {
        const PROMPT_VERSION: &'static str = "echo-v1";
        const SCHEMA_VERSION: &'static str = "echo.v1";
        const DESCRIPTION: &'static str = "Echoes.";
        const SCHEMA: &'static str = r#"{"type": "object", "required": ["a"], "properties": {"a": {"type": "string"}, "b": {"type": "string"}}}"#;

        fn initialize() -> Result<Self, InitError> {
            Ok(Self)
        }

        fn prompt(&self, transcript: &Transcript, schema: &Schema) -> Prompt {
            Prompt::structured("rules", &transcript.text, schema)
        }

        fn postprocess(&self, mut document: Value, _: &Transcript, notes: &mut Notes) -> Result<Value, Rejection> {
            if document["a"] == "refuse" {
                return Err(Rejection::Unsupported("refused".into()));
            }
            if document["a"] == "number" {
                document["a"] = json!(1);
            }
            notes.add("seen", "/a", "looked at it");
            Ok(document)
        }
    }

    fn step(answers: &[&str]) -> Step {
        let ready = Ready::<Echo>::initialize().expect("initializes");
        let transcript = Transcript {
            id: "1".into(),
            text: "words".into(),
            media_type: "text/plain".into(),
            filename: String::new(),
            received_at: "2026-03-04T09:30:00Z".into(),
            attributes: vec![],
        };
        let answers: Vec<Answer> =
            answers.iter().map(|text| Answer { text: (*text).into(), model: "m".into() }).collect();
        ready.advance(&transcript, &answers)
    }

    #[test]
    fn without_answers_the_guest_asks_with_the_stricter_schema() {
        let Step::Ask(prompts) = step(&[]) else { panic!("it must ask") };
        assert_eq!(prompts.len(), 1);
        assert_eq!(
            prompts[0].messages.iter().map(|m| (m.role.as_str(), m.content.as_str())).collect::<Vec<_>>(),
            [("system", "rules"), ("user", "words")]
        );
        let schema: Value =
            serde_json::from_str(prompts[0].answer_schema.as_deref().expect("has one")).expect("is JSON");
        assert_eq!(schema["required"], json!(["a", "b"]));
        assert_eq!(schema["additionalProperties"], json!(false));
    }

    #[test]
    fn a_valid_answer_is_accepted_without_nulls_and_with_notes() {
        let Step::Accept(report) = step(&[r#"{"b": null, "a": "x"}"#]) else { panic!("it must accept") };
        assert_eq!(report.document, r#"{"a":"x"}"#);
        assert_eq!(report.notes[0].code, "seen");
    }

    #[test]
    fn each_kind_of_bad_answer_has_its_rejection() {
        let rejected = |text| match step(&[text]) {
            Step::Reject(rejection) => rejection,
            other => panic!("{other:?}"),
        };
        assert!(matches!(rejected("Sorry, no."), Rejection::NotJson(_)));
        assert!(matches!(rejected("```json\n{\"a\": \"x\"}\n```"), Rejection::NotJson(_)));
        assert!(matches!(rejected(r#"{"b": "x"}"#), Rejection::Invalid(findings) if findings[0].code == "required"));
        assert!(matches!(rejected(r#"{"a": "number"}"#), Rejection::Invalid(findings) if findings[0].pointer == "/a"));
        assert!(matches!(rejected(r#"{"a": "refuse"}"#), Rejection::Unsupported(_)));
    }

    #[test]
    fn a_stored_document_is_checked_without_postprocess() {
        let ready = Ready::<Echo>::initialize().expect("initializes");
        assert_eq!(ready.check(r#"{"a": "x"}"#), []);
        assert_eq!(ready.check("{}")[0].code, "required");
        assert_eq!(ready.check("{")[0].code, "not-json");
        assert_eq!(ready.check(r#"{"a": "x", "b": null}"#)[0].code, "type", "nulls are stripped from answers only");
    }

    #[test]
    fn the_manifest_holds_the_constants_of_the_guest() {
        let manifest = Ready::<Echo>::initialize().expect("initializes").manifest();
        assert_eq!((manifest.prompt_version.as_str(), manifest.schema_version.as_str()), ("echo-v1", "echo.v1"));
        assert_eq!(manifest.schema, Echo::SCHEMA);
    }
}
