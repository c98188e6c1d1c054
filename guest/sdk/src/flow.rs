//! The flow of a guest: one question, one answer, one document; or another flow, on the same parts.

use crate::strict::Effect;
use crate::{
    Answer, Finding, Manifest, Notes, Prompt, Rejection, Report, Schema, SchemaError, Step, TemplateError, Transcript,
    compact, finding, json, log, panic,
};
use serde_json::Value;
use std::fmt;

/// Why a guest cannot be initialized. It shows while the guest is built and speaks to its author.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InitError(String);

impl InitError {
    /// An error with a message of its own.
    pub fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }
}

impl fmt::Display for InitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for InitError {}

impl From<SchemaError> for InitError {
    fn from(error: SchemaError) -> Self {
        Self(error.to_string())
    }
}

impl From<TemplateError> for InitError {
    fn from(error: TemplateError) -> Self {
        Self(error.to_string())
    }
}

/// A guest for one prompt version: what most authors implement.
pub trait ReportGuest: Sized + Send + Sync + 'static {
    /// Name of the prompt and the code around it, "meeting-v1". A new prompt is a new name.
    const PROMPT_VERSION: &'static str;
    /// Name of the schema, "report.v1".
    const SCHEMA_VERSION: &'static str;
    /// One line for people.
    const DESCRIPTION: &'static str;
    /// The canonical schema's text (JSON Schema 2020-12), usually an `include_str!`.
    const SCHEMA: &'static str;

    /// Makes what every call needs; runs once, when the guest is built.
    fn initialize() -> Result<Self, InitError>;

    /// Changes the stricter schema for the model, where the guest takes more than the canonical schema does: "by Friday" where
    /// the report will say a date.
    fn answer_schema(_derived: &mut Value) {}

    /// The question. The schema's `answer_schema` is the stricter variant for the model.
    fn prompt(&self, transcript: &Transcript, schema: &Schema) -> Prompt;

    /// Reads the answer; plain JSON unless a guest is more lenient ([`json::parse_fenced`]).
    fn decode(&self, text: &str) -> Result<Value, json::NotJson> {
        json::parse(text)
    }

    /// Works on the document before it is validated. It sees whatever the model wrote: the schema has not been checked yet.
    ///
    /// # Errors
    ///
    /// A rejection ends the job with the answer kept.
    fn postprocess(&self, document: Value, _transcript: &Transcript, _notes: &mut Notes) -> Result<Value, Rejection> {
        Ok(document)
    }

    /// One step. Without answers it asks [`Self::prompt`]; with one it decides. Guests with another shape override it and
    /// build on [`Ready::judge`]; with a repair round it is one call of [`Ready::judge_or_repair`].
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

/// What the exports call. [`Ready`] implements it for every [`ReportGuest`]; a guest that learns at initialization what
/// it is (the generic one) implements it itself.
pub trait Component: Sized + Send + Sync + 'static {
    /// Runs once, when the guest is built.
    ///
    /// # Errors
    ///
    /// Shown to the author; the build ends.
    fn initialize() -> Result<Self, InitError>;
    /// Behind `describe`.
    fn manifest(&self) -> Manifest;
    /// Behind `advance`.
    fn advance(&self, transcript: &Transcript, answers: &[Answer]) -> Step;
    /// Behind `check`.
    fn check(&self, document: &str) -> Vec<Finding> {
        check(self.schema(), document)
    }
    /// The schema that accepted documents satisfy.
    fn schema(&self) -> &Schema;
}

/// A guest with its schema compiled.
pub struct Ready<G> {
    guest: G,
    schema: Schema,
}

impl<G: ReportGuest> Ready<G> {
    /// The guest's own state.
    pub fn guest(&self) -> &G {
        &self.guest
    }

    /// The compiled schema.
    pub fn schema(&self) -> &Schema {
        &self.schema
    }

    /// Decides about one answer: decode, take the stricter variant's nulls out, post-process, validate.
    ///
    /// # Errors
    ///
    /// `not-json`, `invalid` with the findings, or what `postprocess` says.
    pub fn judge(&self, transcript: &Transcript, text: &str) -> Result<Report, Rejection> {
        self.judge_with(transcript, text, Notes::default())
    }

