//! `assay jobs list`.

use std::process::ExitCode;

use anyhow::Context;
use assay_core::env::Variables;
use assay_db::{
    DatabaseConfig,
    jobs::{JobRow, JobSelection},
};
use clap::builder::PossibleValuesParser;

use crate::{database, exit::Failure, job_code, jobs::job_status, output, since::Since, terminal};

/// List jobs, the last changed first.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  assay jobs list --status processing
  assay jobs list --status failed --since 24h
  assay jobs list --code llm_rate_limited --limit 500 --json | jq -r '.[].file_id'")]
pub struct Arguments {
    /// Jobs with this status
    #[arg(long, value_name = "S",
          value_parser = PossibleValuesParser::new(["queued", "processing", "succeeded", "failed"]))]
    status: Option<String>,
    /// Jobs whose last error has this code; a job that waits for another attempt can have one
    #[arg(long, value_name = "C", value_parser = job_code::parse)]
    code: Option<String>,
    /// Jobs of this channel
    #[arg(long, value_name = "NAME")]
    channel: Option<String>,
    /// Jobs that changed since then: 2026-03-04T09:30:00Z, 2026-03-04 (UTC), or 24h or 7d before now
    #[arg(long, value_name = "T")]
    since: Option<Since>,
    /// List at most so many jobs
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    limit: u32,
    /// Print one JSON array
    #[arg(long)]
    json: bool,
}

pub async fn run(arguments: Arguments, mut vars: Variables) -> Result<ExitCode, Failure> {
    let config = DatabaseConfig::load(&mut vars);
    vars.finish()?;
    let database = database::open(config).await?;
    let since = match arguments.since {
        Some(since) => Some(since.instant(database.clock().await.context("read the database's clock")?)),
        None => None,
    };
    let limit = arguments.limit as usize;
    // One more than the limit shows whether there are more.
    let selection = JobSelection {
        status: arguments.status,
        code: arguments.code,
        channel: arguments.channel,
        since,
        limit: i64::from(arguments.limit) + 1,
    };
    let mut jobs = database.jobs(&selection).await.context("list the jobs")?;
    let more = jobs.len() > limit;
    jobs.truncate(limit);
    if arguments.json {
        output::print_json(&jobs)?;
    } else {
        output::print(&render(&jobs))?;
    }
    if more {
        terminal::note(format_args!("showing the first {limit} jobs; --limit N shows more"));
    }
    Ok(ExitCode::SUCCESS)
}

fn render(jobs: &[JobRow]) -> String {
    if jobs.is_empty() {
        return "no jobs found\n".to_owned();
    }
    let header = ["FILE ID", "STATUS", "CODE", "CHANNEL", "LIFE", "ATTEMPTS", "CHANGED", "NEXT RUN", "HELD BY"];
    let row = |job: &JobRow| {
        let waits = job.status == "queued";
        vec![
            job.file_id.to_string(),
            job_status::text(job),
            job.code.clone().unwrap_or_default(),
            job.channel.clone(),
            job.life.to_string(),
            format!("{}/{}", job.attempts, job.max_attempts),
            output::instant(job.updated_at),
            if waits { output::instant(job.next_run_at) } else { String::new() },
            job.locked_by.clone().unwrap_or_default(),
        ]
    };
    output::table(&header, jobs.iter().map(row).collect(), &[4, 5])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jobs::job_status::tests::job;

    #[test]
    fn jobs_are_listed_with_their_next_run() {
        let running = JobRow { cancel_requested: true, code: None, ..job("processing") };
        insta::assert_snapshot!("jobs", render(&[running, job("queued"), job("failed")]));
        assert_eq!(render(&[]), "no jobs found\n");
    }
}
