//! What a worker does for its guests. Those that misbehave are in `tests/hostile`.

use assay_runtime::testing::WatGuest;
use assay_tests::{Gate, Operation, Reply, Signal, World};

use crate::fixtures::{TRANSCRIPT, env_with_guests, with, worker};

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
