//! The overview and one file as text.

use std::collections::BTreeMap;

use assay_db::{
    files::{FileStatus, JobStatus},
    workers::WorkerRow,
};

use crate::{
    output::{self, Rows, UNREADABLE, short_digest},
    queue,
    status::overview::Overview,
};

pub fn overview(overview: &Overview) -> String {
    let queue = overview.queue.iter().map(|depth| {
        let waits = depth.status == "queued";
        vec![
            depth.status.clone(),
            depth.jobs.to_string(),
            if waits { depth.due.to_string() } else { String::new() },
            depth.oldest_due_seconds.map(output::span).unwrap_or_default(),
        ]
    });
    let mut text = output::table(&["QUEUE", "JOBS", "DUE", "OLDEST DUE"], queue.collect(), &[1, 2, 3]);
    text.push('\n');
    if !overview.paused.is_empty() {
        text += &queue::table(&overview.paused);
        text.push('\n');
    }
    if overview.workers.is_empty() {
        text.push_str("no live worker: no heartbeat within the last minute\n");
        return text;
    }
    text + &workers_table(&overview.workers) + &breakers_table(&overview.workers)
}

fn workers_table(workers: &[WorkerRow]) -> String {
    let header = ["WORKER", "VERSION", "STARTED", "LAST BEAT", "BUSY", "SERVES"];
    let rows = workers.iter().map(|worker| {
        let unreadable = worker.unreadable.contains(&WorkerRow::RELEASES).then(|| UNREADABLE.to_owned());
        let served = worker
            .releases
            .iter()
            .filter(|release| release.refused.is_none())
            .map(|release| format!("{} ({})", release.prompt_version, short_digest(&release.digest)));
        let serves: Vec<_> = served.chain(unreadable).collect();
        vec![
            worker.id.clone(),
            worker.version.clone(),
            output::instant(worker.started_at),
            output::ago(worker.silent_seconds),
            format!("{}/{}", worker.busy, worker.slots),
            serves.join(", "),
        ]
    });
    output::table(&header, rows.collect(), &[3, 4])
}

/// Returns the dependencies that workers wait for, each with its fix. Returns nothing if there are none.
fn breakers_table(workers: &[WorkerRow]) -> String {
    let mut open: BTreeMap<_, (usize, f64)> = BTreeMap::new();
    for worker in workers {
        for breaker in &worker.breakers {
            let key = (&breaker.dependency, &breaker.reason, &breaker.code, &breaker.cure);
            let (count, longest) = open.entry(key).or_default();
            *count += 1;
            *longest = longest.max(breaker.open_seconds as f64 + worker.silent_seconds);
        }
    }
    let unreadable = workers.iter().filter(|worker| worker.unreadable.contains(&WorkerRow::BREAKERS)).count();
    if open.is_empty() && unreadable == 0 {
        return String::new();
    }
    let header = ["UNAVAILABLE", "REASON", "CODE", "SINCE", "WORKERS", "FIX"];
    let rows = open.into_iter().map(|((dependency, reason, code, cure), (count, longest))| {
        let since = output::ago(longest);
        vec![dependency.clone(), reason.clone(), code.clone(), since, count.to_string(), cure.clone()]
    });
    let mut rows: Vec<_> = rows.collect();
    if unreadable > 0 {
        let cell = |text: &str| text.to_owned();
        rows.push(vec![cell(UNREADABLE), cell(""), cell(""), cell(""), unreadable.to_string(), cell("")]);
    }
    format!("\n{}", output::table(&header, rows, &[3, 4]))
}

pub fn file(state: &FileStatus) -> String {
    let mut rows = Rows::default();
    rows.add("file", Some(state.file_id.to_string()));
    rows.add("name", Some(state.filename.clone()));
    let code = state.error_code.as_ref();
    let status = code.map_or_else(|| state.status.clone(), |code| format!("{}: {code}", state.status));
    rows.add("status", Some(status));
    rows.add("prompt version", state.prompt_version.clone());
    rows.add("schema version", state.schema_version.clone());
    rows.add("guest", state.guest_digest.clone());
    rows.add("queued at", state.queued_at.map(output::instant));
    rows.add("ended at", state.processed_at.map(output::instant));
    rows.add("took", state.seconds.map(|seconds| format!("{} s", output::seconds(seconds))));
    rows.add("bucket", Some(state.bucket.clone()));
    rows.add("report", state.report_key.clone());
    rows.add("raw output", state.raw_output_key.clone());
    if let Some(job) = &state.job {
        add_job(&mut rows, job, state.attempts);
    }
    rows.add("attempts of the job", state.unreadable.contains(&FileStatus::HISTORY).then(|| UNREADABLE.to_owned()));
    let mut text = rows.table();
    if !state.history.is_empty() {
        text.push('\n');
        text.push_str(&history_table(state));
    }
    text
}

