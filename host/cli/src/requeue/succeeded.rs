//! Requeues files that succeeded.

use std::collections::{BTreeMap, HashSet};

use anyhow::Context;
use assay_core::ids::FileId;
use assay_db::{
    DbError, Parts,
    succeeded::{SucceededFile, SucceededSelection},
};
use uuid::Uuid;

use crate::{
    output::bar,
    requeue::{
        choice::{Choice, Page, Source, Walk},
        fleet::Fleet,
        outcome::{Refused, RequeueOutcome, SucceededGroup},
        session::{Session, interrupted},
    },
    terminal,
};

struct SucceededFiles<'a>(&'a Session);

impl Source for SucceededFiles<'_> {
    type Selection = SucceededSelection;
    type Found = SucceededFile;

    async fn named(&self, ids: &[Uuid]) -> Result<Vec<SucceededFile>, DbError> {
        let files: Vec<_> = ids.iter().copied().map(FileId).collect();
        self.0.database.succeeded_files(&files, self.0.began).await
    }

    async fn page(&self, selection: &SucceededSelection, after: Option<Uuid>) -> Result<Page<SucceededFile>, DbError> {
        let page = self.0.database.select_succeeded(selection, self.0.began, after.map(FileId)).await?;
        Ok(Page { found: page.files, last: page.last.map(|file| file.0) })
    }
}

/// Requeues the files of a choice that succeeded, or counts them in a dry run. Warns of channels in which they would wait,
/// before anything is changed.
pub async fn requeue(
    session: &Session,
    choice: Choice<SucceededSelection>,
    priority: i32,
    outcome: &mut RequeueOutcome,
) -> anyhow::Result<()> {
    let (choice, files) = find(session, choice, outcome).await?;
    warn_of_waiting_channels(&outcome.succeeded);
    if session.dry_run {
        session.add_planned(outcome, files);
        return Ok(());
    }
    renew(session, &choice, priority, files, outcome).await
}

/// Counts the files that can be requeued, and refuses named ones that cannot. Returns the choice without the refused ids.
async fn find(
    session: &Session,
    choice: Choice<SucceededSelection>,
    outcome: &mut RequeueOutcome,
) -> anyhow::Result<(Choice<SucceededSelection>, u64)> {
    let bar = bar("{spinner} {pos} files found in {elapsed}", None);
    let mut tally = SucceededTally::default();
    let mut eligible = Vec::new();
    let mut walk = Walk::new(SucceededFiles(session), &choice);
    loop {
        let files = walk.next().await?;
        if files.is_empty() {
            break;
        }
        for candidate in &files {
            if candidate.eligible {
                tally.add(candidate);
                eligible.extend(choice.is_named().then_some(candidate.file));
            } else {
                outcome.refused.push(refusal(candidate));
            }
        }
        bar.set_position(tally.files());
    }
    bar.finish_and_clear();
    let files = tally.files();
    outcome.succeeded = tally.groups(&Fleet::look(&session.database).await?);
    let choice = if choice.is_named() { Choice::Named(eligible) } else { choice };
    Ok((choice, files))
}

fn warn_of_waiting_channels(groups: &[SucceededGroup]) {
    let mut waiting: Vec<_> = groups.iter().filter(|group| group.runs_on.is_none()).collect();
    waiting.dedup_by_key(|group| &group.channel);
    for group in waiting {
        terminal::note(format_args!(
            "warning: channel {} runs nothing: it has no active release, and no live worker has a default; its jobs wait until \
             a worker with a default starts, or until `assay release activate`",
            group.channel
        ));
    }
}

/// Requeues in batches the files that can still be requeued, but for those whose rows the database refuses to change.
async fn renew(
    session: &Session,
    choice: &Choice<SucceededSelection>,
    priority: i32,
    expected: u64,
    outcome: &mut RequeueOutcome,
) -> anyhow::Result<()> {
    let bar = bar("{spinner} {bar:40} {pos}/{len} requeued in {elapsed}", Some(expected));
    let mut walk = Walk::new(SucceededFiles(session), choice);
    loop {
        let files = walk.next().await?;
        if files.is_empty() {
            break;
        }
        let batch: Vec<_> = files.iter().map(|candidate| FileId(candidate.file)).collect();
        let mut settled = HashSet::new();
        let mut parts = Parts::of(&batch);
        while let Some(part) = parts.next_part() {
            let renewed = session.database.requeue_succeeded(part, &session.pace(outcome.jobs), priority).await;
            let renewed = parts.settle(part, renewed).map_err(|error| interrupted(error, outcome.jobs))?;
            let renewed = renewed.unwrap_or_default();
            outcome.add(renewed.len() as u64, renewed.iter().map(|one| one.begins_at).max());
            settled.extend(renewed.iter().map(|one| one.file));
            bar.inc(renewed.len() as u64);
        }
        for one in parts.refused() {
            settled.insert(one.row.0);
            outcome.refused.push(Refused::by_database(one.row.0, &one.sqlstate));
        }
        skip_changed(session, choice, &batch, &settled, outcome).await?;
    }
    bar.finish_and_clear();
    Ok(())
}

