//! Requeueing ended jobs in a new life: failed ones with their answers or without, succeeded ones without.

use assay_core::{code::Code, ids::FileId};
use sqlx::Connection;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{database::Database, error::DbError};

/// When requeued jobs may run.
#[derive(Clone, Copy, Debug)]
pub struct RequeuePace {
    /// When the command began. Jobs that ended later are left alone, so that one command requeues a job only once.
    pub began: OffsetDateTime,
    /// Seconds between the starts of two jobs.
    pub gap: f64,
    /// Jobs that this command has requeued before.
    pub before: u64,
}

/// A failed job that was requeued.
#[derive(Clone, Copy, Debug)]
pub struct RequeuedJob {
    pub job: Uuid,
    /// When it can be claimed.
    pub begins_at: OffsetDateTime,
}

/// A succeeded file whose job was requeued.
#[derive(Clone, Copy, Debug)]
pub struct RequeuedFile {
    pub file: Uuid,
    /// When its job can be claimed.
    pub begins_at: OffsetDateTime,
}

impl Database {
    /// Requeues those of the jobs that are failed, with their files. Each keeps its channel, priority and prompt
    /// version. One transaction: all or none.
    ///
    /// After a rejection ([`Code::discards_answers`]) the job starts without its answers and its pinned guest. After
    /// any other failure it keeps both; the answers' rows are copied and name the same objects, so that an object may
    /// only be deleted if no life names it.
    ///
    /// # Errors
    /// [`DbError`]. Safe to call again: jobs already requeued are skipped.
    pub async fn requeue_failed(&self, jobs: &[Uuid], pace: &RequeuePace) -> Result<Vec<RequeuedJob>, DbError> {
        self.repeat(async |db| {
            let mut transaction = db.begin().await?;
            // Lock first, in its own statement: only the next statement sees rows committed while we waited. In one
            // statement we would write back old values over another transaction's.
            sqlx::query!(
                r#"
                select j.id
                  from processing_jobs j
                  join files f on f.id = j.file_id
                 where j.id = any ($1::uuid[]) and j.status = 'failed'
                 order by j.id
                   for update of j
                   for no key update of f
                "#,
                jobs,
            )
            .fetch_all(&mut *transaction)
            .await?;
            let requeued = sqlx::query_file_as!(
                RequeuedJob,
                "sql/requeue_failed.sql",
                jobs,
                pace.began,
                pace.gap,
                i64::try_from(pace.before).unwrap_or(i64::MAX),
                &Code::texts(Code::discards_answers),
            )
            .fetch_all(&mut *transaction)
            .await?;
            transaction.commit().await?;
            Ok(requeued)
        })
        .await
    }

    /// Requeues the jobs of those files that are succeeded. Each keeps its channel and names no prompt version; a
    /// greater `priority` is claimed sooner. One statement: all or none.
    ///
    /// # Errors
    /// [`DbError`]. Safe to call again: files already requeued are skipped.
    pub async fn requeue_succeeded(
        &self,
        files: &[FileId],
        pace: &RequeuePace,
        priority: i32,
    ) -> Result<Vec<RequeuedFile>, DbError> {
        let ids: Vec<Uuid> = files.iter().map(|file| file.0).collect();
        self.repeat(async |db| {
            sqlx::query_as!(
                RequeuedFile,
                r#"
                with held as (
                    -- Locked job first and file second, in the order of the jobs' ids. A job that another command has
                    -- requeued while we waited for its lock is skipped.
                    select j.id, j.life, j.file_id, j.channel, f.storage_key_report
                      from processing_jobs j
                      join files f on f.id = j.file_id
                     where j.file_id = any ($1::uuid[]) and j.status = 'succeeded'
                       and f.status = 'succeeded' and f.processed_at <= $2
                     order by j.id
                       for update of j
                       for no key update of f
                ), kept as (
                    -- Workers of an earlier version did not write the report's key into the history.
                    update job_attempts a set report_key = h.storage_key_report
                      from held h
                     where a.job_id = h.id and a.life = h.life and a.outcome = 'succeeded' and a.report_key is null
                ), due as (
                    select h.file_id, h.channel,
                           $2::timestamptz
                               + make_interval(secs => $3::float8 * ($4 + row_number() over (order by given.ordinal) - 1)) as at
                      from held h
                      join unnest($1::uuid[]) with ordinality as given (id, ordinal) on given.id = h.file_id
                )
                select d.file_id as "file!", d.at as "begins_at!"
                  from due d
                 where assay_enqueue(d.file_id, channel => d.channel, priority => $5, run_at => d.at) is not null
                "#,
                &ids,
                pace.began,
                pace.gap,
                i64::try_from(pace.before).unwrap_or(i64::MAX),
                priority,
            )
            .fetch_all(db)
            .await
        })
        .await
    }
}