fn add_job(rows: &mut Rows, job: &JobStatus, attempts: i32) {
    rows.add("job", Some(format!("{} in channel {}", job.job_id, job.channel)));
    let attempts = format!("{attempts} of {}, life {}", job.max_attempts, job.life);
    let snoozes = match job.snoozes {
        0 => String::new(),
        1 => ", 1 rate limit".to_owned(),
        snoozes => format!(", {snoozes} rate limits"),
    };
    rows.add("attempts", Some(attempts + &snoozes));
    rows.add("held by", job.locked_by.clone());
    if job.status == "queued" {
        rows.add("next run", Some(output::instant(job.next_run_at)));
        rows.add("last error", job.last_error.clone());
    }
}

fn history_table(state: &FileStatus) -> String {
    let header = ["LIFE", "ATTEMPT", "OUTCOME", "SECONDS", "TOKENS", "CODE", "STEP", "WORKER"];
    let history = state.history.iter().map(|attempt| {
        vec![
            attempt.life.to_string(),
            attempt.attempt.to_string(),
            attempt.outcome.clone(),
            output::seconds(attempt.seconds.unwrap_or(f64::NAN)),
            format!("{} in, {} out", attempt.tokens_in, attempt.tokens_out),
            attempt.code.clone().unwrap_or_default(),
            attempt.step.clone().unwrap_or_default(),
            attempt.worker.clone(),
        ]
    });
    let mut text = output::table(&header, history.collect(), &[0, 1, 3, 4]);
    for attempt in &state.history {
        if let Some(message) = &attempt.message {
            let (life, number) = (attempt.life, attempt.attempt);
            let message = output::plain(message);
            text.push_str(&format!("\nlife {life}, attempt {number}: {message}\n"));
        }
    }
    text
}

#[cfg(test)]
pub mod tests {
    use assay_core::breaker::OpenBreaker;
    use assay_db::{
        files::{AttemptRow, QueueDepth},
        pauses::Pause,
        workers::LoadedRelease,
    };
    use time::macros::datetime;
    use uuid::uuid;

    use super::*;
    use crate::status::overview::complete;

    const DIGEST: &str = "3fa9c01d5e7b2a8846f10c9d3b7e5a2f1c0d9e8b7a6f5e4d3c2b1a0f9e8d7c6b";

    /// Returns a file whose job has ended.
    pub fn file(status: &str) -> FileStatus {
        let failed = status == "failed";
        let key = |name: &str| Some(format!("users/1/files/2/runs/3-1/{name}"));
        FileStatus {
            file_id: uuid!("0198c0de-0000-7000-8000-000000000002"),
            filename: "weekly\u{1b}.vtt".to_owned(),
            status: status.to_owned(),
            error_code: failed.then(|| "schema_validation_failed".to_owned()),
            bucket: "assay-dev".to_owned(),
            report_key: (!failed).then(|| key("report.json")).flatten(),
            raw_output_key: failed.then(|| key("raw_llm_output.json")).flatten(),
            prompt_version: Some("meeting-v2".to_owned()),
            schema_version: Some("report.v2".to_owned()),
            guest_digest: Some(DIGEST.to_owned()),
            attempts: 2,
            queued_at: Some(datetime!(2026-03-04 09:30:00 UTC).into()),
            processed_at: Some(datetime!(2026-03-04 09:30:41.7 UTC).into()),
            seconds: Some(41.7),
            job: Some(JobStatus {
                job_id: uuid!("0198c0de-0000-7000-8000-000000000003"),
                status: status.to_owned(),
                channel: "default".to_owned(),
                life: 1,
                max_attempts: 4,
                snoozes: 1,
                next_run_at: datetime!(2026-03-04 09:30:30 UTC).into(),
                locked_by: None,
                last_error: None,
            }),
            history: vec![
                attempt(1, "retried", Some(("llm_timeout", "call_model", "call the model: no answer"))),
                attempt(
                    2,
                    if failed { "failed" } else { "succeeded" },
                    failed.then_some(("schema_validation_failed", "advance", "required at /risk")),
                ),
            ],
            unreadable: Vec::new(),
        }
    }

