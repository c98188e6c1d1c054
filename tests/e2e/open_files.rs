//! A worker without file descriptors: that is no fault of a file, and none of what the worker calls.

use assay_tests::{AssayProcess, Reply, World};
use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};

use crate::fixtures::{TRANSCRIPT, answer, env, with, worker};

/// Sets how many files a process may open; returns what it was before.
fn limit(process: &AssayProcess, current: Option<u64>) -> Rlimit {
    let id = Pid::from_raw(i32::try_from(process.id()).expect("a process id"));
    let maximum = getrlimit(Resource::Nofile).maximum;
    prlimit(id, Resource::Nofile, Rlimit { current, maximum }).expect("a child's limit can be set")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_meets_no_file_descriptor_is_held_without_an_attempt() {
    let world = World::start().await;
    world.model.always(Reply::json(&answer()));
    let worker = worker(&with(env(&world), &[("JOB_HOLD_MS", "300")])).await;
    // What is open stays open, and nothing can be opened, not even in the place of a file that is closed meanwhile.
    let before = limit(&worker, Some(0));
    let id = world.enqueue(TRANSCRIPT).await;
    let held = async || world.attempts(id).await.iter().any(|one| one.outcome == "held");
    world.wait_until("an attempt that was held", held).await;
    let attempt = world.attempts(id).await.swap_remove(0);
    assert_eq!(attempt.code.as_deref(), Some("worker_out_of_files"), "{attempt:?}");
    limit(&worker, before.current);
    world.wait_for_status(id, "succeeded").await;
    assert_eq!(world.job(id).await.attempts, 1, "every attempt but the last was given back");
    assert_eq!(before.current, before.maximum, "a worker raises its limit at the start");
}
