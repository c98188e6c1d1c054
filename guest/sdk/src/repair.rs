//! One repair round: the model sees why its answer was rejected and answers once more; the second answer decides.

use crate::{
    Answer, Finding, MAX_PROMPT_BYTES, Notes, Prompt, Ready, Rejection, ReportGuest, Step, Transcript,
    finding::not_json, prompt::message,
};

impl<G: ReportGuest> Ready<G> {
    /// Returns the next step of one question with one repair round; `answers` are the answers from this question on.
    ///
    /// Without answers it asks `question`. When the first answer is not JSON or breaks the schema, it asks again: the same
    /// messages, then the answer, then its findings (keyword, pointer and message, no value). Pointers lead into the
    /// document as `postprocess` left it. The second answer decides; its report has the note `repaired`.
    ///
    /// Two cases are rejected at once: a rejection by `postprocess` as [`Rejection::Unsupported`] or
    /// [`Rejection::Other`], and a second question over [`MAX_PROMPT_BYTES`].
    pub fn judge_or_repair(
        &self,
        transcript: &Transcript,
        question: impl FnOnce() -> Prompt,
        answers: &[Answer],
    ) -> Step {
        let Some(first) = answers.first() else {
            return Step::Ask(vec![question()]);
        };
        let rejection = match self.judge(transcript, &first.text) {
            Ok(report) => return Step::Accept(report),
            Err(rejection) => rejection,
        };
        let Some(findings) = repairable(&rejection) else {
            return Step::Reject(rejection);
        };
        let Some(second) = answers.get(1) else {
            let prompt = repair_prompt(question(), &first.text, &findings);
            let fits = prompt.bytes() <= MAX_PROMPT_BYTES;
            return if fits { Step::Ask(vec![prompt]) } else { Step::Reject(rejection) };
        };
        let mut notes = Notes::default();
        let count = findings.len();
        notes.add("repaired", "", &format!("the first answer had {count} findings; the model was asked once more"));
        match self.judge_with_notes(transcript, &second.text, notes) {
            Ok(report) => Step::Accept(report),
            Err(rejection) => Step::Reject(rejection),
        }
    }
}

/// Returns the findings to show to the model, or `None` when another answer cannot help.
fn repairable(rejection: &Rejection) -> Option<Vec<Finding>> {
    match rejection {
        Rejection::NotJson(reason) => Some(vec![not_json(reason.clone())]),
        Rejection::Invalid(findings) => Some(findings.clone()),
        Rejection::Unsupported(_) | Rejection::Other(_) => None,
    }
}

/// Appends the model's answer and its findings to the question.
fn repair_prompt(mut question: Prompt, answer: &str, findings: &[Finding]) -> Prompt {
    // Some providers refuse an empty message.
    if !answer.trim().is_empty() {
        question.messages.push(message("assistant", answer));
    }
    let reasons: String = findings.iter().map(line).collect();
    question.messages.push(message(
        "user",
        format!(
            "Your answer cannot be used:\n\n{reasons}\nWrite the whole document once more as one JSON object and nothing else. Mend what is listed, and change nothing else."
        ),
    ));
    question
}

