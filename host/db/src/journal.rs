//! The answers received so far: keys, hashes and usage. The bytes are in the object store.

use assay_core::{attempt_usage::Tokens, lease::Lease};

use crate::{Database, DbError};

/// What the journal keeps of one answer.
#[derive(Debug)]
pub struct NewEntry<'a> {
    /// Position among the answers of this life.
    pub ordinal: i32,
    /// sha256 of the prompt.
    pub prompt_sha256: &'a [u8],
    /// Key of the answer's bytes.
    pub key: &'a str,
    /// sha256 of those bytes.
    pub sha256: &'a [u8],
    /// The model that answered.
    pub model: &'a str,
    /// Why it stopped.
    pub finish_reason: &'a str,
    /// What the provider counted, where it did.
    pub tokens: Option<Tokens>,
}

impl Database {
    /// Commits an answer under the lease; from here on it is *received* and never bought again.
    ///
    /// False when the claim is lost: then nothing was written. The job's row is locked in share mode, so that no reaper
    /// or claim passes between the check of the token and the insert. Writing the same answer twice is harmless.
    ///
    /// # Errors
    /// [`DbError`]; writing again is safe.
    pub async fn record_answer(&self, lease: Lease, entry: &NewEntry<'_>) -> Result<bool, DbError> {
        let recorded = self
            .run(async |db| {
                sqlx::query_scalar!(
                    r#"
                with held as (
                    select id, life from processing_jobs
                     where id = $1 and lease_token = $2 and status = 'processing'
                       for share
                )
                insert into job_answers (job_id, life, ordinal, lease_token, prompt_sha256, key, sha256, model,
                                         finish_reason, tokens_in, tokens_out)
                select id, life, $3, $2, $4, $5, $6, $7, $8, $9, $10 from held
                on conflict (job_id, life, ordinal) do update
                   set key = excluded.key, sha256 = excluded.sha256
                 where job_answers.lease_token = excluded.lease_token
                returning true as "recorded!"
                "#,
                    lease.job.0,
                    lease.token.0,
                    entry.ordinal,
                    entry.prompt_sha256,
                    entry.key,
                    entry.sha256,
                    entry.model,
                    entry.finish_reason,
                    entry.tokens.map(|tokens| tokens.input),
                    entry.tokens.map(|tokens| tokens.output),
                )
                .fetch_optional(db)
                .await
            })
            .await?;
        Ok(recorded.is_some())
    }
}
