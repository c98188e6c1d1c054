//! What several modules of tests share: workers with short times, and answers that the reference guest accepts.

use assay_tests::World;
pub use assay_tests::{Env, TRANSCRIPT, admin, die, env_with_guests, examples, with, worker};
use serde_json::{Value, json};

/// The prompt version of the reference guest that most tests run.
pub const VERSION: &str = "meeting-v1";

/// Returns an answer that `meeting-v1` accepts.
pub fn answer() -> Value {
    json!({
        "overview": "Ana and Ben plan a release.",
        "highlights": ["The release is on Friday."],
        "next_steps": [{ "owner": "Ben", "action": "Write the notes.", "due_date": null }],
        "risk_level": "low"
    })
}

/// Returns the world's environment with the reference guest as the default.
pub fn env(world: &World) -> Env {
    with(world.env(), &[("REPORT_PROMPT_VERSION", VERSION)])
}

/// Leases of two seconds, so that the rescue of a dead worker's job is a matter of seconds.
pub fn short_leases(env: Env) -> Env {
    with(env, &[("WORKER_LEASE_MS", "2000"), ("WORKER_BEAT_MS", "400"), ("REAPER_EVERY_MS", "200")])
}

/// Returns a JSON object in the bucket.
pub async fn object(world: &World, key: &str) -> Value {
    let bytes = world.objects.get(key).await.unwrap_or_else(|| panic!("no object {key}"));
    serde_json::from_slice(&bytes).expect("artifacts are JSON")
}

/// Returns seconds between the moment a job's row was last written and its next run, both by the database's clock.
pub async fn wait_of(world: &World, file: uuid::Uuid) -> f64 {
    sqlx::query_scalar(
        "SELECT extract(epoch FROM next_run_at - updated_at)::float8 FROM processing_jobs WHERE file_id = $1",
    )
    .bind(file)
    .fetch_one(world.database.pool())
    .await
    .expect("a row in processing_jobs")
}

/// Returns how each claim of a file's job ended, by its token.
pub async fn outcomes(world: &World, file: uuid::Uuid) -> Vec<(i64, String)> {
    world.attempts(file).await.into_iter().map(|attempt| (attempt.lease_token, attempt.outcome)).collect()
}
