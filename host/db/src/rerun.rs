//! Reruns: which files succeeded, and new lives for their jobs.

use assay_core::ids::FileId;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{Database, DbError};

/// Files that one page of a selection looks at: the statement ends in time, however few of them are wanted.
const PAGE: i64 = 5000;

/// Which files a rerun is for, apart from that they succeeded.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// What made their reports.
    pub prompt_version: Option<String>,
    /// Their reports were made at this instant or later.
    pub since: Option<OffsetDateTime>,
}

/// A file as a rerun sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// The file.
    pub file: Uuid,
    /// What the user sees; none where there is no such file.
    pub status: Option<String>,
    /// Whether file and job succeeded, and its report was made before the rerun began.
    pub eligible: bool,
    /// What made its report.
    pub prompt_version: Option<String>,
    /// The channel of its job; none where it was never enqueued.
    pub channel: Option<String>,
}

/// What one look at a bounded number of files found.
#[derive(Debug)]
pub struct Page {
    /// The files that are selected.
    pub files: Vec<Candidate>,
    /// The last file that was looked at, after which the next page begins; none where no file is left.
    pub last: Option<FileId>,
}

/// When new lives begin.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// When the command began: what has ended later stays, so that no command gives a file two of them.
    pub began: OffsetDateTime,
    /// Seconds between the beginnings of two lives.
    pub gap: f64,
    /// Lives that this command has begun already.
    pub before: u64,
}

/// A file whose job begins anew.
#[derive(Clone, Copy, Debug)]
pub struct Renewed {
    /// The file.
    pub file: Uuid,
    /// When its job can be claimed.
    pub begins_at: OffsetDateTime,
}

impl Database {
    /// Looks at files by their ids, in the order asked.
    ///
    /// # Errors
    /// [`DbError`].
    pub async fn candidates(&self, files: &[FileId], began: OffsetDateTime) -> Result<Vec<Candidate>, DbError> {
        let ids: Vec<Uuid> = files.iter().map(|file| file.0).collect();
        self.run(async |db| {
            sqlx::query_as!(
                Candidate,
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

    /// Looks at the files after `after`, in the order of their ids, for those that are selected and can be rerun.
    ///
    /// # Errors
    /// [`DbError`].
    pub async fn select_for_rerun(
        &self,
        selection: &Selection,
        began: OffsetDateTime,
        after: Option<FileId>,
    ) -> Result<Page, DbError> {
        let mut files = self
            .run(async |db| {
                sqlx::query_as!(
                    Candidate,
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
                     -- The last of the page comes too: it says where the next one begins.
                     where j.id is not null or p.id = (select l.id from page l order by l.id desc limit 1)
                     order by p.id
                    "#,
                    after.map(|file| file.0),
                    began,
                    selection.since,
                    selection.prompt_version,
                    PAGE,
                )
                .fetch_all(db)
                .await
            })
            .await?;
        let last = files.last().map(|candidate| FileId(candidate.file));
        files.retain(|candidate| candidate.eligible);
        Ok(Page { files, last })
    }

    /// Gives each of the files a new life that succeeded, with its job, and is nobody else's by now; the others stay as they
    /// are. It keeps its channel and names no prompt version; the greater its `priority`, the sooner it is claimed. One statement: all
    /// of them, or none.
    ///
    /// # Errors
    /// [`DbError`]; doing it again is safe, because who has a new life is left as it is.
    pub async fn renew(&self, files: &[FileId], pace: &Pace, priority: i32) -> Result<Vec<Renewed>, DbError> {
        let ids: Vec<Uuid> = files.iter().map(|file| file.0).collect();
        self.run(async |db| {
            sqlx::query_as!(
                Renewed,
                r#"
                with held as (
                    -- Locked job first and file second, as everybody does, and in the order of the jobs' ids. Whoever waited
                    -- for the lock of another rerun looks at the row again, and finds it queued.
                    select j.id, j.life, j.file_id, j.channel, f.storage_key_report
                      from processing_jobs j
                      join files f on f.id = j.file_id
                     where j.file_id = any ($1::uuid[]) and j.status = 'succeeded'
                       and f.status = 'succeeded' and f.processed_at <= $2
                     order by j.id
                       for update of j
                       for no key update of f
                ), kept as (
                    -- A worker of an earlier version did not write the key into the history, where it has to stay.
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
