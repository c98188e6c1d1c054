//! What a retry tells: the jobs by why they failed, how their new lives begin, and which of them stay.

use std::collections::BTreeMap;

use assay_db::failed::FailedJob;
use serde::Serialize;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::output;

/// Jobs that failed with one code in one channel.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Group {
    /// Why they failed.
    pub code: String,
    /// Where they run.
    pub channel: String,
    /// How many they are.
    pub jobs: u64,
    /// Whether they begin without their answers.
    pub afresh: bool,
}

/// A job that stays as it is.
#[derive(Debug, Serialize)]
pub(super) struct Refused {
    /// As it was named.
    pub id: Uuid,
    /// Why.
    pub reason: String,
}

impl Refused {
    /// Why a job that was named cannot be retried.
    pub(super) fn of(found: &FailedJob) -> Self {
        let reason = match found.status.as_deref() {
            None => "there is no such job, and no file of that id that was enqueued",
            Some("queued") => "it waits to run already",
            Some("processing") => "it runs already",
            Some("succeeded") => "it succeeded; `assay rerun` gives such a file a new life",
            Some("failed") => "it failed after this command began",
            Some(_) => "it has not failed",
        };
        Self { id: found.named, reason: reason.to_owned() }
    }

    /// A job that had failed and was changed before its turn.
    pub(super) fn overtaken(found: &FailedJob) -> Self {
        Self { id: found.named, reason: "somebody else was faster".to_owned() }
    }
}

/// What a retry did, or would do.
#[derive(Debug, Default, Serialize)]
pub(super) struct Outcome {
    /// Whether nothing was changed.
    pub dry_run: bool,
    /// Jobs with a new life; of a dry run, those that would have one.
    pub jobs: u64,
    /// When the last of the new lives can begin.
    #[serde(with = "time::serde::rfc3339::option")]
    pub last_begins_at: Option<OffsetDateTime>,
    /// Those jobs.
    pub groups: Vec<Group>,
    /// Named jobs that stay as they are.
    pub refused: Vec<Refused>,
    /// Selected jobs that somebody else has changed meanwhile, and that stay.
    pub changed_meanwhile: u64,
}

impl Outcome {
    /// The jobs in a table, and what happens to them in one line.
    pub(super) fn told(&self) -> String {
        let mut text = String::new();
        if !self.groups.is_empty() {
            let row = |group: &Group| {
                let how = if group.afresh { "afresh" } else { "with the answers that it has" };
                vec![group.jobs.to_string(), group.code.clone(), group.channel.clone(), how.to_owned()]
            };
            let rows = self.groups.iter().map(row).collect();
            text += &output::table(&["JOBS", "CODE", "CHANNEL", "BEGINS"], rows, &[0]);
            text.push('\n');
        }
        let jobs = counted(self.jobs);
        text += &match (self.dry_run, self.last_begins_at.map(output::instant)) {
            (_, None) => "no job gets a new life\n".to_owned(),
            (true, Some(last)) => {
                format!("{jobs} would get a new life, the last would begin at {last}; nothing was changed\n")
            }
            (false, Some(last)) => {
                let verb = if self.jobs == 1 { "gets" } else { "get" };
                format!("{jobs} {verb} a new life; the last begins at {last}\n")
            }
        };
        if self.changed_meanwhile > 0 {
            text += &format!("left alone, because somebody else was faster: {}\n", counted(self.changed_meanwhile));
        }
        text
    }
}

fn counted(jobs: u64) -> String {
    if jobs == 1 { "1 job".to_owned() } else { format!("{jobs} jobs") }
}

/// Counts jobs by why they failed, and by channel.
#[derive(Debug, Default)]
pub(super) struct Tally(BTreeMap<(String, String, bool), u64>);

impl Tally {
    pub(super) fn add(&mut self, found: &FailedJob) {
        let (code, channel) = (found.code.clone().unwrap_or_default(), found.channel.clone().unwrap_or_default());
        *self.0.entry((code, channel, found.afresh)).or_default() += 1;
    }

    pub(super) fn groups(self) -> Vec<Group> {
        self.0.into_iter().map(|((code, channel, afresh), jobs)| Group { code, channel, jobs, afresh }).collect()
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    fn failed(code: &str, afresh: bool) -> FailedJob {
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

    fn outcome(dry_run: bool) -> Outcome {
        let mut tally = Tally::default();
        tally.add(&failed("schema_validation_failed", true));
        tally.add(&failed("llm_timeout", false));
        tally.add(&failed("llm_timeout", false));
        let last_begins_at = Some(datetime!(2026-03-04 09:30:00 UTC));
        Outcome { dry_run, jobs: 3, last_begins_at, groups: tally.groups(), ..Outcome::default() }
    }

    #[test]
    fn jobs_are_told_by_code_with_how_they_begin() {
        insta::assert_snapshot!(outcome(true).told(), @r"
        JOBS  CODE                      CHANNEL  BEGINS
           2  llm_timeout               default  with the answers that it has
           1  schema_validation_failed  default  afresh

        3 jobs would get a new life, the last would begin at 2026-03-04 09:30:00 UTC; nothing was changed
        ");
        let done = Outcome { changed_meanwhile: 1, groups: Vec::new(), ..outcome(false) };
        insta::assert_snapshot!(done.told(), @r"
        3 jobs get a new life; the last begins at 2026-03-04 09:30:00 UTC
        left alone, because somebody else was faster: 1 job
        ");
        assert_eq!(Outcome::default().told(), "no job gets a new life\n");
    }

    #[test]
    fn every_job_that_stays_has_its_reason() {
        let reasons = [None, Some("queued"), Some("processing"), Some("succeeded"), Some("failed")]
            .map(|status| Refused::of(&FailedJob { status: status.map(str::to_owned), ..failed("x", false) }).reason);
        insta::assert_snapshot!(reasons.join("\n"), @r"
        there is no such job, and no file of that id that was enqueued
        it waits to run already
        it runs already
        it succeeded; `assay rerun` gives such a file a new life
        it failed after this command began
        ");
    }
}
