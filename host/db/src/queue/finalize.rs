//! Ending a claim: job, file and history in one statement, and reading back whether it was committed.

use assay_core::{
    lease::Lease,
    settlement::{SettleOutcome, Settlement},
};
use sqlx::{Connection, Executor};

use crate::{
    database::{Database, within},
    error::DbError,
};

/// What a settlement did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settled {
    /// It is committed, and the claim is over.
    Done,
    /// The claim was lost before: nothing was written.
    Lost,
    /// The job was to be requeued, but its end was requested: nothing was written, and the claim is still ours.
    CancelRequested,
}

/// What became of a settlement whose answer was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// The claim ended with our outcome: the settlement was committed.
    Committed,
    /// The claim is still ours: the settlement was not committed.
    StillOurs,
    /// The claim ended with another outcome, or the job was deleted.
    Lost,
}

impl Database {
    /// Writes how a claim ended.
    ///
    /// A job whose end was requested is not requeued: that returns [`Settled::CancelRequested`]. For a job that
    /// succeeded or failed, the request came too late.
    ///
    /// # Errors
    /// [`DbError`]; where [`DbError::is_ambiguous`], ask [`Self::presence`] before doing anything else.
    pub async fn settle(&self, lease: Lease, settlement: &Settlement) -> Result<Settled, DbError> {
        let row = SettlementRow::of(settlement);
        let written = self
            .repeat(async |db| {
                sqlx::query_file!(
                    "sql/finalize.sql",
                    lease.job.0,
                    lease.token.0,
                    row.status,
                    row.returned_attempts,
                    row.added_snoozes,
                    settlement.wait.as_secs_f64(),
                    row.code,
                    row.step,
                    row.message,
                    settlement.result.report_key,
                    settlement.result.raw_output_key,
                    settlement.result.prompt_version,
                    settlement.result.schema_version,
                    settlement.result.guest_digest,
                    settlement.outcome.as_str(),
                    settlement.usage.tokens.input,
                    settlement.usage.tokens.output,
                    i64::try_from(settlement.usage.guest_time.as_micros()).unwrap_or(i64::MAX),
                )
                .fetch_one(db)
                .await
            })
            .await?;
        Ok(match (written.touched, written.cancelled) {
            (1, _) => Settled::Done,
            (_, true) => Settled::CancelRequested,
            (_, false) => Settled::Lost,
        })
    }

    /// Reads back a settlement with `outcome` whose answer was lost: on a new connection, and under the row's lock,
    /// because the old backend may still be committing.
    ///
    /// The job's row is not enough, because the reaper takes a job back without a new token. This token's attempt
    /// decides.
    ///
    /// # Errors
    /// [`DbError`] if there is still no answer: then the outcome is unknown, and nothing may be deleted.
    pub async fn presence(&self, lease: Lease, outcome: SettleOutcome) -> Result<Presence, DbError> {
        let mut connection = self.connect().await?;
        let look = async {
            let mut transaction = connection.begin().await?;
            // Shorter than our own deadline, so that the server answers.
            let lock_timeout = (self.config.timeout / 2).as_millis();
            transaction.execute(sqlx::AssertSqlSafe(format!("set local lock_timeout = {lock_timeout}"))).await?;
            let row =
                sqlx::query!("select status, lease_token from processing_jobs where id = $1 for update", lease.job.0)
                    .fetch_optional(&mut *transaction)
                    .await?;
            // In its own statement: the first one does not see what was committed while it waited for the lock.
            let ended = sqlx::query_scalar!(
                "select outcome from job_attempts where job_id = $1 and lease_token = $2",
                lease.job.0,
                lease.token.0
            )
            .fetch_optional(&mut *transaction)
            .await?;
            transaction.rollback().await?;
            Ok((row, ended))
        };
        Ok(match within(self.config.timeout, look).await? {
            (_, Some(ended)) if ended == outcome.as_str() => Presence::Committed,
            (_, Some(_)) => Presence::Lost,
            (Some(row), None) if row.lease_token == lease.token.0 && row.status == "processing" => Presence::StillOurs,
            (_, None) => Presence::Lost,
        })
    }
}

/// A settlement as the parameters of the statement.
struct SettlementRow<'a> {
    status: &'static str,
    returned_attempts: i32,
    added_snoozes: i32,
    code: Option<&'static str>,
    step: Option<&'static str>,
    message: Option<&'a str>,
}

impl<'a> SettlementRow<'a> {
    fn of(settlement: &'a Settlement) -> Self {
        let failure = settlement.failure.as_ref();
        Self {
            status: match settlement.outcome {
                SettleOutcome::Succeeded => "succeeded",
                SettleOutcome::Failed => "failed",
                SettleOutcome::Retried | SettleOutcome::Snoozed | SettleOutcome::Held | SettleOutcome::Released => {
                    "queued"
                }
            },
            returned_attempts: match settlement.outcome {
                SettleOutcome::Snoozed | SettleOutcome::Held | SettleOutcome::Released => 1,
                SettleOutcome::Succeeded | SettleOutcome::Failed | SettleOutcome::Retried => 0,
            },
            added_snoozes: i32::from(settlement.outcome == SettleOutcome::Snoozed),
            code: failure.map(|failure| failure.code.as_str()),
            step: failure.map(|failure| failure.step.as_str()),
            message: failure.map(|failure| failure.message.as_str()),
        }
    }
}
