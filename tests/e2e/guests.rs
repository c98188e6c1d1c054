//! What a worker does for its guests, and what it lets none do to it. All the ways to misbehave are in `tests/hostile`.

use assay_runtime::testing::{WatGuest, hostile};
use assay_tests::{FileRow, Gate, Operation, Reply, Signal, World};

use crate::fixtures::{TRANSCRIPT, env_with_guests, with, worker};

/// Runs `hostile` beside a good guest, whose jobs must not notice, and returns how its file failed.
async fn beside_a_neighbour(hostile: WatGuest) -> (World, FileRow) {
    const GOOD: &str = "good";
    let world = World::start().await;
    world.model.always(Reply::answer("{}"));
    let guests = [WatGuest::new(GOOD), hostile.prompt_version("hostile")];
    let changes = [("GUEST_CALL_TIMEOUT_MS", "500"), ("JOB_BACKOFF_MS", "1")];
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
    let (world, file) = beside_a_neighbour(hostile::spins_in_advance()).await;
    assert_eq!(file.error_code.as_deref(), Some("guest_timeout"));
    assert_eq!(world.job(file.id).await.attempts, 4, "a busy machine may be at fault, so it is tried again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_cannot_allocate_past_its_limit() {
    let (world, file) = beside_a_neighbour(hostile::grows_memory_for_ever()).await;
    assert_eq!(file.error_code.as_deref(), Some("guest_out_of_memory"));
    assert_eq!(world.job(file.id).await.attempts, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_cannot_return_more_than_its_limit() {
    let (_world, file) = beside_a_neighbour(hostile::returns_a_text_of(9 << 20)).await;
    assert_eq!(file.error_code.as_deref(), Some("guest_bad_output"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trap_is_an_error_code() {
    let (world, file) = beside_a_neighbour(hostile::traps("(unreachable)")).await;
    assert_eq!(file.error_code.as_deref(), Some("guest_trap"));
    assert_eq!(world.job(file.id).await.attempts, 1, "the same input traps again");
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
async fn a_pinned_digest_stays_loadable_until_its_jobs_end() {
    let world = World::start().await;
    world.model.push(Reply::status(500, "{}"));
    world.model.always(Reply::answer("{}"));
    let env = with(env_with_guests(&world, &[WatGuest::new("good")]), &[("JOB_BACKOFF_MS", "3600000")]);
    let mut first = worker(&env).await;
    world.objects.wait_for(Operation::Put, "guests/", 1).await;
    let id = world.enqueue(TRANSCRIPT).await;
    let pinned = world.wait_for_job(id, |job| job.last_error_code.is_some()).await.guest_digest;
    first.signal(Signal::TERM);
    assert!(first.wait().await.success());

    // The same version, other bytes, on another machine: what was pinned comes from the bucket.
    let cache = tempfile::tempdir().expect("a folder");
    let elsewhere = cache.path().join("guests").display().to_string();
    let second = WatGuest::new("good").document("{\"second\":true}");
    let env = with(env_with_guests(&world, &[second]), &[("GUEST_CACHE_DIR", &elsewhere)]);
    let second = worker(&env).await;
    second.wait_for_line("release loaded").await;
    world.make_due(id).await;
    let file = world.wait_for_status(id, "succeeded").await;
    assert_eq!(file.guest_digest, pinned);
    let fresh = world.enqueue(TRANSCRIPT).await;
    assert_ne!(world.wait_for_status(fresh, "succeeded").await.guest_digest, pinned);
}
