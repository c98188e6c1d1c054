//! `assay jobs show`.

use std::process::ExitCode;

use anyhow::{Context, anyhow};
use assay_core::env::Variables;
use assay_db::{
    DatabaseConfig,
    jobs::{JobAttempt, JobDetail},
};
use uuid::Uuid;

use crate::{
    database,
    exit::Failure,
    jobs::job_status,
    output::{self, Rows, short_digest},
};

/// Show one job, with the result, the error, the cost and the objects of every attempt.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  assay jobs show 0c9d…
  assay jobs show 0c9d… --json | jq -r '.history[] | [.code, .run_folder] | @tsv'")]
pub struct Arguments {
    /// The id of the job or of its file
    #[arg(value_name = "ID")]
    job: Uuid,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

pub async fn run(arguments: Arguments, mut vars: Variables) -> Result<ExitCode, Failure> {
    let config = DatabaseConfig::load(&mut vars);
    vars.finish()?;
    let database = database::open(config).await?;
    let named = arguments.job;
    let job = database.job(named).await.context("look up the job")?;
    let job = job.ok_or_else(|| anyhow!("there is no job {named}, and no enqueued file with this id"))?;
    if arguments.json {
        output::print_json(&job)?;
    } else {
        output::print(&render(&job))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn render(detail: &JobDetail) -> String {
    let job = &detail.job;
    let mut rows = Rows::default();
    rows.add("job", Some(job.job_id.to_string()));
    rows.add("file", Some(job.file_id.to_string()));
    rows.add("status", Some(job_status::text(job)));
    // A job that waits or runs has one after a failed attempt.
    let error = job.code.as_ref().map(|code| {
        let message = detail.message.as_deref().unwrap_or_default();
        format!("{code}: {message}")
    });
    rows.add("last error", error);
    rows.add("channel", Some(format!("{}, priority {}", job.channel, job.priority)));
    rows.add("attempts", Some(format!("{} of {}, life {}", job.attempts, job.max_attempts, job.life)));
    rows.add("rate limits", (job.snoozes > 0).then(|| job.snoozes.to_string()));
    rows.add("answers", Some(format!("{} in the journal of this life", detail.answers)));
    rows.add("prompt version", detail.prompt_version.clone());
    rows.add("pinned guest", detail.guest_digest.clone());
    rows.add("queued at", detail.queued_at.map(output::instant));
    rows.add("claimed at", detail.started_at.map(output::instant));
    rows.add("ended at", detail.processed_at.map(output::instant));
    rows.add("next run", (job.status == "queued").then(|| output::instant(job.next_run_at)));
    rows.add("held by", job.locked_by.clone());
    rows.add("last beat", detail.heartbeat_at.map(output::instant));
    rows.add("bucket", Some(detail.bucket.clone()));
    rows.add("report", detail.report_key.clone());
    rows.add("raw output", detail.raw_output_key.clone());
    let mut text = rows.table();
    if !detail.history.is_empty() {
        text.push('\n');
        text += &history(&detail.history);
    }
    text
}

/// Returns a table of the attempts, then the long values of each attempt.
fn history(attempts: &[JobAttempt]) -> String {
    let header = [
        "LIFE",
        "ATTEMPT",
        "OUTCOME",
        "CODE",
        "STEP",
        "CLAIMED AT",
        "SECONDS",
        "GUEST MS",
        "TOKENS",
        "RELEASE",
        "WORKER",
    ];
    let row = |attempt: &JobAttempt| {
        let digest = attempt.guest_digest.as_deref().map(|digest| short_digest(digest).to_owned());
        vec![
            attempt.life.to_string(),
            attempt.attempt.to_string(),
            attempt.outcome.clone(),
            attempt.code.clone().unwrap_or_default(),
            attempt.step.clone().unwrap_or_default(),
            output::instant(attempt.started_at),
            output::seconds(attempt.seconds),
            format!("{:.1}", attempt.guest_micros as f64 / 1000.0),
            format!("{} in, {} out", attempt.tokens_in, attempt.tokens_out),
            attempt.release.clone().or(digest).unwrap_or_default(),
            attempt.worker.clone(),
        ]
    };
    let mut text = output::table(&header, attempts.iter().map(row).collect(), &[0, 1, 6, 7, 8]);
    for attempt in attempts {
        text += &format!("\nlife {}, attempt {}\n", attempt.life, attempt.attempt);
        let lines = [
            ("error", attempt.message.as_ref()),
            ("report", attempt.report_key.as_ref()),
            ("folder", Some(&attempt.run_folder)),
        ];
        for (name, value) in lines {
            if let Some(value) = value {
                text += &format!("  {name}: {}\n", output::plain(value));
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use assay_db::jobs::JobRow;
    use time::macros::datetime;

    use super::*;
    use crate::jobs::job_status::tests::job;

    fn attempt(token: i64, outcome: &str, error: Option<(&str, &str, &str)>) -> JobAttempt {
        JobAttempt {
            lease_token: token,
            life: 1,
            attempt: i32::try_from(token).unwrap(),
            outcome: outcome.to_owned(),
            code: error.map(|(code, _, _)| code.to_owned()),
            step: error.map(|(_, step, _)| step.to_owned()),
            message: error.map(|(_, _, message)| message.to_owned()),
            started_at: datetime!(2026-03-04 09:30:01 UTC).into(),
            seconds: 3.25,
            guest_micros: 1480,
            tokens_in: 1800,
            tokens_out: 240,
            guest_digest: Some("3fa9c01d5e7b2a88".to_owned()),
            release: (token == 1).then(|| "minutes-v1@2".to_owned()),
            worker: "host-7-af".to_owned(),
            run_folder: format!("users/1/files/2/runs/3-{token}/"),
            report_key: (outcome == "succeeded").then(|| format!("users/1/files/2/runs/3-{token}/report.json")),
        }
    }

    fn detail(job: JobRow, history: Vec<JobAttempt>) -> JobDetail {
        JobDetail {
            message: job.code.as_ref().map(|_| "call the model: no answer".to_owned()),
            prompt_version: Some("minutes-v1".to_owned()),
            guest_digest: Some("3fa9c01d5e7b2a88".to_owned()),
            locked_at: None,
            heartbeat_at: None,
            answers: 1,
            queued_at: Some(datetime!(2026-03-04 09:30:00 UTC).into()),
            started_at: Some(datetime!(2026-03-04 09:30:31 UTC).into()),
            processed_at: (job.status == "succeeded").then_some(datetime!(2026-03-04 09:30:41 UTC).into()),
            bucket: "assay-dev".to_owned(),
            report_key: (job.status == "succeeded").then(|| "users/1/files/2/runs/3-2/report.json".to_owned()),
            raw_output_key: None,
            job,
            history,
        }
    }

    #[test]
    fn a_job_is_shown_with_the_error_and_the_folder_of_every_attempt() {
        let timeout = attempt(1, "retried", Some(("llm_timeout", "call_model", "call the model: no answer\u{1b}")));
        let ended =
            detail(JobRow { code: None, ..job("succeeded") }, vec![timeout.clone(), attempt(2, "succeeded", None)]);
        insta::assert_snapshot!("job_that_succeeded", render(&ended));
        insta::assert_snapshot!("job_that_waits", render(&detail(job("queued"), vec![timeout])));
    }
}
