//! History whose time is over: attempts of ended lives, and results of shadows.

use std::time::Duration;

use time::OffsetDateTime;
use uuid::Uuid;

use crate::{Database, DbError};

/// The last attempt that a look came to; the next look begins behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryPlace {
    /// When the attempt ended.
    pub ended_at: OffsetDateTime,
    /// Its job.
    pub job: Uuid,
    /// Its token.
    pub token: i64,
}

impl HistoryPlace {
    /// Before every attempt.
    pub const START: Self = Self { ended_at: OffsetDateTime::UNIX_EPOCH, job: Uuid::nil(), token: 0 };
}

/// What one look at old attempts came to.
#[derive(Clone, Debug)]
pub struct HistoryLook {
    /// Attempts that were deleted.
    pub forgotten: u64,
    /// Where the next look begins; none where this one came to the end.
    pub next: Option<HistoryPlace>,
}

impl Database {
    /// Looks at the next `limit` attempts behind `after` that ended longer than `age` ago, the oldest first, and deletes those of lives
    /// that are over. Of each job stay the last attempt, the last one with an error, and the last one with a report.
    ///
    /// # Errors
    /// [`DbError`]; looking again is harmless.
    pub async fn forget_attempts(
        &self,
        age: Duration,
        after: &HistoryPlace,
        limit: usize,
    ) -> Result<HistoryLook, DbError> {
        // What stays for ever is passed over by its place: without one, each look would read all of it again.
        let row = self
            .run(async |db| {
                sqlx::query!(
                    r#"
                    with looked as (
                        select a.ended_at, a.job_id, a.lease_token
                          from job_attempts a
                         where a.ended_at < now() - make_interval(secs => $1)
                           and (a.ended_at, a.job_id, a.lease_token) > ($2, $3, $4)
                         order by a.ended_at, a.job_id, a.lease_token
                         limit $5
                    ), forgotten as (
                        delete from job_attempts a
                         using looked l, processing_jobs j
                         where a.job_id = l.job_id and a.lease_token = l.lease_token and j.id = a.job_id
                           and (a.life < j.life or j.status in ('succeeded', 'failed'))
                           and exists (select from job_attempts b
                                        where b.job_id = a.job_id and b.lease_token > a.lease_token)
                           and (a.code is null or exists (
                                select from job_attempts b
                                 where b.job_id = a.job_id and b.lease_token > a.lease_token and b.code is not null
                                   and b.ended_at < now() - make_interval(secs => $1)))
                           -- A report that a rerun has replaced stays known as long after that.
                           and (a.report_key is null or exists (
                                select from job_attempts b
                                 where b.job_id = a.job_id and b.lease_token > a.lease_token
                                   and b.report_key is not null and b.ended_at < now() - make_interval(secs => $1)))
                        returning a.job_id
                    )
                    select (select count(*) from forgotten) as "forgotten!", count(*) over () as "looked!",
                           l.ended_at, l.job_id, l.lease_token
                      from looked l
                     order by l.ended_at desc, l.job_id desc, l.lease_token desc
                     limit 1
                    "#,
                    age.as_secs_f64(),
                    after.ended_at,
                    after.job,
                    after.token,
                    i64::try_from(limit).unwrap_or(i64::MAX),
                )
                .fetch_optional(db)
                .await
            })
            .await?;
        let Some(row) = row else { return Ok(HistoryLook { forgotten: 0, next: None }) };
        let full = usize::try_from(row.looked).is_ok_and(|looked| looked >= limit);
        let place = HistoryPlace { ended_at: row.ended_at, job: row.job_id, token: row.lease_token };
        Ok(HistoryLook { forgotten: u64::try_from(row.forgotten).unwrap_or(0), next: full.then_some(place) })
    }

    /// Deletes at most `limit` results of shadows that are older than `age`; how many it were.
    ///
    /// # Errors
    /// [`DbError`]; deleting again is harmless.
    pub async fn forget_shadows(&self, age: Duration, limit: usize) -> Result<u64, DbError> {
        let done = self
            .run(async |db| {
                sqlx::query!(
                    r#"
                    delete from release_shadows s
                     using (select digest, file_id from release_shadows
                             where at < now() - make_interval(secs => $1)
                             order by at limit $2) as old
                     where s.digest = old.digest and s.file_id = old.file_id
                       and s.at < now() - make_interval(secs => $1)
                    "#,
                    age.as_secs_f64(),
                    i64::try_from(limit).unwrap_or(i64::MAX),
                )
                .execute(db)
                .await
            })
            .await?;
        Ok(done.rows_affected())
    }
}