/// Counts the files of a batch that are not settled, because they were changed before their turn; refuses those that the user named.
async fn skip_changed(
    session: &Session,
    choice: &Choice<SucceededSelection>,
    batch: &[FileId],
    settled: &HashSet<Uuid>,
    outcome: &mut RequeueOutcome,
) -> anyhow::Result<()> {
    let changed: Vec<_> = batch.iter().filter(|file| !settled.contains(&file.0)).copied().collect();
    if !choice.is_named() {
        outcome.changed_meanwhile += changed.len() as u64;
    } else if !changed.is_empty() {
        let now = session.database.succeeded_files(&changed, session.began).await.context("look up the other files")?;
        outcome.refused.extend(now.iter().map(refusal));
    }
    Ok(())
}

/// Returns why a named file is not requeued.
fn refusal(candidate: &SucceededFile) -> Refused {
    let reason = match (candidate.status.as_deref(), &candidate.channel) {
        (None, _) => "there is no such file",
        (Some(_), None) => "it was never enqueued",
        (Some("queued"), _) => "it is already queued",
        (Some("processing"), _) => "it is running",
        (Some("failed"), _) => "it failed; `assay requeue ID` runs such a file again",
        (Some("succeeded"), _) if candidate.eligible => "another command was changing it; name it again",
        (Some("succeeded"), _) => "its report was made after this command began",
        (Some(_), _) => "it has not succeeded",
    };
    Refused::new(candidate.file, reason)
}

/// Counts files by channel and by the prompt version of their reports.
#[derive(Debug, Default)]
pub struct SucceededTally(BTreeMap<(String, Option<String>), u64>);

impl SucceededTally {
    pub fn add(&mut self, candidate: &SucceededFile) {
        let channel = candidate.channel.clone().unwrap_or_default();
        *self.0.entry((channel, candidate.prompt_version.clone())).or_default() += 1;
    }

    pub fn files(&self) -> u64 {
        self.0.values().sum()
    }

    pub fn groups(self, fleet: &Fleet) -> Vec<SucceededGroup> {
        let group = |((channel, prompt_version), files): ((String, _), _)| {
            let runs_on = fleet.runs(&channel);
            SucceededGroup { prompt_version, channel, files, runs_on }
        };
        self.0.into_iter().map(group).collect()
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;

    pub fn candidate(version: &str, channel: &str) -> SucceededFile {
        SucceededFile {
            file: Uuid::nil(),
            status: Some("succeeded".to_owned()),
            eligible: true,
            prompt_version: Some(version.to_owned()),
            channel: Some(channel.to_owned()),
        }
    }

    #[test]
    fn every_refused_file_has_its_reason() {
        let reason = |status: Option<&str>, channel: Option<&str>, eligible: bool| {
            let (status, channel) = (status.map(str::to_owned), channel.map(str::to_owned));
            refusal(&SucceededFile { status, channel, eligible, ..candidate("minutes-v1", "default") }).reason
        };
        let reasons = [
            reason(None, None, false),
            reason(Some("uploaded"), None, false),
            reason(Some("queued"), Some("default"), false),
            reason(Some("processing"), Some("default"), false),
            reason(Some("failed"), Some("default"), false),
            reason(Some("succeeded"), Some("default"), false),
            reason(Some("succeeded"), Some("default"), true),
        ];
        insta::assert_snapshot!(reasons.join("\n"), @r"
        there is no such file
        it was never enqueued
        it is already queued
        it is running
        it failed; `assay requeue ID` runs such a file again
        its report was made after this command began
        another command was changing it; name it again
        ");
    }
}
