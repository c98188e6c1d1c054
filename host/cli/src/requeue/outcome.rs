//! The result of a requeue.

use std::process::ExitCode;

use serde::Serialize;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::terminal;

/// Jobs that failed with one code in one channel.
#[derive(Clone, Debug, Serialize)]
pub struct FailedGroup {
    pub code: String,
    pub channel: String,
    pub jobs: u64,
    /// Whether they start without their answers.
    pub afresh: bool,
}

/// Files with reports of one prompt version in one channel.
#[derive(Clone, Debug, Serialize)]
pub struct SucceededGroup {
    pub prompt_version: Option<String>,
    pub channel: String,
    pub files: u64,
    /// The release of new jobs there. `None` if they would wait.
    pub runs_on: Option<String>,
}

/// A job that stays as it is: a named one, or one whose rows the database refuses to change.
#[derive(Debug, Serialize)]
pub struct Refused {
    /// The id as the user gave it.
    pub id: Uuid,
    pub reason: String,
}

impl Refused {
    pub fn new(id: Uuid, reason: &str) -> Self {
        Self { id, reason: reason.to_owned() }
    }

    /// A job whose rows the database refuses to change.
    pub fn by_database(id: Uuid, sqlstate: &str) -> Self {
        Self { id, reason: format!("the database refuses to change its rows (SQLSTATE {sqlstate})") }
    }
}

/// The numbers of a dry run are what a real run would do.
#[derive(Debug, Default, Serialize)]
pub struct RequeueOutcome {
    pub dry_run: bool,
    pub jobs: u64,
    /// The earliest time at which the last of the jobs can run.
    #[serde(with = "time::serde::rfc3339::option")]
    pub last_begins_at: Option<OffsetDateTime>,
    pub failed: Vec<FailedGroup>,
    /// Counted before the first file is requeued.
    pub succeeded: Vec<SucceededGroup>,
    pub refused: Vec<Refused>,
    /// Selected jobs that another command or the application changed first.
    pub changed_meanwhile: u64,
}

impl RequeueOutcome {
    pub fn add(&mut self, jobs: u64, last_begins_at: Option<OffsetDateTime>) {
        self.jobs += jobs;
        self.last_begins_at = self.last_begins_at.max(last_begins_at);
    }

    /// Prints each refused id with its reason to standard error.
    pub fn report_refused(&self) {
        for refused in &self.refused {
            terminal::error(format_args!("{}: {}", refused.id, refused.reason));
        }
    }

    pub fn exit_code(&self) -> ExitCode {
        ExitCode::from(u8::from(!self.refused.is_empty()))
    }
}
