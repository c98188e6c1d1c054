//! The example guests: a transcript that is read in parts, and an answer that is asked for once more.

use assay_tests::{Call, Gate, Reply, World};
use serde_json::{Value, json};

use crate::fixtures::{Env, TRANSCRIPT, answer, die, examples, object, outcomes, short_leases, with, worker};

/// The transcript and the answers of a fixture of `guest/map-reduce`: notes on three parts, and the report.
const LONG: &str = include_str!("../../guest/map-reduce/fixtures/long/transcript.txt");
const NOTES: [&str; 3] = [
    include_str!("../../guest/map-reduce/fixtures/long/answers/1.json"),
    include_str!("../../guest/map-reduce/fixtures/long/answers/2.md"),
    include_str!("../../guest/map-reduce/fixtures/long/answers/3.json"),
];
const MINUTES: &str = include_str!("../../guest/map-reduce/fixtures/long/answers/4.json");

fn env(world: &World, version: &str) -> Env {
    let folder = examples().display().to_string();
    with(world.env(), &[("GUEST_DIR", &folder), ("REPORT_PROMPT_VERSION", version)])
}

/// Returns the number of the part that a call asks about; none where it asks for the report.
fn part(call: &Call) -> Option<usize> {
    let text = call.text();
    let (_, rest) = text.split_once("This is part ")?;
    rest.split(' ').next()?.parse().ok()
}

/// Returns the messages of a call as (role, content).
fn messages(call: &Call) -> Vec<(&str, &str)> {
    let messages = call.body["messages"].as_array().expect("messages");
    messages.iter().map(|message| (text(&message["role"]), text(&message["content"]))).collect()
}

fn text(value: &Value) -> &str {
    value.as_str().expect("a text")
}

