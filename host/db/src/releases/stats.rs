//! Statistics of a release, from the history of attempts.

use assay_core::{code::Code, release_stats::ReleaseStats};
use time::OffsetDateTime;

use crate::{database::Database, error::DbError};

impl Database {
    /// Returns a release's statistics: in one channel or in all, since an instant or its first attempt.
    ///
    /// # Errors
    /// [`DbError`].
    pub async fn release_stats(
        &self,
        digest: &str,
        channel: Option<&str>,
        since: Option<OffsetDateTime>,
    ) -> Result<ReleaseStats, DbError> {
        self.repeat(async |db| {
            sqlx::query_as!(
                ReleaseStats,
                r#"
                select count(*) filter (where a.outcome in ('succeeded', 'failed')) as "jobs!",
                       -- Each life of a job counts once, with any number of attempts.
                       count(distinct (a.job_id, a.life))
                           filter (where a.outcome = 'succeeded' or a.code = $4 or a.code = any ($5::text[]))
                           as "results!",
                       count(distinct (a.job_id, a.life)) filter (where a.code = $4) as "rejections!",
                       count(distinct (a.job_id, a.life)) filter (where a.code = any ($5::text[])) as "faults!",
                       count(*) filter (where a.outcome in ('retried', 'snoozed', 'held')) as "retries!",
                       -- Sums saturate: old rows may hold any count that a provider gave.
                       greatest(least(coalesce(sum(a.tokens_in), 0), 9223372036854775807), -9223372036854775808)::bigint as "tokens_in!",
                       greatest(least(coalesce(sum(a.tokens_out), 0), 9223372036854775807), -9223372036854775808)::bigint as "tokens_out!",
                       greatest(least(coalesce(sum(a.guest_micros), 0), 9223372036854775807), -9223372036854775808)::bigint as "guest_micros!"
                  from job_attempts a
                 where a.guest_digest = $1
                   and a.ended_at >= coalesce($3::timestamptz, '-infinity')
                   and ($2::text is null or a.channel = $2)
                "#,
                digest,
                channel,
                since,
                Code::SchemaValidationFailed.as_str(),
                &Code::texts(Code::is_release_fault),
            )
            .fetch_one(db)
            .await
        })
        .await
    }
}
