//! Reads cases: rows of finished jobs, and the objects that they name.

use std::{collections::HashMap, sync::Arc};

use anyhow::Context;
use assay_core::{attempt_usage::Tokens, code::Code, ids::FileId, job_error::JobError, report_diff::GuestVerdict};
use assay_db::{
    Database, UnreadableColumn,
    replay::{ReplayCursor, ReplayJob, ReplaySelection, StoredCase},
};
use assay_objects::{Objects, ObjectsError, ObjectsErrorKind};
use assay_runtime::{Answer, Runtime};
use bytes::Bytes;
use futures::{Stream, TryStreamExt};
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::{
    guests::{release::Release, sandbox::schema_of_cached},
    pipeline::{journal::read_answer, transcript::decode_transcript},
    releases::dry_run::RecordedAnswer,
    replay::engine::ReplayCase,
};

/// Jobs per statement.
const JOBS_PER_PAGE: usize = 1000;
/// Bytes of originals in memory; further cases wait. Answers and reports usually have the same size, and come on top.
const MAX_ORIGINAL_BYTES: usize = 48 << 20;
/// Bytes of a case besides its original.
const CASE_OVERHEAD_BYTES: usize = 64 << 10;
/// Largest report, in bytes: the largest limit that a worker can be configured with.
const MAX_REPORT_BYTES: usize = 1 << 30;

/// Reads cases. Cheap to clone.
#[derive(Clone)]
pub struct CaseReader {
    database: Database,
    objects: Objects,
    candidate: Arc<Release>,
    runtime: Runtime,
    transcript_bytes: usize,
    memory: Arc<Semaphore>,
    /// Whether the guest of a digest has the schema of the candidate.
    same_schema: Arc<Mutex<HashMap<String, bool>>>,
}

/// The result of reading a job.
pub enum CaseRead {
    Ready(Box<ReadyCase>),
    /// The job cannot be replayed; the code says why.
    Skipped(FileId, &'static str),
}

/// A case in memory.
pub struct ReadyCase {
    pub case: ReplayCase,
    /// Average tokens of a recorded answer, if the provider counted them.
    pub output_tokens: Option<u64>,
    /// The share of the memory; keep it as long as the case.
    pub memory: OwnedSemaphorePermit,
}

/// Why a job was not read.
enum ReadError {
    /// The job cannot be replayed.
    Skip(&'static str),
    /// The database or the bucket failed.
    Stop(anyhow::Error),
}

impl From<JobError> for ReadError {
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

impl CaseReader {
    /// Makes a reader of originals of at most `transcript_bytes` bytes.
    pub fn new(
        database: Database,
        objects: Objects,
        candidate: Arc<Release>,
        runtime: Runtime,
        transcript_bytes: usize,
    ) -> Self {
        let memory = Arc::new(Semaphore::new(MAX_ORIGINAL_BYTES));
        let same_schema = Arc::default();
        Self { database, objects, candidate, runtime, transcript_bytes, memory, same_schema }
    }

    /// Returns the selected jobs, the newest first.
    pub fn jobs<'a>(&'a self, selection: &'a ReplaySelection) -> impl Stream<Item = anyhow::Result<ReplayJob>> + 'a {
        let limit = selection.limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
        let pages = futures::stream::try_unfold((ReplayCursor::START, limit), async move |(after, left)| {
            let rows = left.min(JOBS_PER_PAGE);
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

    /// Reads a case in its own task.
    ///
    /// # Errors
    /// When the bucket fails.
    pub async fn spawn(&self, job: ReplayJob) -> anyhow::Result<CaseRead> {
        let reader = self.clone();
        tokio::spawn(async move { reader.read(job).await }).await.context("read a case")?
    }

    async fn read(&self, job: ReplayJob) -> anyhow::Result<CaseRead> {
        let file = job.file_id;
        let job = match job.case {
            Ok(case) => case,
            Err(UnreadableColumn(_)) => return Ok(CaseRead::Skipped(file, Code::RowUnreadable.as_str())),
        };
        match self.ready(job).await {
            Ok(ready) => Ok(CaseRead::Ready(Box::new(ready))),
            Err(ReadError::Skip(code)) => Ok(CaseRead::Skipped(file, code)),
            Err(ReadError::Stop(error)) => Err(error.context(format!("read what is stored of file {file}"))),
        }
    }

    async fn ready(&self, job: StoredCase) -> Result<ReadyCase, ReadError> {
        let bytes =
            usize::try_from(job.size_bytes).unwrap_or(0).saturating_add(CASE_OVERHEAD_BYTES).min(MAX_ORIGINAL_BYTES);
        let memory = self.memory.clone().acquire_many_owned(u32::try_from(bytes).unwrap_or(u32::MAX)).await;
        let memory = memory.map_err(|error| ReadError::Stop(error.into()))?;
        let file = &job.file;
        let original = async {
            let bytes = self.objects.read(&file.bucket, &file.original_key, self.transcript_bytes).await;
            let bytes = bytes.map_err(ObjectsError::for_read)?;
            Ok(Arc::new(decode_transcript(file, &bytes)?))
        };
        let verdict = async {
            let Some(key) = &job.report_key else { return Ok(GuestVerdict::Rejected) };
            match self.objects.read(&file.bucket, key, MAX_REPORT_BYTES).await {
                // Copied, because the store's buffer has spare capacity.
                Ok(bytes) => Ok(GuestVerdict::Accepted(Bytes::copy_from_slice(&bytes))),
                Err(error) if error.kind == ObjectsErrorKind::NotFound => Err(ReadError::Skip("report_not_found")),
                Err(error) => Err(ReadError::Stop(error.into())),
            }
        };
        let answers = futures::future::try_join_all(
            job.journal
                .iter()
                .map(async |entry| read_answer(&self.objects, file, entry).await.map_err(ReadError::from)),
        );
        let (transcript, verdict, answers) = futures::try_join!(original, verdict, answers)?;
        let counted = answers.iter().filter_map(|(answer, _)| answer.usage.map(|usage| usage.output_tokens));
        // An answer of an earlier version may hold a count that no provider can mean.
        let counted: Vec<u64> = counted.filter(|tokens| *tokens <= Tokens::MAX_PLAUSIBLE).collect();
        let output_tokens = counted.iter().sum::<u64>().checked_div(counted.len() as u64);
        let recorded = answers.into_iter().map(|(answer, stored)| RecordedAnswer {
            question: stored.question,
            answer: Answer { text: answer.text, model: answer.model },
        });
        let recorded = recorded.collect();
        let verified = job.report_key.is_some() && self.has_same_schema(&job.guest_digest).await;
        let case = ReplayCase { file: file.id, transcript, recorded, verdict, verified };
        Ok(ReadyCase { case, output_tokens, memory })
    }

    /// Returns whether a guest has the candidate's schema. A guest that is not in the cache counts as different, so that reports are
    /// checked again.
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
