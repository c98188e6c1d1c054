//! Rows made by hand, to show that an invariant can fail.

use time::{OffsetDateTime, macros::datetime};
use uuid::Uuid;

use crate::{
    evidence::{Attempt, Change, Evidence, File, Job, Written},
    ledger::Asked,
};

pub const FILE: Uuid = Uuid::from_u128(1);
pub const JOB: Uuid = Uuid::from_u128(2);

/// So many seconds after the beginning.
pub fn at(seconds: i64) -> OffsetDateTime {
    datetime!(2026-03-04 09:30:00 UTC) + time::Duration::seconds(seconds)
}

/// Returns a change of the job by `actor`, at its first life; `to` and `from` are a status and a holder.
pub fn change(seconds: i64, actor: &str, token: i64, from: (&str, Option<&str>), to: (&str, Option<&str>)) -> Change {
    Change {
        at: at(seconds),
        actor: actor.to_owned(),
        job: JOB,
        life: 1,
        token,
        status_from: from.0.to_owned(),
        status_to: to.0.to_owned(),
        holder_from: from.1.map(str::to_owned),
        holder_to: to.1.map(str::to_owned),
        code: None,
        // The silent process was silent for long enough.
        lease_until: from.1.map(|_| at(seconds)),
    }
}

/// Returns the claim of a worker.
pub fn claim(seconds: i64, worker: &str, token: i64) -> Change {
    change(seconds, slot(worker), token, ("queued", None), ("processing", Some(worker)))
}

/// The end of a worker's claim, written by `actor`.
pub fn end(seconds: i64, actor: &str, worker: &str, token: i64, status: &str) -> Change {
    change(seconds, actor, token, ("processing", Some(worker)), (status, None))
}

/// Returns what became of a claim.
pub fn attempt(token: i64, outcome: &str) -> Attempt {
    Attempt { job: JOB, token, life: 1, outcome: outcome.to_owned(), code: None, report: None, guest: None }
}

/// Returns an answer that was journaled, under the claim of `worker`.
pub fn written(seconds: i64, worker: &str) -> Written {
    Written {
        at: at(seconds),
        actor: slot(worker).to_owned(),
        holder: Some(worker.to_owned()),
        held: Some(1),
        token: 1,
        job: JOB,
        life: 1,
        ordinal: 0,
        prompt_sha256: vec![1],
    }
}

/// Returns a call of the model about the file.
pub fn asked(seconds: i64, slot: usize) -> Asked {
    Asked { at: at(seconds), slot, file: FILE, question: vec![1] }
}

/// Returns a file and a job that succeeded in one go, by worker w1.
pub fn succeeded() -> Evidence {
    let report = format!("users/{FILE}/files/{FILE}/runs/{JOB}-1/report.json");
    let file = File {
        id: FILE,
        name: "zqm-accepted.txt".to_owned(),
        status: "succeeded".to_owned(),
        error_code: None,
        original: format!("users/{FILE}/files/{FILE}/original.txt"),
        report: Some(report.clone()),
        raw: None,
        schema_version: Some("report.v1".to_owned()),
    };
    let job = Job { id: JOB, file: FILE, status: "succeeded".to_owned(), life: 1, error_code: None, spent: false };
    Evidence {
        keys: [file.original.clone(), report.clone()].into(),
        files: vec![file],
        jobs: vec![job],
        attempts: vec![Attempt { report: Some(report), ..attempt(1, "succeeded") }],
        changes: vec![claim(1, "w1-a", 1), end(4, "w1", "w1-a", 1, "succeeded")],
        calls: vec![asked(2, 1)],
        written: vec![written(3, "w1-a")],
        ..Evidence::default()
    }
}

/// Returns the same, but it failed with this code.
pub fn failed(code: &str) -> Evidence {
    let mut evidence = succeeded();
    let (file, job) = (&mut evidence.files[0], &mut evidence.jobs[0]);
    (file.status, file.error_code, file.report) = ("failed".to_owned(), Some(code.to_owned()), None);
    (job.status, job.error_code) = ("failed".to_owned(), Some(code.to_owned()));
    evidence.attempts = vec![attempt(1, "failed")];
    evidence.changes[1].status_to = "failed".to_owned();
    evidence
}

fn slot(worker: &str) -> &str {
    worker.split_once('-').map_or(worker, |(slot, _)| slot)
}
