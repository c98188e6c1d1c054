//! A steady flow of jobs: so many wait or run at any time, and each that ends is followed by another.

use std::{sync::Arc, time::Duration};

use anyhow::Context;
use bytes::Bytes;
use tokio::{sync::watch, task::JoinHandle};
use uuid::Uuid;

use crate::{model::FILE_MARK, stage::Stage};

/// Time between two looks at the queue.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// Jobs added at one look, at most: so the first ones do not begin, and end, in one moment.
const AT_ONCE: usize = 5;

/// A flow that goes on until it is ended.
pub struct Flow {
    end: watch::Sender<bool>,
    adding: JoinHandle<anyhow::Result<()>>,
}

impl Flow {
    /// Begins one that keeps `live` jobs live.
    pub fn begin(stage: Arc<Stage>, live: usize) -> Self {
        let (end, mut ended) = watch::channel(false);
        let adding = tokio::spawn(async move {
            let mut ticks = tokio::time::interval(LOOK_EVERY);
            loop {
                tokio::select! {
                    _ = ended.changed() => return Ok(()),
                    _ = ticks.tick() => add(&stage, live).await?,
                }
            }
        });
        Self { end, adding }
    }

    /// Adds nothing more.
    ///
    /// # Errors
    /// What went wrong meanwhile.
    pub async fn end(self) -> anyhow::Result<()> {
        self.end.send_replace(true);
        self.adding.await.context("the flow panicked")?.context("add jobs")
    }
}

/// Adds what is missing, at once as much as the pace allows.
async fn add(stage: &Stage, wanted: usize) -> anyhow::Result<()> {
    // Two counts, each of which has an index of its own.
    let live: i64 = sqlx::query_scalar(
        "select (select count(*) from processing_jobs where status = 'queued')
              + (select count(*) from processing_jobs where status = 'processing')",
    )
    .fetch_one(&stage.pool)
    .await?;
    let missing = wanted.saturating_sub(usize::try_from(live)?).min(AT_ONCE);
    if missing == 0 {
        return Ok(());
    }
    let files = stage.add_files(missing, transcript).await?;
    sqlx::query("select assay_enqueue(id) from unnest($1::uuid[]) as id").bind(&files).execute(&stage.pool).await?;
    Ok(())
}

/// 2 KB of talk about the file itself, so that no two files ask the same.
fn transcript(file: Uuid) -> Bytes {
    let mut text = format!("{FILE_MARK}{file}.\n");
    let mut turn = 0;
    while text.len() < 2 * 1024 {
        turn += 1;
        text.push_str(&format!("Person {}: We come to point {turn}, which is on the way.\n", turn % 5));
    }
    text.into()
}
