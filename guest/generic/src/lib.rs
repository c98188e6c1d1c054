//! The generic guest: one core module that becomes a complete guest when its parts are injected into its memory.
//!
//! The builder instantiates the module, calls `reserve`, writes the parts there as JSON, runs `wizer-initialize` and keeps
//! the memory as it is then. So a prompt and a schema become a component without a compiler. With only a schema it is the
//! host's verifier: `check` works, and `advance` rejects.

mod injected;
mod parts;

use assay_guest::{
    Answer, Component, InitError, Manifest, Message, Prompt, Rejection, Schema, Step, Template, Transcript,
    strict::Effect,
};

use self::parts::Parts;

pub struct Generic {
    manifest: Manifest,
    schema: Schema,
    messages: Vec<(String, Template)>,
    model: Option<String>,
    max_output_tokens: Option<u32>,
    temperature: Option<f32>,
}

impl Generic {
    /// Makes a guest from the parts' JSON text.
    ///
    /// # Errors
    ///
    /// [`InitError`] when the JSON is not of the expected form, the schema does not compile or leaves a required property
    /// to code, a template has an unknown placeholder, or no message shows the transcript.
    pub fn from_parts(json: &[u8]) -> Result<Self, InitError> {
        let parts = Parts::parse(json)?;
        let schema = Schema::compile(&parts.schema_text())?;
        let messages = parts.templates()?;
        // A verifier may have the schema of a guest with code.
        let left_to_code = schema.losses().iter().find(|loss| loss.effect == Effect::LeftToCode);
        if let Some(loss) = left_to_code.filter(|_| !messages.is_empty()) {
            return Err(InitError::new(format!("schema: {loss}")));
        }
        Ok(Self {
            manifest: Manifest {
                prompt_version: parts.prompt_version,
                schema_version: parts.schema_version,
                schema: schema.text().to_owned(),
                description: parts.description,
            },
            schema,
            messages,
            model: parts.model,
            max_output_tokens: parts.max_output_tokens,
            temperature: parts.temperature,
        })
    }

    fn prompt(&self, transcript: &Transcript) -> Prompt {
        let render = |(role, template): &(String, Template)| Message {
            role: role.clone(),
            content: template.render(transcript, &self.schema),
        };
        Prompt {
            messages: self.messages.iter().map(render).collect(),
            answer_schema: Some(self.schema.answer_schema().to_string()),
            model: self.model.clone(),
            max_output_tokens: self.max_output_tokens,
            temperature: self.temperature,
        }
    }
}

impl Component for Generic {
    fn initialize() -> Result<Self, InitError> {
        Self::from_parts(&injected::take())
    }

    fn manifest(&self) -> Manifest {
        self.manifest.clone()
    }

    fn advance(&self, transcript: &Transcript, answers: &[Answer]) -> Step {
        if self.messages.is_empty() {
            return Step::Reject(Rejection::Unsupported("this guest has a schema and no prompt".to_owned()));
        }
        match answers.first().map(|answer| self.schema.judge(&answer.text)) {
            None => Step::Ask(vec![self.prompt(transcript)]),
            Some(Ok(report)) => Step::Accept(report),
            Some(Err(rejection)) => Step::Reject(rejection),
        }
    }

    fn schema(&self) -> &Schema {
        &self.schema
    }
}

assay_guest::export_component!(Generic);

#[cfg(test)]
mod tests {
    use assay_guest::Finding;
    use serde_json::{Value, json};

    use super::{Answer, Component, Generic, Rejection, Step, Transcript};

    fn parts() -> Value {
        json!({
            "prompt_version": "minutes-v1", "schema_version": "minutes.v1", "description": "Minutes.",
            "schema": {"type": "object", "required": ["title"], "properties": {"title": {"type": "string", "maxLength": 5}, "tag": {"type": "string"}}},
            "messages": [
                {"role": "system", "content": "Answer with JSON: {{schema}}"},
                {"role": "user", "content": "{{filename}}, {{date}}\n{{attributes}}\n{{transcript}}"}
            ],
            "model": "small", "max_output_tokens": 512, "temperature": 0.5
        })
    }