    /// Decides as [`Self::judge`] does, with remarks that were made before.
    pub(crate) fn judge_with(
        &self,
        transcript: &Transcript,
        text: &str,
        mut notes: Notes,
    ) -> Result<Report, Rejection> {
        let mut document = self.guest.decode(text).map_err(|error| Rejection::NotJson(error.to_string()))?;
        self.schema.strip_nulls(&mut document);
        let document = self.guest.postprocess(document, transcript, &mut notes)?;
        accept(&self.schema, document, text.len(), notes)
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

/// Validates a finished document and makes it a report of about `bytes`.
fn accept(schema: &Schema, document: Value, bytes: usize, notes: Notes) -> Result<Report, Rejection> {
    let findings = schema.findings(&document);
    let judged = if findings.is_empty() {
        Ok(Report { document: compact::text(&document, bytes), notes: notes.into_findings() })
    } else {
        Err(Rejection::Invalid(findings))
    };
    leave(document);
    judged
}

/// Drops a document. In a guest its memory goes with the instance, and taking it apart before is work for nothing.
fn leave(document: Value) {
    if cfg!(target_arch = "wasm32") {
        std::mem::forget(document);
    }
}

impl Schema {
    /// Decides about an answer that needs no post-processing; what [`Ready::judge`] does for guests without code.
    ///
    /// # Errors
    ///
    /// `not-json`, or `invalid` with the findings.
    pub fn judge(&self, text: &str) -> Result<Report, Rejection> {
        let mut document = json::parse(text).map_err(|error| Rejection::NotJson(error.to_string()))?;
        self.strip_nulls(&mut document);
        accept(self, document, text.len(), Notes::default())
    }
}

/// Validates a stored document; one that is no JSON has one finding, `not-json`.
fn check(schema: &Schema, document: &str) -> Vec<Finding> {
    match json::parse(document) {
        Ok(document) => {
            let findings = schema.findings(&document);
            leave(document);
            findings
        }
        Err(error) => vec![finding::not_json(error.to_string())],
    }
}

/// Makes a component, or tells the builder why not and stops.
#[doc(hidden)]
pub fn initialize<C: Component>() -> C {
    panic::install_hook();
    let component = C::initialize().unwrap_or_else(|error| {
        log::emit(log::Level::Error, &error.to_string());
        std::process::abort()
    });
    // What is left to the guest's code its author has left there on purpose.
    for loss in component.schema().losses().iter().filter(|loss| loss.effect != Effect::LeftToCode) {
        log::emit(log::Level::Warn, &format!("schema for the model: {loss}"));
    }
    component
}

#[cfg(test)]
mod tests {
    use super::{Component, InitError, Ready, ReportGuest};
    use crate::{Answer, Notes, Prompt, Rejection, Schema, Step, Transcript};
    use serde_json::{Value, json};

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
    fn a_valid_answer_is_accepted_without_the_nulls_and_with_the_notes() {
        let Step::Accept(report) = step(&[r#"{"b": null, "a": "x"}"#]) else { panic!("it must accept") };
        assert_eq!(report.document, r#"{"a":"x"}"#);
        assert_eq!(report.notes[0].code, "seen");
    }

    #[test]
    fn an_answer_is_rejected_for_what_it_is() {
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
    fn a_stored_document_is_checked_alone() {
        let ready = Ready::<Echo>::initialize().expect("initializes");
        assert_eq!(ready.check(r#"{"a": "x"}"#), []);
        assert_eq!(ready.check("{}")[0].code, "required");
        assert_eq!(ready.check("{")[0].code, "not-json");
        assert_eq!(ready.check(r#"{"a": "x", "b": null}"#)[0].code, "type", "a stored null is no answer's null");
    }

    #[test]
    fn the_manifest_says_what_the_guest_is() {
        let manifest = Ready::<Echo>::initialize().expect("initializes").manifest();
        assert_eq!((manifest.prompt_version.as_str(), manifest.schema_version.as_str()), ("echo-v1", "echo.v1"));
        assert_eq!(manifest.schema, Echo::SCHEMA);
    }
}