/// Returns the codes of the remarks that were kept beside a report.
async fn notes(world: &World, report: &str) -> Vec<String> {
    let notes = object(world, &report.replace("report.json", "notes.json")).await;
    notes["notes"].as_array().expect("notes").iter().map(|note| text(&note["code"]).to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_are_asked_about_at_once_and_none_of_them_again_after_a_crash() {
    let world = World::start().await;
    let (noting, reporting) = (Gate::new(), Gate::new());
    world.model.respond({
        let (noting, reporting) = (noting.clone(), reporting.clone());
        move |call| match part(call) {
            Some(number) => Reply::answer(NOTES[number - 1]).held(&noting),
            None => Reply::answer(MINUTES).held(&reporting),
        }
    });
    let env = short_leases(env(&world, "minutes-map-reduce-v1"));
    let mut first = worker(&env).await;
    let id = world.enqueue(LONG).await;

    // None of the three has its answer before all of them are asked.
    noting.reached_by(3).await;
    noting.release();
    reporting.reached().await;
    die(&mut first).await;
    reporting.release();

    let _second = worker(&env).await;
    let file = world.wait_for_status(id, "succeeded").await;
    let calls = world.model.requests();
    let mut asked: Vec<_> = calls.iter().map(part).collect();
    asked[..3].sort_unstable();
    assert_eq!(asked, [Some(1), Some(2), Some(3), None, None], "what was in flight is bought twice, and nothing else");
    assert_eq!(calls[3].body, calls[4].body, "the same answers lead to the same question");
    for words in ["The town has not decided yet.", "donors' wall", "captain's diary"] {
        assert!(calls[3].text().contains(words), "the notes on each part are in the last question");
    }
    assert_eq!(outcomes(&world, id).await, [(1, "lost".to_owned()), (2, "succeeded".to_owned())]);

    let key = file.storage_key_report.expect("a report");
    assert_eq!(object(&world, &key).await["next_steps"][0]["due_date"], "2026-01-12");
    assert_eq!(notes(&world, &key).await, ["read-in-parts"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_between_the_rounds_buys_no_part_again() {
    let world = World::start().await;
    let refused = std::sync::atomic::AtomicBool::new(false);
    world.model.respond(move |call| match part(call) {
        Some(number) => Reply::answer(NOTES[number - 1]),
        None if !refused.swap(true, std::sync::atomic::Ordering::SeqCst) => Reply::status(500, "{}"),
        None => Reply::answer(MINUTES),
    });
    let _worker = worker(&with(env(&world, "minutes-map-reduce-v1"), &[("JOB_BACKOFF_MS", "1")])).await;
    let id = world.enqueue(LONG).await;
    world.wait_for_status(id, "succeeded").await;
    assert_eq!(world.job(id).await.attempts, 2);
    assert_eq!(world.model.requests().iter().filter_map(part).count(), 3);
    assert_eq!(world.model.calls(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn notes_that_cannot_be_used_end_the_job_before_a_report_is_asked_for() {
    let world = World::start().await;
    world.model.respond(|call| match part(call) {
        Some(2) => Reply::answer("I would rather write prose."),
        Some(number) => Reply::answer(NOTES[number - 1]),
        None => panic!("there is nothing to make a report of"),
    });
    let _worker = worker(&env(&world, "minutes-map-reduce-v1")).await;
    let id = world.enqueue(LONG).await;
    let file = world.wait_for_status(id, "failed").await;
    assert_eq!(file.error_code.as_deref(), Some("schema_validation_failed"));
    let raw = object(&world, &file.storage_key_raw_llm_output.expect("the raw output")).await;
    assert_eq!(raw["findings"].as_array().map(Vec::len), Some(1));
    assert_eq!(raw["findings"][0]["code"], "not-json");
    assert!(text(&raw["findings"][0]["message"]).starts_with("part 2 of 3: "));
    assert_eq!(raw["answers"].as_array().map(Vec::len), Some(3), "what was paid for is kept");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_longest_transcript_stays_within_the_limits_of_a_job() {
    const LONGEST: usize = 6_399_990;
    let world = World::start().await;
    world.model.respond(|call| match part(call) {
        Some(_) => Reply::json(&json!({ "points": ["They go on."], "next_steps": [], "concerns": [] })),
        None => Reply::json(&answer()),
    });
    // Sizes are what this is about, and a machine that runs all tests at once may be slow.
    let env = with(env(&world, "minutes-map-reduce-v1"), &[("GUEST_CALL_TIMEOUT_MS", "60000")]);
    let _worker = worker(&env).await;
    let mut transcript = "Ana: We go on.\n".repeat(LONGEST / 15);
    assert_eq!(transcript.len(), LONGEST);
    let id = world.enqueue(transcript.clone()).await;
    world.wait_for_status(id, "succeeded").await;
    assert_eq!(world.model.calls(), 31);

    transcript.push('\n');
    let id = world.enqueue(transcript).await;
    let file = world.wait_for_status(id, "failed").await;
    assert_eq!(file.error_code.as_deref(), Some("schema_validation_failed"));
    assert!(file.error_message.is_some_and(|message| message.contains("unsupported")));
    assert_eq!(world.model.calls(), 31);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_is_repaired_with_its_findings_in_the_second_question() {
    let world = World::start().await;
    let mut bad = answer();
    bad["risk_level"] = json!("sky-high");
    world.model.push(Reply::json(&bad));
    world.model.push(Reply::json(&answer()));
    let _worker = worker(&env(&world, "meeting-repair-v1")).await;
    let id = world.enqueue(TRANSCRIPT).await;

    let file = world.wait_for_status(id, "succeeded").await;
    let calls = world.model.requests();
    assert_eq!(calls.len(), 2);
    let (first, second) = (messages(&calls[0]), messages(&calls[1]));
    assert_eq!(second.iter().map(|(role, _)| *role).collect::<Vec<_>>(), ["system", "user", "assistant", "user"]);
    assert_eq!(second[..2], first[..]);
    assert_eq!(second[2].1, bad.to_string());
    assert!(second[3].1.contains("- /risk_level: is none of the allowed values (enum)"), "{}", second[3].1);
    assert!(!second[3].1.contains("sky-high"), "{}", second[3].1);
    assert_eq!(calls[1].schema(), calls[0].schema());

    let key = file.storage_key_report.expect("a report");
    assert_eq!(object(&world, &key).await["risk_level"], "low");
    assert_eq!(notes(&world, &key).await, ["repaired"]);
    assert_eq!(world.job(id).await.attempts, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_stays_bad_is_asked_for_twice_and_no_more() {
    let world = World::start().await;
    world.model.push(Reply::answer("I would rather write prose."));
    let mut bad = answer();
    bad["risk_level"] = json!("sky-high");
    world.model.always(Reply::json(&bad));
    let _worker = worker(&env(&world, "meeting-repair-v1")).await;
    let id = world.enqueue(TRANSCRIPT).await;

    let file = world.wait_for_status(id, "failed").await;
    assert_eq!(file.error_code.as_deref(), Some("schema_validation_failed"));
    let message = file.error_message.expect("a message");
    assert!(message.contains("/risk_level") && !message.contains("sky-high"), "{message}");
    let raw = object(&world, &file.storage_key_raw_llm_output.expect("the raw output")).await;
    assert_eq!(raw["findings"][0]["pointer"], "/risk_level");
    assert_eq!(raw["answers"].as_array().map(Vec::len), Some(2));
    assert_eq!(world.model.calls(), 2);
    assert!(messages(&world.model.requests()[1])[3].1.contains("(not-json)"));
}
