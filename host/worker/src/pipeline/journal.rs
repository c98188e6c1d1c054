//! The journal: an answer's bytes go to the bucket, its row to the database; only then is it *received*.

use std::{
    fmt,
    time::{Duration, Instant},
};

use assay_core::{
    attempt_usage::Tokens,
    breaker::Dependency,
    code::Code,
    file_info::FileInfo,
    job_error::{JobError, Step},
    journal_entry::JournalEntry,
    lease::Lease,
    stop_reason::StopReason,
};
use assay_db::{Database, DbError, journal::NewEntry};
use assay_llm::Completion;
use assay_objects::{Objects, ObjectsErrorKind};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{
    breakers::Breakers,
    pipeline::{
        bucket_calls::{BucketCalls, bucket_calls},
        run::{ResultExt, Run, RunError, RunResult, Stored},
    },
    services::Services,
};

/// An answer as it is stored: what a guest sees of it, and what an operator wants to know of it.
#[derive(Clone, Serialize, Deserialize)]
pub struct StoredAnswer {
    /// The answer; empty where the model refused or was filtered. Content.
    pub text: String,
    /// The model's words for refusing. Content.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refusal: Option<String>,
    /// The model as the provider names it.
    pub model: String,
    /// Why it stopped, in the provider's word.
    pub finish_reason: String,
    /// What it cost, where the provider told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<StoredUsage>,
}

/// The price of an answer, in tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredUsage {
    /// Of the question.
    pub input_tokens: u64,
    /// Of the answer.
    pub output_tokens: u64,
}

/// Sizes instead of texts.
impl fmt::Debug for StoredAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoredAnswer")
            .field("text_bytes", &self.text.len())
            .field("refused", &self.refusal.is_some())
            .field("model", &self.model)
            .field("finish_reason", &self.finish_reason)
            .field("usage", &self.usage)
            .finish()
    }
}

impl From<Completion> for StoredAnswer {
    fn from(completion: Completion) -> Self {
        let usage = completion
            .usage
            .map(|usage| StoredUsage { input_tokens: usage.input_tokens, output_tokens: usage.output_tokens });
        Self {
            text: completion.text,
            refusal: completion.refusal,
            model: completion.model,
            finish_reason: completion.finish_reason,
            usage,
        }
    }
}

impl StoredAnswer {
    pub(super) fn encode(&self) -> Bytes {
        let bytes = serde_json::to_vec(self).expect("strings and numbers are always JSON");
        // Kept until the job is settled: without the room that was left for more.
        bytes.into_boxed_slice().into()
    }
}

/// Everything that one journal write needs, owned, so that it can go on beside the next guest call.
struct Write {
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

/// Starts to journal an answer that was bought just now. The write overlaps with the next guest call; the run waits
/// for it before it is settled.
pub(super) fn journal(
    services: &Services,
    run: &mut Run<'_>,
    stored: &Stored,
    answer: &StoredAnswer,
    bought: Option<Option<Tokens>>,
) {
    let Some(tokens) = bought else {
        return;
    };
    if let Some(tokens) = tokens {
        run.spent.tokens.input += tokens.input;
        run.spent.tokens.output += tokens.output;
    }
    let ordinal = i32::try_from(stored.ordinal).unwrap_or(i32::MAX);
    let write = Write {
        store: bucket_calls(services),
        breakers: services.breakers.clone(),
        database: services.database.clone(),
        bucket: run.claim.file.bucket.clone(),
        lease: run.claim.lease,
        ordinal,
        key: run.claim.file.answer_key(run.claim.lease, ordinal),
        question: stored.question,
        bytes: stored.bytes.clone(),
        model: answer.model.clone(),
        finish_reason: answer.finish_reason.clone(),
        tokens,
        patience: services.config.journal_patience,
    };
    run.journaling.spawn(write.carry_out());
}

/// Reads an answer that was received before, and makes sure that it is the one.
///
/// # Errors
/// `journal_unreadable` where the object is gone or is not what was journaled; else the store's own failure.
pub async fn read_answer(
    objects: &Objects,
    file: &FileInfo,
    entry: &JournalEntry,
) -> Result<(StoredAnswer, Stored), JobError> {
    let unreadable =
        |what: &str| JobError::new(Code::JournalUnreadable, format!("read answer {}: {what}", entry.ordinal));
    // An answer is JSON text of the model's: escapes and the envelope may make it larger than the model's limit.
    let bytes = match objects.read(&file.bucket, &entry.key, usize::MAX).await {
        Ok(bytes) => bytes,
        Err(error) if error.kind == ObjectsErrorKind::NotFound => return Err(unreadable("the object is gone")),
        Err(error) => return Err(error.for_read()),
    };
    if Sha256::digest(&bytes)[..] != entry.sha256[..] {
        return Err(unreadable("its bytes are not those that were journaled"));
    }
    let answer = serde_json::from_slice(&bytes).map_err(|_| unreadable("it is not a stored answer"))?;
    let ordinal = usize::try_from(entry.ordinal).unwrap_or(0);
    let question = entry.prompt_sha256.as_slice().try_into();
    let question = question.map_err(|_| unreadable("the hash of its question is none"))?;
    Ok((answer, Stored { ordinal, question, bytes }))
}

impl Write {
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
                Ok(true) => return Ok(()),
                Ok(false) => return Err(RunError::Stopped(StopReason::Lost)),
                // Writing the row twice is harmless, losing it costs an answer.
                Err(error) if tokio::time::Instant::now() < deadline && !matches!(error, DbError::Refused(_)) => {
                    tracing::warn!(%error, ordinal = self.ordinal, "journal an answer: trying again");
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