    fn guest(parts: &Value) -> Result<Generic, String> {
        Generic::from_parts(parts.to_string().as_bytes()).map_err(|error| error.to_string())
    }

    fn step(guest: &Generic, answers: &[&str]) -> Step {
        let transcript = Transcript {
            id: "1".into(),
            text: "words".into(),
            media_type: "text/plain".into(),
            filename: "a.txt".into(),
            received_at: "2026-03-04T09:30:00Z".into(),
            attributes: vec![("k".into(), "v".into())],
        };
        let answers: Vec<_> = answers.iter().map(|text| Answer { text: (*text).into(), model: "m".into() }).collect();
        guest.advance(&transcript, &answers)
    }

    #[test]
    fn parts_become_a_complete_guest() {
        let guest = guest(&parts()).expect("initializes");
        assert_eq!(guest.manifest().prompt_version, "minutes-v1");
        let Step::Ask(prompts) = step(&guest, &[]) else { panic!("it must ask") };
        assert_eq!(prompts[0].messages[1].content, "a.txt, 2026-03-04\n- k: v\n<transcript>\nwords\n</transcript>");
        assert_eq!(
            (prompts[0].model.as_deref(), prompts[0].max_output_tokens, prompts[0].temperature),
            (Some("small"), Some(512), Some(0.5))
        );
        assert!(
            prompts[0].answer_schema.as_deref().is_some_and(|schema| prompts[0].messages[0].content.ends_with(schema))
        );
        let Step::Accept(report) = step(&guest, &[r#"{"title": "t", "tag": null}"#]) else { panic!("it must accept") };
        assert_eq!(report.document, r#"{"title":"t"}"#);
        assert!(matches!(step(&guest, &["{}"]), Step::Reject(Rejection::Invalid(_))));
        assert!(matches!(step(&guest, &["no"]), Step::Reject(Rejection::NotJson(_))));
    }

    #[test]
    fn a_schema_without_messages_makes_a_verifier() {
        let guest = guest(&json!({"prompt_version": "verifier", "schema_version": "s", "schema": {"type": "object", "required": ["a"], "properties": {"a": {"readOnly": true}}}})).expect("initializes");
        assert_eq!(guest.check(r#"{"a": 1}"#), []);
        let missing =
            Finding { code: "required".into(), pointer: String::new(), message: "lacks the property a".into() };
        assert_eq!(guest.check("{}"), [missing]);
        assert!(matches!(step(&guest, &[]), Step::Reject(Rejection::Unsupported(_))));
    }

    #[test]
    fn a_schema_given_as_text_is_kept_unchanged() {
        let text = "{\n  \"type\": \"object\"\n}";
        let guest = guest(&json!({"prompt_version": "p", "schema_version": "s", "schema": text})).expect("initializes");
        assert_eq!(guest.manifest().schema, text);
    }

    #[test]
    fn faulty_parts_are_refused_with_the_reason() {
        let refused = |change: fn(&mut Value)| {
            let mut parts = parts();
            change(&mut parts);
            guest(&parts).err().expect("is refused")
        };
        assert_eq!(
            refused(|p| p["messages"][1]["content"] = json!("{{x}}{{transcript}}")),
            "message 2 (user): template line 1: unknown placeholder {{x}}"
        );
        assert_eq!(refused(|p| p["messages"][1]["content"] = json!("hello")), "no message shows {{transcript}}");
        assert!(refused(|p| p["messages"][1]["role"] = json!("tool")).contains("role"));
        assert!(refused(|p| p["schema"]["type"] = json!("objekt")).contains("schema"));
        assert_eq!(
            refused(|p| p["schema"]["properties"]["title"]["readOnly"] = json!(true)),
            "schema: required \"title\" at the root: it is readOnly, so only a guest with code can write it"
        );
        assert!(refused(|p| p["prompt_version"] = json!("")).contains("prompt_version"));
        assert!(refused(|p| p["temperature"] = json!(3)).contains("temperature"));
        assert!(refused(|p| p["surprise"] = json!(1)).contains("surprise"));
        assert!(Generic::from_parts(b"").is_err());
    }
}
