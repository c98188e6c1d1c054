//! Splits ids by the state of their jobs.

use std::collections::HashSet;

use anyhow::Context;
use assay_db::failed::FailedJob;
use uuid::Uuid;

use crate::requeue::{choice::BATCH, failed, outcome::RequeueOutcome, session::Session};

#[derive(Debug, Default)]
pub struct IdsByState {
    /// Ids of jobs or files, as the user gave them.
    pub failed: Vec<Uuid>,
    /// Ids of files.
    pub succeeded: Vec<Uuid>,
}

/// Splits ids by the state of their jobs, each job once. Refuses jobs that have not ended.
pub async fn split(session: &Session, ids: &[Uuid], outcome: &mut RequeueOutcome) -> anyhow::Result<IdsByState> {
    let mut by_state = IdsByState::default();
    // The user may name a job twice: by its own id and by the id of its file.
    let mut seen = HashSet::new();
    for batch in ids.chunks(BATCH) {
        let found = session.database.failed_jobs(batch, session.began).await.context("look up the jobs")?;
        for one in found {
            if one.job.is_some_and(|job| !seen.insert(job)) {
                continue;
            }
            match one.status.as_deref() {
                Some("failed") => by_state.failed.push(one.named),
                Some("succeeded") => by_state.succeeded.push(file_of(session, &one).await?),
                _ => outcome.refused.push(failed::refusal(&one)),
            }
        }
    }
    Ok(by_state)
}

/// Returns the id of the job's file.
async fn file_of(session: &Session, found: &FailedJob) -> anyhow::Result<Uuid> {
    if found.job != Some(found.named) {
        return Ok(found.named);
    }
    let detail = session.database.job(found.named).await.context("look up the job's file")?;
    // A job that was deleted meanwhile is refused later, because no file has its id.
    Ok(detail.map_or(found.named, |detail| detail.job.file_id))
}
