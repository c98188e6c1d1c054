//! The way back: everything is healed, and in the end no job is left that waits or runs.

use std::time::Duration;

use anyhow::{Context, ensure};
use assay_tests::{AssayProcess, DEADLINE};
use serde::Deserialize;
use sqlx::PgPool;
use tokio::time::Instant;
use uuid::Uuid;

use crate::stage::Stage;

/// How often the queue is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Two days: older than any sweep of a run wants an object to be.
const OBJECT_AGE: Duration = Duration::from_secs(2 * 86_400);

/// Jobs that are alive, but for those of a swarm that wait for the far future.
const LIVE: &str = "select j.file_id, j.status, j.last_error_code
      from processing_jobs j
      join files f on f.id = j.file_id
     where j.status in ('queued', 'processing') and f.storage_key_original not like 'users/future/%'
     order by j.id";

/// Makes what waits due now, in place of waiting for its backoff.
const DUE: &str = "with due as (
        update processing_jobs j set next_run_at = now()
          from files f
         where f.id = j.file_id and j.status = 'queued' and j.next_run_at > now()
           and f.storage_key_original not like 'users/future/%'
        returning j.id
    ) select pg_notify('assay_jobs', '') from due limit 1";

/// Heals everything, puts a worker into every place, and waits until every job has ended. At the deadline it returns those that have not, and
/// leaves the verdict on that to the invariants.
///
/// # Errors
/// If the database stays away.
pub async fn wait(stage: &Stage, patience: Duration) -> anyhow::Result<Vec<String>> {
    stage.services.heal();
    stage.fleet.fill(&stage.services).await;
    stage.fleet.ready().await;
    stage.old.fill(&stage.services).await?;
    let deadline = Instant::now() + patience + stage.services.times.lease * 8 + DEADLINE;
    loop {
        let ask = async |pool: &PgPool| sqlx::query_as::<_, (Uuid, String, Option<String>)>(LIVE).fetch_all(pool).await;
        let live = stage.services.patiently("look for live jobs", ask).await?;
        if live.is_empty() || Instant::now() > deadline {
            return Ok(live
                .into_iter()
                .map(|(file, status, code)| format!("file {file}: {status}, {code:?}"))
                .collect());
        }
        stage.services.patiently("make jobs due", async |pool: &PgPool| sqlx::query(DUE).execute(pool).await).await?;
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Returns whether anything can lie in the bucket that no row points at: only what a claim that was lost has written.
///
/// # Errors
/// If the database stays away.
pub async fn has_lost_claims(stage: &Stage) -> anyhow::Result<bool> {
    let sql = "select exists (select from job_attempts where outcome = 'lost')";
    stage
        .services
        .patiently("look for lost claims", async |pool: &PgPool| sqlx::query_scalar(sql).fetch_one(pool).await)
        .await
}

#[derive(Debug, Deserialize)]
pub struct Swept {
    pub deleted: u64,
    /// Objects that it could not delete.
    pub failed: u64,
}

/// Sweeps the bucket as an operator does; returns how many objects went.
///
/// # Errors
/// If the sweep fails, or leaves something.
pub async fn sweep(stage: &Stage, patience: Duration) -> anyhow::Result<u64> {
    let swept = try_to_sweep(stage, "sweep", patience).await?;
    ensure!(swept.failed == 0, "the sweep could not delete {} objects", swept.failed);
    Ok(swept.deleted)
}

/// Sweeps the bucket, successfully or not, and keeps the log under this name.
///
/// # Errors
/// If the sweep fails as a whole, or says by its exit something else than by its words.
#[expect(clippy::disallowed_methods, reason = "the sweep compares the times of files on this machine")]
pub async fn try_to_sweep(stage: &Stage, name: &str, patience: Duration) -> anyhow::Result<Swept> {
    let then = std::time::SystemTime::now() - OBJECT_AGE;
    for key in stage.services.objects.list("users/") {
        let file = std::fs::File::options().write(true).open(stage.services.objects.bucket().path(&key));
        file.and_then(|file| file.set_modified(then)).with_context(|| format!("make {key} old"))?;
    }
    let arguments = ["sweep", "--delete", "--older-than", "1h", "--max-percent", "100", "--json"];
    let mut process = AssayProcess::spawn(&arguments, &stage.services.operator());
    let ended = tokio::time::timeout(patience + DEADLINE, process.wait_however_long());
    let status = ended.await.context("the sweep did not end")?;
    stage.fleet.keep(name, &process)?;
    let printed = || format!("assay {}: {:?}", arguments.join(" "), process.stderr());
    let swept: Swept = serde_json::from_str(&process.stdout().join("\n")).with_context(printed)?;
    ensure!(status.success() == (swept.failed == 0), "{}", printed());
    Ok(swept)
}
