//! Ending a claim: job, file and history in one autocommitted statement.

use assay_core::{
    lease::Lease,
    settlement::{SettleOutcome, Settlement},
};
use sqlx::{Connection, Executor};

use crate::{Database, DbError, within};

/// Whether a settlement touched its row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settled {
    /// It is committed, and the claim is over.
    Done,
    /// The claim was no longer ours: nothing was written.
    Lost,
    /// The job was to wait for another run, and somebody has asked for its end: nothing was written, and the claim is still ours.
    CancelRequested,
}

/// What a second look at the row tells about a settlement whose answer was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// The claim ended as we wanted it to end: the settlement did commit.
    Committed,
    /// The claim is still ours: the settlement has not committed.
    StillOurs,
    /// The claim ended in another way, or the row is gone.
    Lost,
}

impl Database {
    /// Writes how a claim ended. Zero rows touched is [`Settled::Lost`], and then nothing at all was written.
    ///
    /// A job whose end somebody has asked for does not go back into the queue: that is [`Settled::CancelRequested`]. One that has
    /// come to its own end has ended, and the request came too late.
    ///
    /// # Errors
    /// [`DbError`]; where [`DbError::is_ambiguous`], ask [`Self::presence`] before doing anything else.
    pub async fn settle(&self, lease: Lease, settlement: &Settlement) -> Result<Settled, DbError> {
        let row = Row::of(settlement);
        let written = self
            .run(async |db| {
                sqlx::query!(
                    r#"
                with claim as (
                    select id, file_id, lease_token, life, attempts, locked_by, locked_at, guest_digest, channel,
                           $3 = 'queued' and cancel_requested_at is not null as cancelled
                      from processing_jobs
                     where id = $1 and lease_token = $2 and status = 'processing'
                       for update
                ), held as (
                    select * from claim where not cancelled
                ), job as (
                    update processing_jobs j
                       set status = $3, attempts = j.attempts - $4, snoozes = j.snoozes + $5,
                           next_run_at = case when $3 = 'queued' then now() + make_interval(secs => $6)
                                              else j.next_run_at end,
                           locked_by = null, locked_at = null, heartbeat_at = null, lock_ttl_seconds = default,
                           last_error_code = $7, last_error_step = $8, last_error_message = $9, updated_at = now()
                      from held
                     where j.id = held.id
                ), file as (
                    update files f
                       set status = $3, processing_attempts = held.attempts - $4,
                           error_code = case when $3 = 'failed' then $7 end,
                           error_message = case when $3 = 'failed' then $9 end,
                           -- A life that fails makes no report, and takes none away.
                           storage_key_report = case when $3 = 'succeeded' then $10 else f.storage_key_report end,
                           storage_key_raw_llm_output =
                               case when $3 = 'queued' then f.storage_key_raw_llm_output else $11 end,
                           -- Of the report, where one stays; the attempt has its own.
                           prompt_version = case when $3 <> 'succeeded' and f.storage_key_report is not null
                                                 then f.prompt_version else coalesce($12, f.prompt_version) end,
                           schema_version = case when $3 <> 'succeeded' and f.storage_key_report is not null
                                                 then f.schema_version else coalesce($13, f.schema_version) end,
                           guest_digest = case when $3 <> 'succeeded' and f.storage_key_report is not null
                                               then f.guest_digest else coalesce($14, f.guest_digest) end,
                           processed_at = case when $3 in ('succeeded', 'failed') then now() end,
                           updated_at = now()
                      from held
                     where f.id = held.file_id
                ), attempt as (
                    insert into job_attempts (job_id, lease_token, life, attempt, worker, started_at, outcome,
                                              code, step, message, tokens_in, tokens_out, guest_digest, channel,
                                              guest_micros, report_key)
                    select id, lease_token, life, attempts, locked_by, locked_at, $15, $7, $8, $9, $16, $17,
                           guest_digest, channel, $18, $10
                      from held
                ), wake as (
                    -- A released job can run elsewhere at once.
                    select pg_notify('assay_jobs', '') from held where $15 = 'released'
                )
                select (select count(*) from held) + 0 * (select count(*) from wake) as "touched!",
                       exists (select from claim where cancelled) as "cancelled!"
                "#,
                    lease.job.0,
                    lease.token.0,
                    row.status,
                    row.given_back,
                    row.snoozed,
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

    /// Finds out what became of a settlement with `outcome` whose answer was lost: on a new connection, and under the
    /// row's lock, because the old backend may still be committing.
    ///
    /// The row alone does not tell: the reaper takes a job back without a new token. The attempt of this token does.
    ///
    /// # Errors
    /// [`DbError`] when there is still no answer: then nothing is known and nothing may be deleted.
    pub async fn presence(&self, lease: Lease, outcome: SettleOutcome) -> Result<Presence, DbError> {
        let mut connection = self.connect().await?;
        let look = async {
            let mut transaction = connection.begin().await?;
            // Less than our own patience, so that the answer is the server's.
            let patience = (self.config.timeout / 2).as_millis();
            transaction.execute(sqlx::AssertSqlSafe(format!("set local lock_timeout = {patience}"))).await?;
            let row =
                sqlx::query!("select status, lease_token from processing_jobs where id = $1 for update", lease.job.0)
                    .fetch_optional(&mut *transaction)
                    .await?;
            // A statement of its own: what was committed while the first one waited is invisible to it.
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

/// A settlement as the statement wants it.
struct Row<'a> {
    status: &'static str,
    given_back: i32,
    snoozed: i32,
    code: Option<&'static str>,
    step: Option<&'static str>,
    message: Option<&'a str>,
}

impl<'a> Row<'a> {
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
            given_back: match settlement.outcome {
                SettleOutcome::Snoozed | SettleOutcome::Held | SettleOutcome::Released => 1,
                SettleOutcome::Succeeded | SettleOutcome::Failed | SettleOutcome::Retried => 0,
            },
            snoozed: i32::from(settlement.outcome == SettleOutcome::Snoozed),
            code: failure.map(|failure| failure.code.as_str()),
            step: failure.map(|failure| failure.step.as_str()),
            message: failure.map(|failure| failure.message.as_str()),
        }
    }
}
