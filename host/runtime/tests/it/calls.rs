//! Calls of guests that keep the contract. A call leaves nothing behind.

use assay_runtime::{
    Allocation, LogLevel, Message, Metering, Prompt, Rejection, Step,
    testing::{WatGuest, hostile},
};

use crate::support::{Bench, answer, transcript};

#[tokio::test]
async fn a_guest_asks_and_then_accepts() {
    let bench = Bench::new();
    let guest = bench.load(hostile::accepts(r#"{"type":"object","minProperties":1}"#, r#"{"a":1}"#)).await;
    assert_eq!(guest.manifest().prompt_version, "accepts");
    assert_eq!(guest.manifest().schema, r#"{"type":"object","minProperties":1}"#);

    let asked = guest.advance(&transcript(), &[]).await;
    let message = Message { role: "user".into(), content: "What is it about?".into() };
    let prompt = Prompt {
        messages: vec![message],
        answer_schema: Some(guest.manifest().schema.as_str().into()),
        model: None,
        max_output_tokens: None,
        temperature: None,
    };
    assert_eq!(asked.result, Ok(Step::Ask(vec![prompt])));

    let accepted = guest.advance(&transcript(), &[answer("yes")]).await;
    let Ok(Step::Accept(report)) = accepted.result else { panic!("{:?}", accepted.result) };
    assert_eq!(report.document, r#"{"a":1}"#);
    assert_eq!(guest.check("{}").await.result, Ok(vec![]));
}

#[tokio::test]
async fn a_guest_sees_the_document_and_the_answers() {
    let bench = Bench::new();
    let content = |step: Step| match step {
        Step::Ask(prompts) => prompts[0].messages[0].content.clone(),
        step => panic!("{step:?}"),
    };
    let echo = bench.load(hostile::asks_with_the_document()).await;
    let echoed = content(echo.advance(&transcript(), &[]).await.result.unwrap());
    assert_eq!(*echoed, *transcript().text);

    let second = bench.load(hostile::asks_with_the_answer()).await;
    let asked = content(second.advance(&transcript(), &[answer("an answer of the model")]).await.result.unwrap());
    assert_eq!(&*asked, "an answer of the model");
}

#[tokio::test]
async fn a_rejection_carries_its_findings() {
    let bench = Bench::new();
    let guest = bench.load(hostile::rejects()).await;
    let step = guest.advance(&transcript(), &[answer("{}")]).await.result.unwrap();
    let Step::Reject(Rejection::Invalid(findings)) = step else { panic!("{step:?}") };
    assert_eq!((findings[0].code.as_str(), findings[0].pointer.as_str()), ("required", "/overview"));
}

#[tokio::test]
async fn nothing_is_left_of_a_call() {
    for allocation in [Allocation::Pooling, Allocation::OnDemand] {
        let bench = Bench::with(|options| options.allocation = allocation);
        assert_eq!(bench.runtime.is_pooling(), allocation == Allocation::Pooling);
        let guest = bench.load(hostile::counts_its_calls()).await;
        for _ in 0..20 {
            let Ok(Step::Accept(report)) = guest.advance(&transcript(), &[]).await.result else { panic!("it accepts") };
            assert_eq!(report.document, "11", "memory and globals are as they were");
        }
    }
}

#[tokio::test]
async fn nothing_is_left_of_a_call_that_failed() {
    let bench = Bench::with_limits(|limits| limits.call = std::time::Duration::from_millis(50));
    let bad = bench.load(hostile::fills_memory_for_ever()).await;
    let good = bench.load(hostile::counts_its_calls()).await;
    for _ in 0..8 {
        bad.advance(&transcript(), &[]).await.result.unwrap_err();
        let Ok(Step::Accept(report)) = good.advance(&transcript(), &[]).await.result else { panic!("it accepts") };
        assert_eq!(report.document, "11");
    }
}

#[tokio::test]
async fn fuel_is_the_same_for_the_same_input() {
    let bench = Bench::with(|options| options.metering = Metering::Fuel(1_000_000));
    let guest = bench.load(WatGuest::new("measured")).await;
    let first = guest.advance(&transcript(), &[]).await.fuel.unwrap();
    let again = guest.advance(&transcript(), &[]).await.fuel.unwrap();
    assert!(first > 10, "{first} units");
    assert_eq!(first, again);

    let spin = bench.load(hostile::spins_in_advance()).await.advance(&transcript(), &[]).await;
    assert_eq!(spin.result, Err(assay_runtime::Fault::OutOfFuel));
    assert_eq!(spin.fuel, Some(1_000_000));
}

#[tokio::test]
async fn a_call_reports_its_cost() {
    let bench = Bench::new();
    let call = bench.first_step(WatGuest::new("measured").pages(5)).await;
    assert_eq!(call.peak_memory, 5 << 16);
    assert_eq!(call.fuel, None);
    assert!(call.elapsed > std::time::Duration::ZERO);
}

#[tokio::test]
async fn a_log_is_cut_cleaned_and_counted() {
    let bench = Bench::new();
    let call = bench.first_step(hostile::floods_the_log(100_000)).await;
    assert!(matches!(call.result, Ok(Step::Ask(_))), "logging too much is no fault");
    assert_eq!((call.log.len(), call.dropped_log_lines), (64, 99_936));
    for line in &call.log {
        assert_eq!((line.level, line.message.len()), (LogLevel::Warn, 1024));
        assert!(line.message.starts_with("[31mred"), "the escape character is gone");
    }
}

#[tokio::test]
async fn a_debug_view_shows_no_text() {
    let bench = Bench::new();
    let guest = bench.load(hostile::floods_the_log(2)).await;
    let call = guest.advance(&transcript(), &[]).await;
    let shown = format!("{:?} {:?} {:?} {guest:?}", transcript(), answer("secret"), call);
    for text in ["Anna", "call.txt", "secret", "What is it about", "red", "A guest for tests"] {
        assert!(!shown.contains(text), "{text} in {shown}");
    }
}

#[tokio::test]
async fn guests_outlive_the_handle_of_their_runtime() {
    let Bench { runtime, folder } = Bench::new();
    let guest = runtime.load(&WatGuest::new("survivor").build()).await.unwrap();
    drop((runtime, folder));
    assert!(guest.advance(&transcript(), &[]).await.result.is_ok());
}
