//! The loop with small guests: each way to end a conversation.

use std::sync::Arc;

use assay_conversation::{
    Answers, ConversationEnd, ConversationError, JobLimits, LimitBreach, RejectionReasons, ReportFault, run,
};
use assay_runtime::{
    Answer, Call, Compiler, Fault, Options, Prompt, Runtime, Step, Transcript,
    testing::{WatGuest, hostile},
};
use bytes::Bytes;

/// Answers every question with its number, up to a number of rounds.
#[derive(Default)]
struct Numbers {
    answers: Vec<Answer>,
    rounds: Vec<usize>,
    max_rounds: usize,
    calls: usize,
}

#[derive(Debug, PartialEq, Eq)]
struct NoMoreAnswers;

impl Answers for Numbers {
    type Error = NoMoreAnswers;

    fn answers(&self) -> &[Answer] {
        &self.answers
    }

    async fn ask(&mut self, prompts: Vec<Prompt>) -> Result<(), NoMoreAnswers> {
        if self.rounds.len() == self.max_rounds {
            return Err(NoMoreAnswers);
        }
        self.rounds.push(prompts.len());
        for _ in prompts {
            let number = self.answers.len() + 1;
            self.answers.push(Answer { text: number.to_string(), model: "test".to_owned() });
        }
        Ok(())
    }

    fn called(&mut self, _: &mut Call<Step>) {
        self.calls += 1;
    }
}

type Ended = Result<ConversationEnd, ConversationError<NoMoreAnswers>>;

/// Runs a guest with answers for `max_rounds` rounds.
async fn converse(guest: &WatGuest, limits: &JobLimits, max_rounds: usize) -> (Ended, Numbers) {
    let folder = tempfile::tempdir().unwrap();
    let options = Options::new(folder.path().join("cache"), Compiler::InProcess, Bytes::new());
    let guest = Runtime::new(options).unwrap().load(&guest.build()).await.unwrap();
    let transcript = Arc::new(Transcript {
        id: "file".to_owned(),
        text: "Anna: it is agreed.".to_owned(),
        media_type: "text/plain".to_owned(),
        filename: "call.txt".to_owned(),
        received_at: "2026-01-05T09:00:00Z".to_owned(),
        attributes: Vec::new(),
    });
    let mut source = Numbers { max_rounds, ..Numbers::default() };
    let ended = run(&guest, &transcript, limits, &mut source).await;
    (ended, source)
}

/// Returns the breach that stopped a conversation, and the number of the call.
async fn breach(guest: &WatGuest, limits: &JobLimits) -> (LimitBreach, usize) {
    match converse(guest, limits, usize::MAX).await.0 {
        Err(ConversationError::OverLimit { call, breach }) => (breach, call),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_guest_asks_gets_answers_and_accepts() {
    let guest = hostile::accepts("{}", r#"{"a":1}"#);
    let (ended, source) = converse(&guest, &JobLimits::default(), 1).await;
    let Ok(ConversationEnd::Accepted(report)) = ended else { panic!("{ended:?}") };
    assert_eq!(report.document, r#"{"a":1}"#);
    assert_eq!((source.rounds, source.calls), (vec![1], 2));
}

#[tokio::test]
async fn a_guest_sees_all_earlier_answers() {
    let (ended, source) = converse(&hostile::asks_with_the_answer(), &JobLimits::default(), 2).await;
    assert!(matches!(ended, Ok(ConversationEnd::Accepted(_))), "{ended:?}");
    assert_eq!((source.rounds, source.calls), (vec![1, 1], 3));
}

#[tokio::test]
async fn a_guest_rejects_answers_with_its_findings() {
    let (ended, _) = converse(&hostile::rejects(), &JobLimits::default(), 1).await;
    let Ok(ConversationEnd::Rejected(rejection)) = ended else { panic!("{ended:?}") };
    let reasons = RejectionReasons::from(rejection);
    assert_eq!((reasons.kind, reasons.findings[0].code.as_str()), ("invalid", "required"));
}

#[tokio::test]
async fn a_round_over_a_limit_is_never_asked() {
    let two = JobLimits { rounds: 2, ..JobLimits::default() };
    assert_eq!(breach(&hostile::asks_for_ever(), &two).await, (LimitBreach::Rounds { limit: 2 }, 3));
    let one = JobLimits { prompts: 1, ..JobLimits::default() };
    assert_eq!(breach(&hostile::asks_many(2), &one).await, (LimitBreach::Questions { limit: 1 }, 1));
    let small = JobLimits { prompt_bytes: 100, ..JobLimits::default() };
    let bytes = LimitBreach::QuestionBytes { bytes: 204, limit: 100 };
    assert_eq!(breach(&hostile::asks_a_prompt_of(200), &small).await, (bytes, 1));
    let (_, source) = converse(&hostile::asks_many(2), &one, usize::MAX).await;
    assert_eq!(source.rounds, [0_usize; 0]);
}

#[test]
fn a_breach_names_the_limit_and_its_variable() {
    let texts = [
        (LimitBreach::NoQuestion, "ask the model: a round without a question"),
        (LimitBreach::Rounds { limit: 4 }, "ask the model: more than 4 rounds of questions (GUEST_MAX_ROUNDS)"),
        (LimitBreach::Questions { limit: 32 }, "ask the model: more than 32 questions (GUEST_MAX_PROMPTS)"),
        (
            LimitBreach::QuestionBytes { bytes: 12, limit: 6 },
            "ask the model: a question of 12 bytes, over 6 (PROMPT_MAX_BYTES)",
        ),
    ];
    for (breach, text) in texts {
        assert_eq!(breach.to_string(), text);
    }
}

#[tokio::test]
async fn an_accepted_text_that_is_not_a_report_stops_the_conversation() {
    let limits = JobLimits { report_bytes: 20, report_depth: 3, ..JobLimits::default() };
    let cases = [
        (hostile::accepts("{}", r#"{"a":"1234567890123"}"#), ReportFault::TooLarge { bytes: 21, limit: 20 }),
        (hostile::accepts_nested(4), ReportFault::TooDeep { limit: 3 }),
        (hostile::accepts("{}", "no"), ReportFault::NotJson { line: 1, column: 2 }),
        (hostile::accepts("{}", r#"{"a":1,"a":2}"#), ReportFault::NamedTwice { line: 1, column: 10 }),
    ];
    for (guest, expected) in cases {
        match converse(&guest, &limits, 1).await.0 {
            Err(ConversationError::NoReport { call: 2, fault, .. }) => assert_eq!(fault, expected),
            other => panic!("{expected:?}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn a_round_without_answers_stops_the_conversation() {
    let (ended, source) = converse(&hostile::asks_for_ever(), &JobLimits::default(), 2).await;
    assert!(matches!(ended, Err(ConversationError::Unanswered(NoMoreAnswers))), "{ended:?}");
    assert_eq!((source.rounds, source.calls), (vec![1, 1], 3));
}

#[tokio::test]
async fn a_fault_of_the_guest_names_its_call() {
    let (ended, source) = converse(&hostile::traps("(unreachable)"), &JobLimits::default(), 1).await;
    assert!(matches!(ended, Err(ConversationError::Fault { call: 1, fault: Fault::Trap(_) })), "{ended:?}");
    assert_eq!(source.calls, 1, "the cost of a failed call is recorded too");
}
