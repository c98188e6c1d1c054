//! Failed jobs, for whoever gives them a new life; `queue/retry.rs` does that.

use assay_core::code::Code;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{Database, DbError};

/// Failed jobs that one page of a selection looks at: the statement ends in time, however few of them are wanted.
const PAGE: i64 = 5000;

/// Which failed jobs are meant.
#[derive(Clone, Debug, Default)]
pub struct FailedSelection {
    /// Why they failed.
    pub code: Option<String>,
    /// They failed at this instant or later.
    pub since: Option<OffsetDateTime>,
}

/// A job that may be given a new life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailedJob {
    /// The id as it was given: the job's, or its file's.
    pub named: Uuid,
    /// The job; none where there is none of that id.
    pub job: Option<Uuid>,
    /// What the user sees; none where there is no job.
    pub status: Option<String>,
    /// Whether file and job failed before the command began, and the job is selected.
    pub eligible: bool,
    /// Why it failed.
    pub code: Option<String>,
    /// Its channel.
    pub channel: Option<String>,
    /// Whether it is to begin without its answers, as [`Code::discards_answers`] says.
    pub afresh: bool,
}

impl Database {
    /// Looks at jobs by their ids or those of their files, in the order asked.
    ///
    /// # Errors
    /// [`DbError`].
    pub async fn failed_jobs(&self, named: &[Uuid], began: OffsetDateTime) -> Result<Vec<FailedJob>, DbError> {
        self.run(async |db| {
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

    /// The next failed jobs behind the job `after`, in the order of their ids, also those that are not selected: the last of them says
    /// where the next page begins. [`Uuid::nil`] is before the first; nothing at the end.
    ///
    /// # Errors
    /// [`DbError`].
    pub async fn select_failed(
        &self,
        selection: &FailedSelection,
        began: OffsetDateTime,
        after: Uuid,
    ) -> Result<Vec<FailedJob>, DbError> {
        self.run(async |db| {
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
                PAGE,
            )
            .fetch_all(db)
            .await
        })
        .await
    }
}
