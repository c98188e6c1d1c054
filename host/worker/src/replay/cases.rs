//! Where cases come from: rows of finished jobs, and the objects that they name.

use std::{collections::HashMap, sync::Arc};

use anyhow::Context;
use assay_core::{code::Code, job::FileId, job_error::JobError, report_diff::GuestVerdict};
use assay_db::{
    Database,
    replay::{ReplayCursor, ReplayJob, ReplaySelection},
};
use assay_objects::{Kind, Objects, ObjectsError};
use assay_runtime::{Answer, Runtime};
use bytes::Bytes;
use futures::{Stream, TryStreamExt};
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::engine::Case;
use crate::{
    guests::{Release, schema_of_cached},
    pipeline::{read_answer, transcript},
    releases::dry_run::Recorded,
};

/// Jobs per statement.
const PAGE: usize = 1000;
/// Bytes of originals that may be in memory; others wait. What comes with them, answers and reports, is of their size as a rule; of a
/// guest that asks a lot about little it may be more.
const ROOM: usize = 48 << 20;
/// What a case takes besides its original.
const BESIDES: usize = 64 << 10;
/// The longest report, in bytes; longer than any limit that a worker may be configured with.
const REPORT: usize = 1 << 30;

/// Reads cases. Cheap to clone.
#[derive(Clone)]
pub struct Cases {
    database: Database,
    objects: Objects,
    candidate: Arc<Release>,
    runtime: Runtime,
    transcript_bytes: usize,
    room: Arc<Semaphore>,
    /// Digests, and whether the schema of their guest is the candidate's.
    same_schema: Arc<Mutex<HashMap<String, bool>>>,
}

/// A job that was looked at.
pub enum Read {
    /// It can be replayed.
    Case(Box<Ready>),
    /// It cannot, for the reason of this code.
    Skipped(FileId, &'static str),
}

/// A case in memory.
pub struct Ready {
    /// What to run.
    pub case: Case,
    /// Tokens of a recorded answer, on the average; none where the provider counted none.
    pub output_tokens: Option<u64>,
    /// Its place in memory.
    room: OwnedSemaphorePermit,
}

impl Ready {
    /// The case, the tokens of a recorded answer, and the place in memory, to be kept until the case is gone.
    pub fn into_parts(self) -> (Case, Option<u64>, OwnedSemaphorePermit) {
        (self.case, self.output_tokens, self.room)
    }
}

/// Why a job is not a case.
enum Refusal {
    /// Of this job.
    Skip(&'static str),
    /// Of the place where it is read from.
    Stop(anyhow::Error),
}

impl From<JobError> for Refusal {
    fn from(error: JobError) -> Self {
        match error.code {
            Code::JournalUnreadable
            | Code::TranscriptNotFound
            | Code::TranscriptEmpty
            | Code::TranscriptInvalidEncoding
            | Code::TranscriptTooLarge => Self::Skip(error.code.as_str()),
            _ => Self::Stop(error.into()),
        }
    }
}

impl Cases {
    /// Reads originals of at most `transcript_bytes` bytes.
    pub fn new(
        database: Database,
        objects: Objects,
        candidate: Arc<Release>,
        runtime: Runtime,
        transcript_bytes: usize,
    ) -> Self {
        let room = Arc::new(Semaphore::new(ROOM));
        let same_schema = Arc::default();
        Self { database, objects, candidate, runtime, transcript_bytes, room, same_schema }
    }

    /// The jobs that are meant, the newest first.
    pub fn jobs<'a>(&'a self, selection: &'a ReplaySelection) -> impl Stream<Item = anyhow::Result<ReplayJob>> + 'a {
        let limit = selection.limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
        let pages = futures::stream::try_unfold((ReplayCursor::START, limit), async move |(after, left)| {
            let rows = left.min(PAGE);
            if rows == 0 {
                return Ok(None);
            }
            let page = self.database.replay_jobs(selection, after, rows).await.context("look for finished jobs")?;
            let Some(last) = page.last().map(|job| job.cursor) else { return Ok(None) };
            let left = if page.len() < rows { 0 } else { left - rows };
            anyhow::Ok(Some((futures::stream::iter(page.into_iter().map(anyhow::Ok)), (last, left))))
        });
        pages.try_flatten()
    }

    /// Reads what a job names, on whichever core is free.
    ///
    /// # Errors
    /// The bucket does not say.
    pub async fn spawned(&self, job: ReplayJob) -> anyhow::Result<Read> {
        let cases = self.clone();
        tokio::spawn(async move { cases.read(job).await }).await.context("read a case")?
    }

    async fn read(&self, job: ReplayJob) -> anyhow::Result<Read> {
        let file = job.file.id;
        match self.ready(job).await {
            Ok(ready) => Ok(Read::Case(Box::new(ready))),
            Err(Refusal::Skip(code)) => Ok(Read::Skipped(file, code)),
            Err(Refusal::Stop(error)) => Err(error.context(format!("read what is stored of file {file}"))),
        }
    }

    async fn ready(&self, job: ReplayJob) -> Result<Ready, Refusal> {
        let bytes = usize::try_from(job.size_bytes).unwrap_or(0).saturating_add(BESIDES).min(ROOM);
        let room = self.room.clone().acquire_many_owned(u32::try_from(bytes).unwrap_or(u32::MAX)).await;
        let room = room.map_err(|error| Refusal::Stop(error.into()))?;
        let file = &job.file;
        let original = async {
            let bytes = self.objects.read(&file.bucket, &file.original_key, self.transcript_bytes).await;
            let bytes = bytes.map_err(ObjectsError::for_read)?;
            Ok(Arc::new(transcript(file, &bytes)?))
        };
        let verdict = async {
            let Some(key) = &job.report_key else { return Ok(GuestVerdict::Rejected) };
            match self.objects.read(&file.bucket, key, REPORT).await {
                // Copied, where the store's reader left room for more.
                Ok(bytes) => Ok(GuestVerdict::Accepted(Bytes::copy_from_slice(&bytes))),
                Err(error) if error.kind == Kind::NotFound => Err(Refusal::Skip("report_not_found")),
                Err(error) => Err(Refusal::Stop(error.into())),
            }
        };
        let answers = futures::future::try_join_all(
            job.journal.iter().map(async |entry| read_answer(&self.objects, file, entry).await.map_err(Refusal::from)),
        );
        let (transcript, verdict, answers) = futures::try_join!(original, verdict, answers)?;
        let counted: Vec<u64> =
            answers.iter().filter_map(|(answer, _)| answer.usage.map(|usage| usage.output_tokens)).collect();
        let output_tokens = counted.iter().sum::<u64>().checked_div(counted.len() as u64);
        let recorded = answers.into_iter().map(|(answer, stored)| Recorded {
            question: stored.question,
            answer: Answer { text: answer.text, model: answer.model },
        });
        let recorded = recorded.collect();
        let verified = job.report_key.is_some() && self.has_same_schema(&job.guest_digest).await;
        let case = Case { file: file.id, transcript, recorded, verdict, verified };
        Ok(Ready { case, output_tokens, room })
    }

    /// Whether what this guest made keeps the candidate's schema. Where its schema cannot be told at once, reports are checked again.
    async fn has_same_schema(&self, digest: &str) -> bool {
        if digest == self.candidate.digest() {
            return true;
        }
        if let Some(known) = self.same_schema.lock().get(digest) {
            return *known;
        }
        let schema = schema_of_cached(&self.runtime, digest).await;
        let same = schema.is_some_and(|schema| schema == self.candidate.manifest().schema);
        self.same_schema.lock().insert(digest.to_owned(), same);
        same
    }
}
