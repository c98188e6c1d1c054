//! Failed jobs, to be chosen for requeueing.

use assay_core::code::Code;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{database::Database, error::DbError};

/// Failed jobs read per page, selected or not, so that the statement ends in time.
const PAGE_JOBS: i64 = 5000;

/// Which failed jobs are meant.
#[derive(Clone, Debug, Default)]
pub struct FailedSelection {
    pub code: Option<String>,
    /// When they failed, or later.
    pub since: Option<OffsetDateTime>,
}

/// A job that may be requeued.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailedJob {
    /// The id as it was given: the job's, or its file's.
    pub named: Uuid,
    /// None if no job has that id, nor a file of that id.
    pub job: Option<Uuid>,
    /// Of the file; none if there is no job.
    pub status: Option<String>,
    /// Whether file and job failed before the command began, and the job is selected.
    pub eligible: bool,
    pub code: Option<String>,
    pub channel: Option<String>,
    /// Whether it starts without its answers, as [`Code::discards_answers`] says.
    pub afresh: bool,
}

impl Database {
    /// Reads jobs by their ids or those of their files, in the order given.
    ///
    /// # Errors
    /// [`DbError`].
    pub async fn failed_jobs(&self, named: &[Uuid], began: OffsetDateTime) -> Result<Vec<FailedJob>, DbError> {
        self.repeat(async |db| {
            sqlx::query_as!(
                FailedJob,
                r#"
                select given.id as "named!", j.id as "job?", f.status as "status?", f.error_code as "code?",
                       j.channel as "channel?",
                       coalesce(f.status = 'failed' and j.status = 'failed' and f.processed_at <= $2, false)
                           as "eligible!",
                       coalesce(f.error_code = any ($3::text[]), false) as "afresh!"
                  from unnest($1::uuid[]) with ordinality as given (id, ordinal)
                  left join processing_jobs j on j.id = given.id or j.file_id = given.id
                  left join files f on f.id = j.file_id
                 order by given.ordinal
                "#,
                named,
                began,
                &Code::texts(Code::discards_answers),
            )
            .fetch_all(db)
            .await
        })
        .await
    }

    /// Reads the next failed jobs after the job `after`, in the order of their ids, also those that are not selected:
    /// the next page begins after the last of them. [`Uuid::nil`] is before the first; the page after the last job is
    /// empty.
    ///
    /// # Errors
    /// [`DbError`].
    pub async fn select_failed(
        &self,
        selection: &FailedSelection,
        began: OffsetDateTime,
        after: Uuid,
    ) -> Result<Vec<FailedJob>, DbError> {
        self.repeat(async |db| {
            sqlx::query_as!(
                FailedJob,
                r#"
                with page as (
                    select j.id, j.file_id, j.channel
                      from processing_jobs j
                     where j.status = 'failed' and j.id > $1
                     order by j.id
                     limit $6
                )
                select p.id as "named!", p.id as "job?", f.status as "status?", f.error_code as "code?",
                       p.channel as "channel?",
                       coalesce(f.status = 'failed' and f.processed_at <= $2
                                and f.processed_at >= coalesce($3::timestamptz, '-infinity')
                                and ($4::text is null or f.error_code = $4), false) as "eligible!",
                       coalesce(f.error_code = any ($5::text[]), false) as "afresh!"
                  from page p
                  join files f on f.id = p.file_id
                 order by p.id
                "#,
                after,
                began,
                selection.since,
                selection.code,
                &Code::texts(Code::discards_answers),
                PAGE_JOBS,
            )
            .fetch_all(db)
            .await
        })
        .await
    }
}
