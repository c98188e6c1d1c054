//! Requeues failed jobs.

use std::collections::{BTreeMap, HashMap, HashSet};

use assay_db::{
    DbError, Parts,
    failed::{FailedJob, FailedSelection},
};
use uuid::Uuid;

use crate::{
    output::bar,
    requeue::{
        choice::{Choice, Page, Source, Walk},
        outcome::{FailedGroup, Refused, RequeueOutcome},
        session::{Session, interrupted},
    },
};

struct FailedJobs<'a>(&'a Session);

impl Source for FailedJobs<'_> {
    type Selection = FailedSelection;
    type Found = FailedJob;

    async fn named(&self, ids: &[Uuid]) -> Result<Vec<FailedJob>, DbError> {
        self.0.database.failed_jobs(ids, self.0.began).await
    }

    async fn page(&self, selection: &FailedSelection, after: Option<Uuid>) -> Result<Page<FailedJob>, DbError> {
        let mut found = self.0.database.select_failed(selection, self.0.began, after.unwrap_or_default()).await?;
        let last = found.last().map(|last| last.named);
        found.retain(|job| job.eligible);
        Ok(Page { found, last })
    }
}

/// Requeues the failed jobs of a choice, or counts them in a dry run.
pub async fn requeue(
    session: &Session,
    choice: Choice<FailedSelection>,
    outcome: &mut RequeueOutcome,
) -> anyhow::Result<()> {
    let bar = bar("{spinner} {pos} jobs in {elapsed}", None);
    let mut tally = FailedTally::default();
    // The user may name a job twice: by its own id and by the id of its file.
    let mut seen = HashSet::new();
    let mut walk = Walk::new(FailedJobs(session), &choice);
    loop {
        let mut found = walk.next().await?;
        if found.is_empty() {
            break;
        }
        found.retain(|one| one.job.is_none_or(|job| seen.insert(job)));
        let (eligible, other): (Vec<_>, Vec<_>) = found.into_iter().partition(|one| one.eligible);
        outcome.refused.extend(other.iter().map(refusal));
        if !eligible.is_empty() {
            requeue_batch(session, &eligible, choice.is_named(), outcome, &mut tally).await?;
            bar.set_position(outcome.jobs);
        }
    }
    bar.finish_and_clear();
    outcome.failed = tally.groups();
    Ok(())
}

/// Requeues the jobs of a batch that are still failed, but for those whose rows the database refuses to change.
async fn requeue_batch(
    session: &Session,
    batch: &[FailedJob],
    named: bool,
    outcome: &mut RequeueOutcome,
    tally: &mut FailedTally,
) -> anyhow::Result<()> {
    if session.dry_run {
        session.add_planned(outcome, batch.len() as u64);
        batch.iter().for_each(|found| tally.add(found));
        return Ok(());
    }
    let jobs: Vec<Uuid> = batch.iter().filter_map(|found| found.job).collect();
    let mut done = HashSet::new();
    let mut parts = Parts::of(&jobs);
    while let Some(part) = parts.next_part() {
        let requeued = session.database.requeue_failed(part, &session.pace(outcome.jobs)).await;
        let requeued = parts.settle(part, requeued).map_err(|error| interrupted(error, outcome.jobs))?;
        let requeued = requeued.unwrap_or_default();
        outcome.add(requeued.len() as u64, requeued.iter().map(|one| one.begins_at).max());
        done.extend(requeued.iter().map(|one| one.job));
    }
    let refused: HashMap<Uuid, String> = parts.refused().into_iter().map(|one| (one.row, one.sqlstate)).collect();
    for found in batch {
        if found.job.is_some_and(|job| done.contains(&job)) {
            tally.add(found);
        } else if let Some(sqlstate) = found.job.and_then(|job| refused.get(&job)) {
            outcome.refused.push(Refused::by_database(found.named, sqlstate));
        } else if named {
            outcome.refused.push(Refused::new(found.named, "another command changed it"));
        } else {
            outcome.changed_meanwhile += 1;
        }
    }
    Ok(())
}

/// Returns why a named job is not requeued.
pub fn refusal(found: &FailedJob) -> Refused {
    let reason = match found.status.as_deref() {
        None => "there is no such job, and no enqueued file with this id",
        Some("queued") => "it is already queued",
        Some("processing") => "it is running",
        Some("succeeded") => "it succeeded; `assay requeue ID` runs such a file again",
        Some("failed") => "it failed after this command began",
        Some(_) => "it has not failed",
    };
    Refused::new(found.named, reason)
}

/// Counts jobs by code, channel, and whether they start without answers.
#[derive(Debug, Default)]
pub struct FailedTally(BTreeMap<(String, String, bool), u64>);

impl FailedTally {
    pub fn add(&mut self, found: &FailedJob) {
        let (code, channel) = (found.code.clone().unwrap_or_default(), found.channel.clone().unwrap_or_default());
        *self.0.entry((code, channel, found.afresh)).or_default() += 1;
    }

    pub fn groups(self) -> Vec<FailedGroup> {
        let group = |((code, channel, afresh), jobs)| FailedGroup { code, channel, jobs, afresh };
        self.0.into_iter().map(group).collect()
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;

    pub fn failed(code: &str, afresh: bool) -> FailedJob {
        FailedJob {
            named: Uuid::nil(),
            job: Some(Uuid::nil()),
            status: Some("failed".to_owned()),
            eligible: true,
            code: Some(code.to_owned()),
            channel: Some("default".to_owned()),
            afresh,
        }
    }

    #[test]
    fn every_refused_job_has_its_reason() {
        let reasons = [None, Some("queued"), Some("processing"), Some("succeeded"), Some("failed")]
            .map(|status| refusal(&FailedJob { status: status.map(str::to_owned), ..failed("x", false) }).reason);
        insta::assert_snapshot!(reasons.join("\n"), @r"
        there is no such job, and no enqueued file with this id
        it is already queued
        it is running
        it succeeded; `assay requeue ID` runs such a file again
        it failed after this command began
        ");
    }
}
