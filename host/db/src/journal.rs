//! The answers received so far: keys, hashes and usage. Their bytes are in the object store.

use assay_core::{attempt_usage::Tokens, lease::Lease};

use crate::{database::Database, error::DbError};

/// An answer to be written to the journal.
#[derive(Debug)]
pub struct NewEntry<'a> {
    /// Position among the answers of this life.
    pub ordinal: i32,
    /// sha256 of the prompt.
    pub prompt_sha256: &'a [u8],
    /// Of the answer's bytes.
    pub key: &'a str,
    /// Of the answer's bytes.
    pub sha256: &'a [u8],
    pub model: &'a str,
    /// In the provider's words.
    pub finish_reason: &'a str,
    /// None if the provider did not count.
    pub tokens: Option<Tokens>,
}

/// What [`Database::record_answer`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recorded {
    /// The answer is in the journal.
    Written,
    /// The claim is lost: nothing was written.
    Lost,
    /// The claim is ours, but an earlier claim has journaled another answer to this question, and that one stays.
    AnsweredBefore,
}

impl Database {
    /// Writes an answer under the lease; from then on this life never asks for it again.
    ///
    /// Locks the job's row in share mode, so that no reaper or claim comes between the check of the token and the
    /// insert.
    ///
    /// # Errors
    /// [`DbError`]; safe to call again.
    pub async fn record_answer(&self, lease: Lease, entry: &NewEntry<'_>) -> Result<Recorded, DbError> {
        let recorded = self
            .run(async |db| {
                sqlx::query!(
                    r#"
                with held as (
                    select id, life from processing_jobs
                     where id = $1 and lease_token = $2 and status = 'processing'
                       for share
                ), recorded as (
                insert into job_answers (job_id, life, ordinal, lease_token, prompt_sha256, key, sha256, model,
                                         finish_reason, tokens_in, tokens_out)
                select id, life, $3, $2, $4, $5, $6, $7, $8, $9, $10 from held
                on conflict (job_id, life, ordinal) do update
                   set key = excluded.key, sha256 = excluded.sha256
                 where job_answers.lease_token = excluded.lease_token
                returning true
                )
                select (select count(*) from held) as "held!", (select count(*) from recorded) as "recorded!"
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
                .fetch_one(db)
                .await
            })
            .await?;
        Ok(match (recorded.held, recorded.recorded) {
            (0, _) => Recorded::Lost,
            (_, 0) => Recorded::AnsweredBefore,
            _ => Recorded::Written,
        })
    }
}
