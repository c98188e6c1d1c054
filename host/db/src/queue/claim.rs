//! Taking jobs: one autocommitted statement per batch.

use std::{sync::Arc, time::Duration};

use assay_core::{
    claim::{Claim, QueuePosition},
    file_info::FileInfo,
    ids::{FileId, JobId, UserId},
    lease::{Lease, LeaseToken},
    serving::{ServedChannel, Serving},
};
use sqlx::types::Json;

use crate::{
    Database, DbError,
    facts::{Entry, attributes, media_type},
};

impl Database {
    /// Claims at most `slots` due jobs that `serving` can run and whose channel is not paused, and moves their files to
    /// `processing`.
    ///
    /// The statement pins the digest that serves a job now, unless an earlier claim of this life did, and brings back
    /// the answers that earlier claims received. `lease` is in whole seconds.
    ///
    /// With a place in `from` it begins there, and does not see what is due before. That spares it the jobs that have ended while a
    /// transaction somewhere keeps vacuum from their index entries: each of those costs a look into the table.
    ///
    /// # Errors
    /// [`DbError`]; jobs of a lost answer come back when their lease runs out.
    pub async fn claim(
        &self,
        worker: &str,
        serving: &Serving,
        slots: usize,
        lease: Duration,
        from: Option<QueuePosition>,
    ) -> Result<Vec<Claim>, DbError> {
        let (versions, digests): (Vec<_>, Vec<_>) = serving.versions.iter().cloned().unzip();
        let (channels, runnable) = (Channels::of(serving), Runnable::of(serving));
        // The CTE and the repeated status predicate keep the planner from taking more rows than the limit, and a row
        // that moved between snapshot and lock. The file is locked here too: a job whose file somebody holds is left for
        // the next look, instead of keeping the whole batch waiting.
        let rows = self
            .run(async |db| {
                sqlx::query!(
                    r#"
            with due as (
                select j.id, chosen.digest
                  from processing_jobs j
                  join files f on f.id = j.file_id
                  left join unnest($1::text[], $2::text[]) as served (version, digest)
                    on served.version = j.prompt_version
                  left join unnest($8::text[], $9::text[], $10::text[], $11::text[], $12::integer[])
                            as channel (name, active, version, canary, percent)
                    on channel.name = j.channel
                 cross join lateral (
                    select case when j.guest_digest is not null then j.guest_digest
                                -- The side of a file is the same in every life: 28 bits of a hash that no release of
                                -- Postgres changes.
                                when j.prompt_version is null and channel.canary is not null
                                     and ('x' || left(md5(f.id::text), 7))::bit(28)::integer % 100 < channel.percent
                                then channel.canary
                                when j.prompt_version is null and channel.name is not null then channel.active
                                when j.prompt_version is null then $3::text
                                when j.prompt_version = channel.version then channel.active
                                else served.digest end as digest
                 ) as chosen
                 where j.status = 'queued' and j.next_run_at <= now()
                   and (j.next_run_at, j.id) >= (coalesce($15, '-infinity'::timestamptz),
                                                 coalesce($16, '00000000-0000-0000-0000-000000000000'::uuid))
                   -- A CASE, of which the planner expects that half of the rows pass: of the bare comparison it expects that hardly
                   -- one does, and then it sorts all that is due instead of following the index up to the limit.
                   and case when chosen.digest = any ($4::text[]) then true else false end
                   -- What that would refuse, as far as the job alone tells: before its file is looked at, so that the backlog
                   -- of a release that nobody may call now is walked past quickly.
                   and case when j.guest_digest is not null then j.guest_digest = any ($4)
                            when j.prompt_version is not null then j.prompt_version = any ($14::text[])
                            when j.channel = any ($8) then j.channel = any ($13::text[])
                            else coalesce($3 = any ($4), false) end
                   -- Neither names a row of the join: the first is looked at before any job is, the second's list is made once.
                   and not exists (select from queue_pauses p where p.channel = '*')
                   and case when j.channel = any (array(select p.channel from queue_pauses p)) then false
                            -- The reaper ends it.
                            when j.cancel_requested_at is not null then false else true end
                 order by j.priority desc, j.next_run_at, j.id
                 limit $5
                   for update of j skip locked
                   for no key update of f skip locked
            ), claimed as (
                update processing_jobs j
                   -- Another program on the queue may put a job back that has no attempt left, and refuse a row that has had more.
                   set status = 'processing', attempts = greatest(j.attempts, least(j.attempts + 1, j.max_attempts)),
                       lease_token = j.lease_token + 1,
                       locked_by = $6, locked_at = now(), heartbeat_at = now(), lock_ttl_seconds = $7,
                       guest_digest = due.digest, updated_at = now()
                  from due
                 where j.id = due.id and j.status = 'queued'
                returning j.*
            ), moved as (
                update files f
                   set status = 'processing', started_at = now(), processing_attempts = c.attempts,
                       error_code = null, error_message = null, processed_at = null, updated_at = now()
                  from claimed c
                 where f.id = c.file_id
                returning f.*
            )
            select c.id, c.lease_token, c.attempts, c.max_attempts, c.snoozes, c.life, c.channel, c.prompt_version,
                   c.guest_digest as "guest_digest!",
                   c.next_run_at, extract(epoch from now() - c.next_run_at)::float8 as "lag!",
                   f.id as file_id, f.user_id, f.storage_bucket, f.storage_key_original, f.original_filename,
                   f.extension, f.attributes,
                   to_char(f.created_at at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') as "received_at!",
                   (select coalesce(json_agg(json_build_object(
                               'ordinal', a.ordinal, 'prompt_sha256', encode(a.prompt_sha256, 'hex'), 'key', a.key,
                               'sha256', encode(a.sha256, 'hex'), 'model', a.model,
                               'finish_reason', a.finish_reason) order by a.ordinal), '[]')
                      from job_answers a
                     where a.job_id = c.id and a.life = c.life) as "journal!: Json<Vec<Entry>>"
              from claimed c
              join moved f on f.id = c.file_id
            "#,
                    &versions,
                    &digests,
                    serving.default,
                    &serving.digests,
                    i64::try_from(slots).unwrap_or(i64::MAX),
                    worker,
                    i32::try_from(lease.as_secs()).unwrap_or(i32::MAX).max(1),
                    &channels.names,
                    &channels.active as &[Option<String>],
                    &channels.versions as &[Option<String>],
                    &channels.canaries as &[Option<String>],
                    &channels.percents as &[Option<i32>],
                    &runnable.channels,
                    &runnable.versions,
                    from.map(|place| place.due),
                    from.map(|place| place.job.0),
                )
                .fetch_all(db)
                .await
            })
            .await?;

        rows.into_iter()
            .map(|row| {
                Ok(Claim {
                    lease: Lease { job: JobId(row.id), token: LeaseToken(row.lease_token) },
                    attempts: row.attempts,
                    max_attempts: row.max_attempts,
                    snoozes: row.snoozes,
                    life: row.life,
                    channel: row.channel,
                    prompt_version: row.prompt_version,
                    guest_digest: row.guest_digest,
                    position: QueuePosition { due: row.next_run_at, job: JobId(row.id) },
                    lag: Duration::try_from_secs_f64(row.lag).unwrap_or_default(),
                    file: Arc::new(FileInfo {
                        id: FileId(row.file_id),
                        user: UserId(row.user_id),
                        bucket: row.storage_bucket,
                        original_key: row.storage_key_original,
                        filename: row.original_filename,
                        media_type: media_type(&row.extension).to_owned(),
                        received_at: row.received_at,
                        attributes: attributes(row.attributes),
                    }),
                    journal: row.journal.0.into_iter().map(Entry::decode).collect::<Result<_, _>>()?,
                })
            })
            .collect()
    }
}

/// Channels as columns.
#[derive(Default)]
struct Channels {
    names: Vec<String>,
    active: Vec<Option<String>>,
    versions: Vec<Option<String>>,
    canaries: Vec<Option<String>>,
    percents: Vec<Option<i32>>,
}

impl Channels {
    fn of(serving: &Serving) -> Self {
        let mut columns = Self::default();
        for channel in &serving.channels {
            let (canary, percent) = channel.canary.clone().unzip();
            columns.names.push(channel.name.clone());
            columns.active.push(channel.active.clone());
            columns.versions.push(channel.version.clone());
            columns.canaries.push(canary);
            columns.percents.push(percent);
        }
        columns
    }
}

/// Names of which at least some jobs can be claimed; of all others none can.
#[derive(Debug, PartialEq, Eq)]
struct Runnable {
    channels: Vec<String>,
    versions: Vec<String>,
}

impl Runnable {
    fn of(serving: &Serving) -> Self {
        let runs = |digest: &String| serving.digests.contains(digest);
        let active = |channel: &&ServedChannel| channel.active.as_ref().is_some_and(runs);
        let canary = |channel: &&ServedChannel| channel.canary.as_ref().is_some_and(|(digest, _)| runs(digest));
        let channels = serving.channels.iter().filter(|channel| active(channel) || canary(channel));
        // What a channel runs, its jobs get by the version's name; jobs of other channels get what serves the version everywhere.
        let of_channels = serving.channels.iter().filter(active).filter_map(|channel| channel.version.clone());
        let everywhere = serving.versions.iter().filter(|(_, digest)| runs(digest)).map(|(version, _)| version.clone());
        Self {
            channels: channels.map(|channel| channel.name.clone()).collect(),
            versions: everywhere.chain(of_channels).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_runs_nowhere_is_walked_past_and_what_runs_somewhere_is_not() {
        let channel = |name: &str, active: &str, canary: Option<&str>| ServedChannel {
            name: name.to_owned(),
            active: Some(active.to_owned()),
            version: Some(format!("version-of-{active}")),
            canary: canary.map(|digest| (digest.to_owned(), 10)),
        };
        let serving = Serving {
            versions: vec![("v1".to_owned(), "runs".to_owned()), ("v2".to_owned(), "waits".to_owned())],
            default: None,
            channels: vec![
                channel("one", "runs", None),
                channel("two", "waits", None),
                channel("three", "waits", Some("runs")),
            ],
            digests: vec!["runs".to_owned()],
        };
        let runnable = Runnable::of(&serving);
        assert_eq!(runnable.channels, ["one", "three"], "one side of a canary is enough");
        assert_eq!(runnable.versions, ["v1", "version-of-runs"]);
    }
}
