//! Succeeded files, to be chosen for requeueing.

use assay_core::ids::FileId;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{database::Database, error::DbError};

/// Files read per page, selected or not, so that the statement ends in time.
const PAGE_FILES: i64 = 5000;

/// Which succeeded files are meant.
#[derive(Clone, Debug, Default)]
pub struct SucceededSelection {
    /// Of their reports.
    pub prompt_version: Option<String>,
    /// When their reports were made, or later.
    pub since: Option<OffsetDateTime>,
}

/// A file that may be requeued.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SucceededFile {
    pub file: Uuid,
    /// None if there is no such file.
    pub status: Option<String>,
    /// Whether file and job succeeded, and the report was made before the command began.
    pub eligible: bool,
    /// Of its report.
    pub prompt_version: Option<String>,
    /// None if the file was never enqueued.
    pub channel: Option<String>,
}

/// The selected files among the next ones.
#[derive(Debug)]
pub struct SucceededPage {
    pub files: Vec<SucceededFile>,
    /// The last file that was read, after which the next page begins; none at the end.
    pub last: Option<FileId>,
}

impl Database {
    /// Reads files by their ids, in the order given.
    ///
    /// # Errors
    /// [`DbError`].
    pub async fn succeeded_files(
        &self,
        files: &[FileId],
        began: OffsetDateTime,
    ) -> Result<Vec<SucceededFile>, DbError> {
        let ids: Vec<Uuid> = files.iter().map(|file| file.0).collect();
        self.repeat(async |db| {
            sqlx::query_as!(
                SucceededFile,
                r#"
                select given.id as "file!", f.status as "status?", f.prompt_version as "prompt_version?",
                       j.channel as "channel?",
                       coalesce(f.status = 'succeeded' and j.status = 'succeeded' and f.processed_at <= $2, false)
                           as "eligible!"
                  from unnest($1::uuid[]) with ordinality as given (id, ordinal)
                  left join files f on f.id = given.id
                  left join processing_jobs j on j.file_id = f.id
                 order by given.ordinal
                "#,
                &ids,
                began,
            )
            .fetch_all(db)
            .await
        })
        .await
    }

    /// Reads the next files after `after`, in the order of their ids, and returns those that are selected.
    ///
    /// # Errors
    /// [`DbError`].
    pub async fn select_succeeded(
        &self,
        selection: &SucceededSelection,
        began: OffsetDateTime,
        after: Option<FileId>,
    ) -> Result<SucceededPage, DbError> {
        let mut files = self
            .repeat(async |db| {
                sqlx::query_as!(
                    SucceededFile,
                    r#"
                    with page as (
                        select f.id, f.status, f.prompt_version,
                               f.status = 'succeeded' and f.processed_at <= $2
                                   and f.processed_at >= coalesce($3::timestamptz, '-infinity')
                                   and ($4::text is null or f.prompt_version = $4) as selected
                          from files f
                         where $1::uuid is null or f.id > $1
                         order by f.id
                         limit $5
                    )
                    select p.id as "file!", p.status as "status?", p.prompt_version as "prompt_version?",
                           j.channel as "channel?", j.id is not null as "eligible!"
                      from page p
                      left join processing_jobs j on j.file_id = p.id and j.status = 'succeeded' and p.selected
                     -- The page's last file is returned too: the next page begins after it.
                     where j.id is not null or p.id = (select l.id from page l order by l.id desc limit 1)
                     order by p.id
                    "#,
                    after.map(|file| file.0),
                    began,
                    selection.since,
                    selection.prompt_version,
                    PAGE_FILES,
                )
                .fetch_all(db)
                .await
            })
            .await?;
        let last = files.last().map(|candidate| FileId(candidate.file));
        files.retain(|candidate| candidate.eligible);
        Ok(SucceededPage { files, last })
    }
}
