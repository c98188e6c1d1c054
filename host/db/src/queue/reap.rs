//! Rescuing what dead workers left, and ending what nobody can run. Any worker does it; `SKIP LOCKED` shares the work.

use std::time::Duration;

use assay_core::{
    code::Code,
    ids::{FileId, JobId},
};

use crate::{Database, DbError};

/// What the reaper did with a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rescue {
    /// Its worker is gone; it can be claimed again at once.
    Requeued,
    /// Its worker is gone, and it has no attempt left.
    Failed,
    /// Somebody asked for its end, and its worker did not live to carry that out, or gave it back.
    Cancelled,
    /// No worker has known its prompt version for too long.
    VersionUnknown,
}

/// A job that the reaper settled.
#[derive(Clone, Copy, Debug)]
pub struct Reaped {
    /// The job.
    pub job: JobId,
    /// Its file.
    pub file: FileId,
    /// What was done.
    pub rescue: Rescue,
}

/// Jobs per statement: enough for a dead worker's slots, few enough to keep the transaction short.
pub const BATCH: usize = 100;

impl Database {
    /// Takes jobs back whose lease has run out, each by its own `lock_ttl_seconds`. A rescue has used its attempt. A job whose end
    /// somebody has asked for ends.
    ///
    /// # Errors
    /// [`DbError`]; the next round tries again.
    pub async fn reap_expired(&self) -> Result<Vec<Reaped>, DbError> {
        let rows = self
            .run(async |db| {
                sqlx::query!(
                    r#"
                with expired as (
                    -- Another program that serves the queue too may leave columns of its locks empty.
                    select j.id, j.file_id, j.lease_token, j.life, j.attempts, coalesce(j.locked_by, '') as locked_by,
                           coalesce(j.locked_at, j.updated_at) as locked_at, j.guest_digest, j.channel,
                           j.attempts >= j.max_attempts as spent,
                           j.cancel_requested_at is not null as cancelled
                      from processing_jobs j
                      join files f on f.id = j.file_id
                     where j.status = 'processing'
                       and coalesce(greatest(j.heartbeat_at, j.locked_at), j.updated_at)
                           + make_interval(secs => j.lock_ttl_seconds) < now()
                     order by j.id
                     limit $1
                       for update of j skip locked
                       for no key update of f skip locked
                ), dead as (
                    select e.*, e.spent or e.cancelled as over, case when e.cancelled then $4 else $2 end as code,
                           case when e.cancelled then $5 else $3 end as message
                      from expired e
                ), job as (
                    update processing_jobs j
                       set status = case when dead.over then 'failed' else 'queued' end, next_run_at = now(),
                           locked_by = null, locked_at = null, heartbeat_at = null, lock_ttl_seconds = default,
                           last_error_code = dead.code, last_error_step = null, last_error_message = dead.message,
                           updated_at = now()
                      from dead
                     where j.id = dead.id and j.status = 'processing'
                ), file as (
                    update files f
                       set status = case when dead.over then 'failed' else 'queued' end,
                           error_code = case when dead.over then dead.code end,
                           error_message = case when dead.over then dead.message end,
                           processed_at = case when dead.over then now() end, updated_at = now(),
                           -- Of an earlier life, whose report stays; nothing where the sub-select has no row.
                           storage_key_raw_llm_output =
                               case when dead.over then null else f.storage_key_raw_llm_output end,
                           (prompt_version, schema_version, guest_digest) =
                               (select f.prompt_version, f.schema_version, f.guest_digest
                                 where not dead.over or f.storage_key_report is not null)
                      from dead
                     where f.id = dead.file_id
                ), attempt as (
                    -- What became of the attempt is that its worker was lost, whatever becomes of the job.
                    insert into job_attempts (job_id, lease_token, life, attempt, worker, started_at, outcome,
                                              code, message, tokens_in, tokens_out, guest_digest, channel)
                    select id, lease_token, life, attempts, locked_by, locked_at, 'lost', $2, $3, used.input,
                           used.output, guest_digest, channel
                      from dead
                     cross join lateral (
                           select coalesce(sum(a.tokens_in), 0)::bigint as input,
                                  coalesce(sum(a.tokens_out), 0)::bigint as output
                             from job_answers a
                            where a.job_id = dead.id and a.life = dead.life and a.lease_token = dead.lease_token
                           ) as used
                ), wake as (
                    select pg_notify('assay_jobs', '') where exists (select from dead where not over)
                )
                select dead.id, dead.file_id, dead.spent as "spent!", dead.cancelled as "cancelled!" from dead
                 where (select count(*) from wake) >= 0
                "#,
                    BATCH as i64,
                    Code::WorkerLost.as_str(),
                    "the worker stopped renewing its lease",
                    Code::Cancelled.as_str(),
                    "somebody asked for its end, and its worker stopped renewing its lease",
                )
                .fetch_all(db)
                .await
            })
            .await?;
        Ok(rows
            .into_iter()
            .map(|row| Reaped {
                job: JobId(row.id),
                file: FileId(row.file_id),
                rescue: match (row.cancelled, row.spent) {
                    (true, _) => Rescue::Cancelled,
                    (false, true) => Rescue::Failed,
                    (false, false) => Rescue::Requeued,
                },
            })
            .collect())
    }

