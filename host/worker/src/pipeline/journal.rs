//! The journal: an answer's bytes go to the bucket, then its row to the database. Only then is it *received*.

use std::time::{Duration, Instant};

use assay_core::{
    attempt_usage::Tokens,
    breaker::Dependency,
    code::Code,
    file_info::FileInfo,
    job_error::{JobError, Step},
    journal_entry::JournalEntry,
    lease::Lease,
    object_keys::answer_key,
    stop_reason::StopReason,
};
use assay_db::{
    Database, DbError,
    journal::{NewEntry, Recorded},
};
use assay_objects::{Objects, ObjectsErrorKind};
use bytes::Bytes;
use sha2::{Digest, Sha256};

use crate::{
    breakers::Breakers,
    pipeline::{
        bucket_calls::{BucketCalls, bucket_calls},
        run::{JournaledAnswer, ResultExt, Run, RunError, RunResult},
        stored_answer::StoredAnswer,
    },
    services::Services,
};

/// One journal write. Owns its data, so that it can go on during the next guest call.
struct JournalWrite {
    store: BucketCalls,
    breakers: Breakers,
    database: Database,
    bucket: String,
    lease: Lease,
    ordinal: i32,
    key: String,
    question: [u8; 32],
    bytes: Bytes,
    model: String,
    finish_reason: String,
    tokens: Option<Tokens>,
    patience: Duration,
}

/// Short against a lease, long against a round trip.
const ROW_RETRY_DELAY: Duration = Duration::from_millis(200);

/// Starts to journal a new answer of the model. The write overlaps with the next guest call, and ends before the settlement.
pub(super) fn start_write(
    services: &Services,
    run: &mut Run<'_>,
    stored: &JournaledAnswer,
    answer: &StoredAnswer,
    model: String,
    tokens: Option<Tokens>,
) {
    if let Some(tokens) = tokens {
        run.spent.tokens.add(tokens);
    }
    let ordinal = i32::try_from(stored.ordinal).unwrap_or(i32::MAX);
    let write = JournalWrite {
        store: bucket_calls(services),
        breakers: services.breakers.clone(),
        database: services.database.clone(),
        bucket: run.claim.file.bucket.clone(),
        lease: run.claim.lease,
        ordinal,
        key: answer_key(&run.claim.file, run.claim.lease, ordinal),
        question: stored.question,
        bytes: stored.bytes.clone(),
        model,
        finish_reason: answer.finish_reason.clone(),
        tokens,
        patience: services.config.journal_patience,
    };
    run.journal_writes.spawn(write.carry_out());
}

/// Reads an answer that was received before, and checks its hash.
///
/// # Errors
/// `journal_unreadable` when the object is gone or differs from what was journaled; otherwise the failure of the store.
pub async fn read_answer(
    objects: &Objects,
    file: &FileInfo,
    entry: &JournalEntry,
) -> Result<(StoredAnswer, JournaledAnswer), JobError> {
    let unreadable =
        |what: &str| JobError::new(Code::JournalUnreadable, format!("read answer {}: {what}", entry.ordinal));
    // No limit: escapes and the envelope may make the object larger than the limit of an answer.
    let bytes = match objects.read(&file.bucket, &entry.key, usize::MAX).await {
        Ok(bytes) => bytes,
        Err(error) if error.kind == ObjectsErrorKind::NotFound => return Err(unreadable("the object is gone")),
        Err(error) => return Err(error.for_read()),
    };
    if Sha256::digest(&bytes)[..] != entry.sha256[..] {
        return Err(unreadable("its bytes differ from those that were journaled"));
    }
    let answer = serde_json::from_slice(&bytes).map_err(|_| unreadable("it is not a stored answer"))?;
    let ordinal = usize::try_from(entry.ordinal).unwrap_or(0);
    let question = entry.prompt_sha256.as_slice().try_into();
    let question = question.map_err(|_| unreadable("the hash of its question has not 32 bytes"))?;
    Ok((answer, JournaledAnswer { ordinal, question, bytes }))
}

impl JournalWrite {
    async fn carry_out(self) -> RunResult {
        let put = self.store.call(&self.bucket, async |objects| {
            objects.write_json(&self.bucket, &self.key, self.bytes.clone()).await.map_err(|error| error.for_write())
        });
        put.await.at_step(Step::Journal)?;
        let sha256 = Sha256::digest(&self.bytes);
        let entry = NewEntry {
            ordinal: self.ordinal,
            prompt_sha256: &self.question,
            key: &self.key,
            sha256: &sha256,
            model: &self.model,
            finish_reason: &self.finish_reason,
            tokens: self.tokens,
        };
        let deadline = tokio::time::Instant::now() + self.patience;
        loop {
            let begun = Instant::now();
            let recorded = self.database.record_answer(self.lease, &entry).await;
            self.breakers.record_database(&recorded, false, begun);
            match recorded {
                Ok(Recorded::Written) => return Ok(()),
                Ok(Recorded::Lost) => return Err(RunError::Stopped(StopReason::Lost)),
                // The next attempt reads that answer instead of this one.
                Ok(Recorded::AnsweredBefore) => {
                    let message =
                        format!("journal answer {}: an earlier claim has journaled another one", self.ordinal);
                    return Err(RunError::at(Step::Journal, JobError::new(Code::JournalConflict, message)));
                }
                // Writing the row twice is harmless; losing it costs an answer.
                Err(error) if tokio::time::Instant::now() < deadline && !matches!(error, DbError::Refused(_)) => {
                    tracing::warn!(%error, ordinal = self.ordinal, "journal write failed; trying again");
                    tokio::time::sleep(ROW_RETRY_DELAY).await;
                }
                Err(error) => {
                    let error = self.breakers.held_where_open(&Dependency::Database, error.into());
                    return Err(RunError::at(Step::Journal, error));
                }
            }
        }
    }
}