fn line(Finding { code, pointer, message }: &Finding) -> String {
    let place = if pointer.is_empty() { "the document as a whole" } else { pointer };
    format!("- {place}: {message} ({code})\n")
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use crate::{
        Answer, Component, InitError, MAX_PROMPT_BYTES, Notes, Prompt, Ready, Rejection, ReportGuest, Schema, Step,
        Transcript,
    };

    struct AsksTwice;

    impl ReportGuest for AsksTwice {
        const PROMPT_VERSION: &'static str = "twice-v1";
        const SCHEMA_VERSION: &'static str = "twice.v1";
        const DESCRIPTION: &'static str = "Asks twice.";
        const SCHEMA: &'static str =
            r#"{"type": "object", "required": ["a"], "properties": {"a": {"type": "string", "maxLength": 6}}}"#;

        fn initialize() -> Result<Self, InitError> {
            Ok(Self)
        }

        fn prompt(&self, transcript: &Transcript, schema: &Schema) -> Prompt {
            Prompt::structured("rules", &transcript.text, schema)
        }

        fn postprocess(&self, document: Value, _: &Transcript, notes: &mut Notes) -> Result<Value, Rejection> {
            if document["a"] == "refuse" {
                return Err(Rejection::Unsupported("refused".into()));
            }
            notes.add("seen", "/a", "looked at it");
            Ok(document)
        }

        fn advance(ready: &Ready<Self>, transcript: &Transcript, answers: &[Answer]) -> Step {
            ready.judge_or_repair(transcript, || ready.guest().prompt(transcript, ready.schema()), answers)
        }
    }

    fn step(answers: &[&str]) -> Step {
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
        Ready::<AsksTwice>::initialize().expect("initializes").advance(&transcript, &answers)
    }

    fn asked(answers: &[&str]) -> Vec<(String, String)> {
        match step(answers) {
            Step::Ask(mut prompts) if prompts.len() == 1 => {
                assert!(prompts[0].answer_schema.is_some(), "every round asks with the schema");
                prompts.remove(0).messages.into_iter().map(|message| (message.role, message.content)).collect()
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_good_answer_is_accepted_at_once_without_a_note() {
        let Step::Accept(report) = step(&[r#"{"a": "x"}"#]) else { panic!("it must accept") };
        assert_eq!(report.notes.iter().map(|note| note.code.as_str()).collect::<Vec<_>>(), ["seen"]);
    }

    #[test]
    fn the_second_question_adds_the_answer_and_its_findings() {
        let bad = r#"{"a": "marker-marker"}"#;
        let (first, second) = (asked(&[]), asked(&[bad]));
        assert_eq!(second[..2], first[..]);
        assert_eq!(second[2], ("assistant".to_owned(), bad.to_owned()));
        assert_eq!(second[3].0, "user");
        assert!(second[3].1.contains("\n- /a: is longer than 6 characters (maxLength)\n"), "{}", second[3].1);
        assert!(!second[3].1.contains("marker"), "findings hold no value");
        assert!(asked(&["{}"])[3].1.contains("\n- the document as a whole: lacks the property a (required)\n"));
        assert!(asked(&["Sorry."])[3].1.contains("invalid JSON at line 1 column 1 (not-json)"));
    }

    #[test]
    fn a_blank_answer_is_not_shown_again() {
        let second = asked(&[" \n"]);
        assert_eq!(second.iter().map(|(role, _)| role.as_str()).collect::<Vec<_>>(), ["system", "user", "user"]);
        assert!(second[2].1.contains("nothing but white space"), "{}", second[2].1);
    }

    #[test]
    fn the_second_answer_decides() {
        let Step::Accept(report) = step(&["{}", r#"{"a": "x"}"#]) else { panic!("it must accept") };
        assert_eq!(report.document, r#"{"a":"x"}"#);
        let notes: Vec<_> = report.notes.iter().map(|note| (note.code.as_str(), note.pointer.as_str())).collect();
        assert_eq!(notes, [("repaired", ""), ("seen", "/a")]);
        let Step::Reject(Rejection::Invalid(findings)) = step(&["{", r#"{"a": 1}"#]) else { panic!("it must reject") };
        assert_eq!((findings[0].code.as_str(), findings[0].pointer.as_str()), ("type", "/a"));
        assert!(matches!(step(&["{}", "{"]), Step::Reject(Rejection::NotJson(_))));
    }

    #[test]
    fn what_a_second_answer_cannot_repair_is_rejected_at_once() {
        assert!(matches!(step(&[r#"{"a": "refuse"}"#]), Step::Reject(Rejection::Unsupported(_))));
        let huge = format!(r#"{{"a": "{}"}}"#, "x".repeat(MAX_PROMPT_BYTES));
        assert!(matches!(step(&[&huge]), Step::Reject(Rejection::Invalid(_))));
    }
}