    /// Ends jobs that wait although somebody has asked for their end. No worker of this version puts them back into the queue;
    /// one that is a version behind does.
    ///
    /// # Errors
    /// [`DbError`]; the next round tries again.
    pub async fn reap_cancelled(&self) -> Result<Vec<Reaped>, DbError> {
        let rows = self
            .run(async |db| {
                sqlx::query!(
                    r#"
                with asked as (
                    select j.id, j.file_id
                      from processing_jobs j
                      join files f on f.id = j.file_id
                     where j.status = 'queued' and j.cancel_requested_at is not null
                     order by j.id
                     limit $1
                       for update of j skip locked
                       for no key update of f skip locked
                ), job as (
                    update processing_jobs j
                       set status = 'failed', last_error_code = $2, last_error_step = null, last_error_message = $3,
                           updated_at = now()
                      from asked
                     where j.id = asked.id and j.status = 'queued'
                ), file as (
                    update files f
                       set status = 'failed', error_code = $2, error_message = $3, processed_at = now(),
                           updated_at = now(),
                           storage_key_raw_llm_output = null,
                           -- Of an earlier life, whose report stays.
                           (prompt_version, schema_version, guest_digest) =
                               (select f.prompt_version, f.schema_version, f.guest_digest
                                 where f.storage_key_report is not null)
                      from asked
                     where f.id = asked.file_id
                )
                select id, file_id from asked
                "#,
                    BATCH as i64,
                    Code::Cancelled.as_str(),
                    "somebody asked for its end while it was in hand",
                )
                .fetch_all(db)
                .await
            })
            .await?;
        Ok(rows
            .into_iter()
            .map(|row| Reaped { job: JobId(row.id), file: FileId(row.file_id), rescue: Rescue::Cancelled })
            .collect())
    }

    /// Fails due jobs whose prompt version no live worker has known for `patience`. A job that has pinned a digest waits
    /// for it, as for any release that does not load; and so does one whose channel is paused.
    ///
    /// # Errors
    /// [`DbError`]; the next round tries again.
    pub async fn fail_unknown_versions(&self, patience: Duration) -> Result<Vec<Reaped>, DbError> {
        let rows = self
            .run(async |db| {
                sqlx::query!(
                    r#"
                with known as (
                    select distinct release ->> 'prompt_version' as version
                      from workers w, jsonb_array_elements(w.releases) as release
                     where w.beat_at > now() - make_interval(secs => $2)
                       -- Such a release serves only jobs that have pinned it.
                       and not coalesce((release ->> 'kept')::bool, false)
                ), hopeless as (
                    select j.id, j.file_id
                      from processing_jobs j
                      join files f on f.id = j.file_id
                     where j.status = 'queued' and j.prompt_version is not null and j.guest_digest is null
                       and greatest(j.next_run_at, j.updated_at) < now() - make_interval(secs => $2)
                       and not exists (select from known where known.version = j.prompt_version)
                       -- What is published can be had; where it does not load, its jobs wait.
                       and not exists (select from guest_releases r
                                        where r.prompt_version = j.prompt_version and r.retired_at is null)
                       -- No worker may run it now, whatever it knows.
                       and not exists (select from queue_pauses p where p.channel in (j.channel, '*'))
                     order by j.id
                     limit $1
                       for update of j skip locked
                       for no key update of f skip locked
                ), job as (
                    update processing_jobs j
                       set status = 'failed', last_error_code = $3, last_error_step = 'resolve_guest',
                           last_error_message = $4, updated_at = now()
                      from hopeless
                     where j.id = hopeless.id and j.status = 'queued'
                ), file as (
                    update files f
                       set status = 'failed', error_code = $3, error_message = $4, processed_at = now(),
                           updated_at = now(),
                           storage_key_raw_llm_output = null,
                           -- Of an earlier life, whose report stays.
                           (prompt_version, schema_version, guest_digest) =
                               (select f.prompt_version, f.schema_version, f.guest_digest
                                 where f.storage_key_report is not null)
                      from hopeless
                     where f.id = hopeless.file_id
                )
                select id, file_id from hopeless
                "#,
                    BATCH as i64,
                    patience.as_secs_f64(),
                    Code::VersionNotAvailable.as_str(),
                    "no worker has known this prompt version for too long"
                )
                .fetch_all(db)
                .await
            })
            .await?;
        Ok(rows
            .into_iter()
            .map(|row| Reaped { job: JobId(row.id), file: FileId(row.file_id), rescue: Rescue::VersionUnknown })
            .collect())
    }
}
