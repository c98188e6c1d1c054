//! One repair round: where an answer cannot be used, the model is asked once more, with the reasons, and that answer decides.

use crate::{Answer, Finding, MAX_PROMPT_BYTES, Notes, Prompt, Ready, Rejection, ReportGuest, Step, Transcript};
use crate::{finding::not_json, prompt::message};

impl<G: ReportGuest> Ready<G> {
    /// The flow of one question with one repair round; `answers` are those from this question on.
    ///
    /// Without answers it asks `question`. An answer that is no JSON or breaks the schema is shown to the model once more,
    /// with the findings: keyword, pointer and message, no value. Pointers lead into the document as `postprocess` left it.
    /// The second answer decides; a report that came of it has the note `repaired`.
    ///
    /// Not repaired, but rejected at once, is what `postprocess` refuses as `unsupported` or otherwise, and an answer that
    /// is too large to be shown to the model again ([`MAX_PROMPT_BYTES`]).
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
        let Some(findings) = curable(&rejection) else {
            return Step::Reject(rejection);
        };
        let Some(second) = answers.get(1) else {
            let prompt = once_more(question(), &first.text, &findings);
            let fits = prompt.bytes() <= MAX_PROMPT_BYTES;
            return if fits { Step::Ask(vec![prompt]) } else { Step::Reject(rejection) };
        };
        let mut notes = Notes::default();
        let count = findings.len();
        notes.add("repaired", "", &format!("the first answer had {count} findings; the model was asked once more"));
        match self.judge_with(transcript, &second.text, notes) {
            Ok(report) => Step::Accept(report),
            Err(rejection) => Step::Reject(rejection),
        }
    }
}

/// What to tell the model, where telling it may help.
fn curable(rejection: &Rejection) -> Option<Vec<Finding>> {
    match rejection {
        Rejection::NotJson(reason) => Some(vec![not_json(reason.clone())]),
        Rejection::Invalid(findings) => Some(findings.clone()),
        Rejection::Unsupported(_) | Rejection::Other(_) => None,
    }
}

/// The question with the model's own answer behind it, and what is wrong with that.
fn once_more(mut question: Prompt, answer: &str, findings: &[Finding]) -> Prompt {
    // Some providers refuse a message that is empty.
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
    use crate::{
        Answer, Component, InitError, MAX_PROMPT_BYTES, Notes, Prompt, Ready, Rejection, ReportGuest, Schema, Step,
        Transcript,
    };
    use serde_json::Value;

    struct Patient;

    impl ReportGuest for Patient {
        const PROMPT_VERSION: &'static str = "patient-v1";
        const SCHEMA_VERSION: &'static str = "patient.v1";
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
        Ready::<Patient>::initialize().expect("initializes").advance(&transcript, &answers)
    }

    fn asked(answers: &[&str]) -> Vec<(String, String)> {
        match step(answers) {
            Step::Ask(mut prompts) if prompts.len() == 1 => {
                assert!(prompts[0].answer_schema.is_some(), "every round is held to the schema");
                prompts.remove(0).messages.into_iter().map(|message| (message.role, message.content)).collect()
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_good_answer_is_accepted_at_once_and_without_a_remark() {
        let Step::Accept(report) = step(&[r#"{"a": "x"}"#]) else { panic!("it must accept") };
        assert_eq!(report.notes.iter().map(|note| note.code.as_str()).collect::<Vec<_>>(), ["seen"]);
    }

    #[test]
    fn the_second_question_is_the_first_one_with_the_answer_and_its_findings() {
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
    fn an_answer_without_words_is_not_shown_again() {
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
    fn what_no_second_answer_can_cure_is_rejected_at_once() {
        assert!(matches!(step(&[r#"{"a": "refuse"}"#]), Step::Reject(Rejection::Unsupported(_))));
        let huge = format!(r#"{{"a": "{}"}}"#, "x".repeat(MAX_PROMPT_BYTES));
        assert!(matches!(step(&[&huge]), Step::Reject(Rejection::Invalid(_))));
    }
}
