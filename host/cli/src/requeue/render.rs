//! The result of a requeue as text.

use crate::{
    output,
    requeue::outcome::{FailedGroup, RequeueOutcome, SucceededGroup},
};

/// The word for what is counted. A file has one job.
#[derive(Clone, Copy, Debug)]
pub enum Unit {
    Files,
    Jobs,
}

impl Unit {
    fn counted(self, count: u64) -> String {
        let word = match self {
            Self::Files => "file",
            Self::Jobs => "job",
        };
        let plural = if count == 1 { "" } else { "s" };
        format!("{count} {word}{plural}")
    }
}

pub fn text(outcome: &RequeueOutcome, unit: Unit) -> String {
    let mut text = String::new();
    if !outcome.failed.is_empty() {
        text += &failed_table(&outcome.failed);
        text.push('\n');
    }
    if !outcome.succeeded.is_empty() {
        text += &succeeded_table(&outcome.succeeded);
        text.push('\n');
    }
    let count = unit.counted(outcome.jobs);
    text += &match (outcome.dry_run, outcome.last_begins_at.map(output::instant)) {
        (true, None) => format!("would requeue {count} (dry run)\n"),
        (false, None) => format!("requeued {count}\n"),
        (true, Some(last)) => format!("would requeue {count}, the last to run at {last} (dry run)\n"),
        (false, Some(last)) => format!("requeued {count}, the last to run at {last}\n"),
    };
    if outcome.changed_meanwhile > 0 {
        text += &format!("skipped {} changed by another command\n", unit.counted(outcome.changed_meanwhile));
    }
    text
}

fn failed_table(groups: &[FailedGroup]) -> String {
    let row = |group: &FailedGroup| {
        let starts = if group.afresh { "without answers" } else { "with its answers" };
        vec![group.jobs.to_string(), group.code.clone(), group.channel.clone(), starts.to_owned()]
    };
    output::table(&["JOBS", "CODE", "CHANNEL", "STARTS"], groups.iter().map(row).collect(), &[0])
}

fn succeeded_table(groups: &[SucceededGroup]) -> String {
    let row = |group: &SucceededGroup| {
        vec![
            group.files.to_string(),
            group.prompt_version.clone().unwrap_or_else(|| "-".to_owned()),
            group.channel.clone(),
            group.runs_on.clone().unwrap_or_else(|| "none (jobs would wait)".to_owned()),
        ]
    };
    let header = ["FILES", "PROMPT VERSION", "CHANNEL", "NEW JOBS RUN ON"];
    output::table(&header, groups.iter().map(row).collect(), &[0])
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;
    use crate::requeue::{
        failed::{FailedTally, tests::failed},
        fleet::tests::fleet,
        succeeded::{SucceededTally, tests::candidate},
    };

    fn succeeded_outcome(default: Option<&str>, dry_run: bool) -> RequeueOutcome {
        let mut tally = SucceededTally::default();
        for candidate in [candidate("minutes-v1", "default"), candidate("minutes-v1", "batch")] {
            tally.add(&candidate);
            tally.add(&candidate);
        }
        tally.add(&candidate("minutes-v0", "default"));
        RequeueOutcome {
            dry_run,
            jobs: tally.files(),
            last_begins_at: Some(datetime!(2026-03-04 09:30:00 UTC)),
            succeeded: tally.groups(&fleet(default)),
            ..RequeueOutcome::default()
        }
    }

    fn failed_outcome(dry_run: bool) -> RequeueOutcome {
        let mut tally = FailedTally::default();
        tally.add(&failed("schema_validation_failed", true));
        tally.add(&failed("llm_timeout", false));
        tally.add(&failed("llm_timeout", false));
        let last_begins_at = Some(datetime!(2026-03-04 09:30:00 UTC));
        RequeueOutcome { dry_run, jobs: 3, last_begins_at, failed: tally.groups(), ..RequeueOutcome::default() }
    }

    #[test]
    fn files_are_listed_by_prompt_version_with_what_they_would_run_on() {
        insta::assert_snapshot!(text(&succeeded_outcome(Some("minutes-v1"), true), Unit::Files), @r"
        FILES  PROMPT VERSION  CHANNEL  NEW JOBS RUN ON
            2  minutes-v1      batch    minutes-v2@1
            1  minutes-v0      default  minutes-v1 of GUEST_DIR
            2  minutes-v1      default  minutes-v1 of GUEST_DIR

        would requeue 5 files, the last to run at 2026-03-04 09:30:00 UTC (dry run)
        ");
    }

    #[test]
    fn files_that_would_wait_are_shown() {
        let outcome = RequeueOutcome { changed_meanwhile: 1, ..succeeded_outcome(None, false) };
        insta::assert_snapshot!(text(&outcome, Unit::Files), @r"
        FILES  PROMPT VERSION  CHANNEL  NEW JOBS RUN ON
            2  minutes-v1      batch    minutes-v2@1
            1  minutes-v0      default  none (jobs would wait)
            2  minutes-v1      default  none (jobs would wait)

        requeued 5 files, the last to run at 2026-03-04 09:30:00 UTC
        skipped 1 file changed by another command
        ");
    }

    #[test]
    fn jobs_are_listed_by_code_with_how_they_start() {
        insta::assert_snapshot!(text(&failed_outcome(true), Unit::Jobs), @r"
        JOBS  CODE                      CHANNEL  STARTS
           2  llm_timeout               default  with its answers
           1  schema_validation_failed  default  without answers

        would requeue 3 jobs, the last to run at 2026-03-04 09:30:00 UTC (dry run)
        ");
        let done = RequeueOutcome { changed_meanwhile: 1, failed: Vec::new(), ..failed_outcome(false) };
        insta::assert_snapshot!(text(&done, Unit::Jobs), @r"
        requeued 3 jobs, the last to run at 2026-03-04 09:30:00 UTC
        skipped 1 job changed by another command
        ");
    }

    #[test]
    fn ids_of_both_states_are_listed_in_two_tables() {
        let succeeded = succeeded_outcome(None, false).succeeded;
        insta::assert_snapshot!(text(&RequeueOutcome { succeeded, jobs: 8, ..failed_outcome(false) }, Unit::Jobs), @r"
        JOBS  CODE                      CHANNEL  STARTS
           2  llm_timeout               default  with its answers
           1  schema_validation_failed  default  without answers

        FILES  PROMPT VERSION  CHANNEL  NEW JOBS RUN ON
            2  minutes-v1      batch    minutes-v2@1
            1  minutes-v0      default  none (jobs would wait)
            2  minutes-v1      default  none (jobs would wait)

        requeued 8 jobs, the last to run at 2026-03-04 09:30:00 UTC
        ");
    }

    #[test]
    fn a_requeue_of_nothing_says_so() {
        assert_eq!(text(&RequeueOutcome::default(), Unit::Files), "requeued 0 files\n");
        assert_eq!(
            text(&RequeueOutcome { dry_run: true, ..RequeueOutcome::default() }, Unit::Jobs),
            "would requeue 0 jobs (dry run)\n"
        );
    }
}
