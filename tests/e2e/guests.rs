//! Guests that misbehave, in a real worker, beside neighbours that do not.

use assay_runtime::testing::{WatGuest, hostile};
use assay_tests::{FileRow, Gate, Reply, World};

use crate::fixtures::{TRANSCRIPT, env_with_guests, with, worker};

/// The neighbour that must not notice anything.
const GOOD: &str = "good";

/// Runs `hostile` beside a good guest and returns how its file ended.
async fn beside_a_neighbour(hostile: WatGuest, changes: &[(&str, &str)]) -> (World, FileRow) {
    let world = World::start().await;
    world.model.always(Reply::answer("{}"));
    let guests = [WatGuest::new(GOOD), hostile.prompt_version("hostile")];
    let changes = [&[("GUEST_CALL_TIMEOUT_MS", "500"), ("JOB_BACKOFF_MS", "1")], changes].concat();
    let worker = worker(&with(env_with_guests(&world, &guests), &changes)).await;
    let bad = world.upload("txt", TRANSCRIPT).await;
    world.enqueue_file(bad, Some("hostile")).await;
    let mut neighbours = Vec::new();
    for _ in 0..4 {
        let id = world.upload("txt", TRANSCRIPT).await;
        world.enqueue_file(id, Some(GOOD)).await;
        neighbours.push(id);
    }
    for id in neighbours {
        world.wait_for_status(id, "succeeded").await;
        assert_eq!(world.job(id).await.attempts, 1);
    }
    let file = world.wait_for_status(bad, "failed").await;
    let lost = worker.stderr().into_iter().find(|line| line.contains("lost claims"));
    assert_eq!(lost, None, "no lease was lost");
    assert_eq!(file.storage_key_report, None);
    (world, file)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_that_never_returns_is_stopped_and_others_go_on() {
    let (world, file) = beside_a_neighbour(hostile::spins_in_advance(), &[]).await;
    assert_eq!(file.error_code.as_deref(), Some("guest_timeout"));
    assert_eq!(world.job(file.id).await.attempts, 4, "a busy machine may be at fault, so it is tried again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_cannot_allocate_past_its_limit() {
    let (world, file) = beside_a_neighbour(hostile::grows_memory_for_ever(), &[]).await;
    assert_eq!(file.error_code.as_deref(), Some("guest_out_of_memory"));
    assert_eq!(world.job(file.id).await.attempts, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_cannot_return_more_than_its_limit() {
    let (_world, file) = beside_a_neighbour(hostile::returns_a_text_of(9 << 20), &[]).await;
    assert_eq!(file.error_code.as_deref(), Some("guest_bad_output"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trap_is_an_error_code() {
    let (world, file) = beside_a_neighbour(hostile::traps("(unreachable)"), &[]).await;
    assert_eq!(file.error_code.as_deref(), Some("guest_trap"));
    assert_eq!(world.job(file.id).await.attempts, 1, "the same input traps again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_that_breaks_its_own_schema_never_leaves() {
    let (world, file) = beside_a_neighbour(hostile::breaks_its_own_schema(), &[]).await;
    assert_eq!(file.error_code.as_deref(), Some("report_invalid"));
    assert!(file.storage_key_raw_llm_output.is_some(), "the answer that was paid for is kept");
    let prefix = format!("users/{}/files/{}/runs", file.user_id, file.id);
    assert!(world.objects.list(&prefix).iter().all(|key| !key.ends_with("report.json")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_that_is_no_json_or_too_deep_or_too_large_never_leaves() {
    for guest in [hostile::accepts_what_is_no_json(), hostile::accepts_nested(129)] {
        let (_world, file) = beside_a_neighbour(guest, &[]).await;
        assert_eq!(file.error_code.as_deref(), Some("report_invalid"));
    }
    let (_world, file) = beside_a_neighbour(hostile::returns_a_text_of(5 << 20), &[]).await;
    assert_eq!(file.error_code.as_deref(), Some("report_invalid"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_cannot_ask_more_than_its_limits() {
    for guest in [hostile::asks_for_ever(), hostile::asks_many(33), hostile::asks_a_prompt_of((2 << 20) + 1)] {
        let (world, file) = beside_a_neighbour(guest, &[]).await;
        assert_eq!(file.error_code.as_deref(), Some("guest_limit_exceeded"));
        assert!(world.model.calls() <= 8, "four neighbours and four rounds");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_has_no_more_questions_with_the_model_than_its_limit() {
    const LIMIT: usize = 4;
    const QUESTIONS: usize = 8;
    let mut guest = WatGuest::new("asks-eight");
    let question = guest.data.text("What is it about?");
    let prompt = guest.data.prompt(question, None);
    let ask = guest.data.ask(&[prompt; QUESTIONS]);
    let document = guest.data.text("{}");
    let accept = guest.data.accept(document);
    let guest = guest.advance(format!("(select (i32.const {accept}) (i32.const {ask}) (local.get $answers_len))"));
    let world = World::start().await;
    let gates: Vec<_> = (0..QUESTIONS).map(|_| Gate::new()).collect();
    world.model.respond({
        let gates = gates.clone();
        move |call| Reply::answer("{}").held(&gates[call.number - 1])
    });
    let _worker = worker(&env_with_guests(&world, &[guest])).await;
    let id = world.enqueue(TRANSCRIPT).await;

    world.model.wait_for_calls(LIMIT).await;
    let mut answered = Vec::new();
    for (number, gate) in gates.iter().enumerate() {
        gate.reached().await;
        answered.push(std::time::Instant::now());
        gate.release();
        world.model.wait_for_calls((LIMIT + number + 1).min(QUESTIONS)).await;
    }
    world.wait_for_status(id, "succeeded").await;
    let calls = world.model.requests();
    assert_eq!(calls.len(), QUESTIONS);
    for (call, before) in calls[LIMIT..].iter().zip(&answered) {
        assert!(call.at >= *before, "call {} was made while {LIMIT} others waited", call.number);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_that_asks_nothing_breaks_the_contract() {
    let (_world, file) = beside_a_neighbour(hostile::asks_nothing(), &[]).await;
    assert_eq!(file.error_code.as_deref(), Some("guest_bad_output"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_that_does_not_load_is_told_of_and_the_others_serve() {
    let world = World::start().await;
    world.model.always(Reply::answer("{}"));
    let env = env_with_guests(&world, &[WatGuest::new(GOOD), hostile::spins_in_describe()]);
    let worker = worker(&with(env, &[("GUEST_CALL_TIMEOUT_MS", "300"), ("REPORT_PROMPT_VERSION", GOOD)])).await;
    worker.wait_for_line("guest does not load").await;
    let id = world.enqueue(TRANSCRIPT).await;
    world.wait_for_status(id, "succeeded").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pinned_digest_stays_loadable_until_its_jobs_end() {
    let world = World::start().await;
    world.model.push(Reply::status(500, "{}"));
    world.model.always(Reply::answer("{}"));
    let env = with(env_with_guests(&world, &[WatGuest::new(GOOD)]), &[("JOB_BACKOFF_MS", "3600000")]);
    let mut first = worker(&env).await;
    world.objects.wait_for(assay_tests::Operation::Put, "guests/", 1).await;
    let id = world.enqueue(TRANSCRIPT).await;
    let pinned = world.wait_for_job(id, |job| job.last_error_code.is_some()).await.guest_digest;
    first.signal(assay_tests::Signal::TERM);
    assert!(first.wait().await.success());

    // The same version, other bytes.
    let env = with(env_with_guests(&world, &[WatGuest::new(GOOD).document("{\"second\":true}")]), &[]);
    let second = worker(&env).await;
    second.wait_for_line("guest loaded for jobs that have pinned it").await;
    world.make_due(id).await;
    let file = world.wait_for_status(id, "succeeded").await;
    assert_eq!(file.guest_digest, pinned);
    let fresh = world.enqueue(TRANSCRIPT).await;
    assert_ne!(world.wait_for_status(fresh, "succeeded").await.guest_digest, pinned);
}