    fn attempt(number: i32, outcome: &str, error: Option<(&str, &str, &str)>) -> AttemptRow {
        AttemptRow {
            lease_token: i64::from(number),
            attempt: number,
            life: 1,
            worker: "host-7-af".to_owned(),
            outcome: outcome.to_owned(),
            code: error.map(|(code, _, _)| code.to_owned()),
            step: error.map(|(_, step, _)| step.to_owned()),
            message: error.map(|(_, _, message)| message.to_owned()),
            seconds: Some(3.25),
            tokens_in: 1800,
            tokens_out: 240,
            report_key: None,
        }
    }

    #[test]
    fn a_file_shows_its_job_and_every_attempt() {
        insta::assert_snapshot!("status_of_a_file_that_failed", super::file(&file("failed")));
    }

    #[test]
    fn a_file_that_waits_shows_its_next_run_and_its_last_error() {
        let mut state = file("queued");
        state.report_key = None;
        state.processed_at = None;
        state.seconds = None;
        state.history.truncate(1);
        if let Some(job) = &mut state.job {
            job.last_error = Some("llm_timeout".to_owned());
        }
        insta::assert_snapshot!("status_of_a_file_that_waits", super::file(&state));
    }

    fn pause(channel: Option<&str>, reason: &str) -> Pause {
        Pause {
            channel: channel.map(str::to_owned),
            paused_at: datetime!(2026-03-04 09:00:00 UTC).into(),
            actor: "anna".to_owned(),
            reason: reason.to_owned(),
        }
    }

    #[test]
    fn the_overview_shows_the_queue_the_pauses_and_the_workers() {
        let overview = Overview {
            queue: complete(vec![
                QueueDepth { status: "succeeded".to_owned(), jobs: 1200, due: 0, oldest_due_seconds: None },
                QueueDepth { status: "queued".to_owned(), jobs: 12, due: 3, oldest_due_seconds: Some(250.0) },
            ]),
            paused: vec![pause(None, "the provider is down"), pause(Some("batch"), "")],
            workers: vec![WorkerRow {
                id: "host-7-af".to_owned(),
                version: "0.1.0".to_owned(),
                started_at: datetime!(2026-03-04 08:00:00 UTC).into(),
                silent_seconds: 2.9,
                slots: 16,
                busy: 1,
                releases: ["meeting-v1", "meeting-v2"]
                    .map(|version| LoadedRelease {
                        prompt_version: version.to_owned(),
                        schema_version: "report.v1".to_owned(),
                        digest: DIGEST.to_owned(),
                        ..LoadedRelease::default()
                    })
                    .into(),
                breakers: Vec::new(),
                unreadable: Vec::new(),
            }],
        };
        insta::assert_snapshot!("status_of_the_queue", super::overview(&overview));
    }

    #[test]
    fn the_overview_shows_unavailable_dependencies_with_their_fix() {
        let breaker = |code: assay_core::code::Code, open_seconds| OpenBreaker {
            dependency: "model".to_owned(),
            reason: "authentication".to_owned(),
            code: code.to_string(),
            open_seconds,
            next_probe_seconds: 12,
            cure: code.fix(),
        };
        let worker = |id: &str, breakers| WorkerRow {
            id: id.to_owned(),
            version: "0.1.0".to_owned(),
            started_at: datetime!(2026-03-04 08:00:00 UTC).into(),
            silent_seconds: 2.9,
            slots: 16,
            busy: 0,
            releases: Vec::new(),
            breakers,
            unreadable: Vec::new(),
        };
        let expired = assay_core::code::Code::LlmAuthFailed;
        let workers = ["a", "b"].map(|id| worker(id, vec![breaker(expired, if id == "a" { 130 } else { 20 })]));
        let overview = Overview { queue: complete(Vec::new()), paused: Vec::new(), workers: workers.into() };
        insta::assert_snapshot!("status_of_a_brown_out", super::overview(&overview));
    }

    #[test]
    fn what_cannot_be_read_is_shown_as_unreadable() {
        let mut state = file("failed");
        (state.history, state.unreadable) = (Vec::new(), vec![FileStatus::HISTORY]);
        assert!(super::file(&state).contains("attempts of the job  unreadable"), "{}", super::file(&state));
        let state = file("failed");
        let history = state.history.iter().cloned().map(|attempt| AttemptRow { seconds: None, ..attempt }).collect();
        assert_eq!(super::file(&FileStatus { history, ..state }).matches("unreadable").count(), 2);
    }

    #[test]
    fn an_overview_without_a_worker_says_so() {
        let overview = Overview { queue: complete(Vec::new()), paused: Vec::new(), workers: Vec::new() };
        insta::assert_snapshot!("status_without_a_worker", super::overview(&overview));
    }
}
