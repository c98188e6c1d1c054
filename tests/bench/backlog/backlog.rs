//! Backlogs: jobs that wait for something.

use std::time::Duration;

use anyhow::{Context, bail};
use sqlx::{Executor, PgPool};
use uuid::Uuid;

use crate::stage::Stage;

/// The channel of the job that can run; nothing of it is paused.
pub const HEALTHY_CHANNEL: &str = "default";
const PATIENCE: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// Why jobs wait.
pub struct Backlog {
    pub name: &'static str,
    channel: &'static str,
    prompt_version: Option<&'static str>,
    guest_digest: Option<&'static str>,
    paused: bool,
    /// From now; before, where it is negative.
    due_in_hours: f64,
}

const WAITING: Backlog = Backlog {
    name: "",
    channel: HEALTHY_CHANNEL,
    prompt_version: None,
    guest_digest: None,
    paused: false,
    due_in_hours: -1.0,
};

pub const BACKLOGS: [Backlog; 4] = [
    Backlog { name: "of a prompt version that no worker serves", prompt_version: Some("waits-v1"), ..WAITING },
    Backlog {
        name: "pinned to a release that may not be called",
        guest_digest: Some("00000000000000000000000000000000000000000000000000000000000000aa"),
        ..WAITING
    },
    Backlog { name: "of a paused channel", channel: "paused", paused: true, ..WAITING },
    Backlog { name: "that is due later", due_in_hours: 24.0, ..WAITING },
];

impl Backlog {
    /// Replaces all jobs by this backlog.
    ///
    /// # Errors
    /// The database's.
    pub async fn fill(&self, stage: &Stage, jobs: i64) -> anyhow::Result<()> {
        let pool = &stage.pool;
        pool.execute("truncate processing_jobs, files, queue_pauses cascade").await?;
        sqlx::query(
            "with file as (
                 insert into files (user_id, storage_bucket, storage_key_original, extension, mime_type, size_bytes, status)
                 select gen_random_uuid(), 'bench', 'waits/' || number, 'txt', 'text/plain', 1, 'queued'
                   from generate_series(1, $1) as number
                 returning id
             )
             insert into processing_jobs (file_id, channel, prompt_version, guest_digest, next_run_at)
             select id, $2, $3, $4, now() + $5 * interval '1 hour' from file",
        )
        .bind(jobs)
        .bind(self.channel)
        .bind(self.prompt_version)
        .bind(self.guest_digest)
        .bind(self.due_in_hours)
        .execute(pool)
        .await
        .context("insert")?;
        if self.paused {
            sqlx::query("insert into queue_pauses (channel, actor) values ($1, 'bench')")
                .bind(self.channel)
                .execute(pool)
                .await?;
        }
        pool.execute("analyze").await?;
        pool.execute("checkpoint").await?;
        Ok(())
    }
}

/// Waits until a file has its report, and returns the time from enqueue to claim, in ms.
///
/// # Errors
/// The database's, or the file does not succeed.
pub async fn wait_for_report(pool: &PgPool, file: Uuid) -> anyhow::Result<f64> {
    let succeeds = async {
        loop {
            let (status, lag): (String, Option<f64>) = sqlx::query_as(
                "select status, (extract(epoch from started_at - queued_at) * 1000)::float8 from files where id = $1",
            )
            .bind(file)
            .fetch_one(pool)
            .await?;
            match (status.as_str(), lag) {
                ("succeeded", Some(lag)) => return Ok(lag),
                ("failed", _) => bail!("the file failed"),
                _ => tokio::time::sleep(LOOK_EVERY).await,
            }
        }
    };
    tokio::time::timeout(PATIENCE, succeeds).await.context("it was not picked up")?
}
