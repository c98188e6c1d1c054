//! `swarm`: many workers on many jobs, beside many more that wait in the future, while an idle transaction holds the database's horizon,
//! so that no vacuum takes a dead row away. Nothing is broken; what is looked at is whether the last jobs go as quickly as the first.

use std::time::Duration;

use anyhow::{Context, ensure};
use futures::StreamExt;
use rand::rngs::StdRng;
use sqlx::{Connection, Executor, PgConnection};
use tokio::time::Instant;
use uuid::Uuid;

use crate::{
    invariants::verdict::Verdict, scenarios::cast::Crowd, services::CONCURRENCY, stage::Stage, step::Step, talk::Kind,
    times::Times,
};

/// Objects that are written at once.
const UPLOADS: usize = 16;
/// How often the queue is looked at: seldom, because each look costs what it is to find out about, a walk past all dead rows.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Files of future jobs, which never run and need no objects.
const FUTURE: &str = "
    with file as (
        insert into files (user_id, storage_bucket, storage_key_original, original_filename, extension, mime_type, size_bytes)
        select gen_random_uuid(), $1, 'users/future/' || number, $2, 'txt', 'text/plain', 0
          from generate_series(1, $3::bigint) as number
        returning id
    )
    select count(assay_enqueue(id, run_at => now() + interval '30 days')) from file";
const FILES: &str = "
    insert into files (id, user_id, storage_bucket, storage_key_original, original_filename, extension, mime_type, size_bytes)
    select id, id, $1, 'users/' || id || '/files/' || id || '/original.txt', $2, 'txt', 'text/plain', 1500
      from unnest($3::uuid[]) as id";
const ENDS: &str = "
    select extract(epoch from processed_at)::float8 from files
     where status = 'succeeded' order by processed_at";

/// Returns no steps: a swarm breaks nothing.
pub fn steps(_: &mut StdRng, _: Duration, _: &Times) -> Vec<Step> {
    Vec::new()
}

/// Runs the crowd to its end; returns the jobs per second of each quarter.
///
/// # Errors
/// The database's.
pub async fn run(stage: &Stage, crowd: Crowd) -> anyhow::Result<Vec<f64>> {
    let bucket = stage.services.objects.bucket_name();
    enqueue_future(stage, crowd.future).await?;
    let ids: Vec<Uuid> = (0..crowd.jobs).map(|_| Uuid::new_v4()).collect();
    let uploads = ids.iter().map(|id| {
        let transcript = Kind::Accepted.transcript(*id).expect("a transcript");
        let key = format!("users/{id}/files/{id}/original.txt");
        async move { stage.services.objects.put(&key, transcript).await }
    });
    futures::stream::iter(uploads).buffer_unordered(UPLOADS).collect::<()>().await;
    let name = Kind::Accepted.filename();
    sqlx::query(FILES).bind(bucket).bind(name).bind(&ids).execute(&stage.services.pool).await.context("files")?;
    stage.services.pool.execute("analyze").await?;

    let mut holder = PgConnection::connect(&stage.services.database_url()).await?;
    holder.execute("begin isolation level repeatable read").await?;
    holder.execute("select count(*) from processing_jobs").await.context("hold the horizon")?;
    stage.fleet.fill(&stage.services).await;
    stage.fleet.ready().await;
    sqlx::query("select assay_enqueue(id) from unnest($1::uuid[]) as id")
        .bind(&ids)
        .execute(&stage.services.pool)
        .await?;
    let deadline = Instant::now() + crowd.patience();
    while live(stage).await? > 0 && Instant::now() < deadline {
        tokio::time::sleep(LOOK_EVERY).await;
    }
    let left = live(stage).await?;
    // In a short run its duration is no verdict.
    ensure!(left == 0 || crowd.fall.is_none(), "{left} jobs are left after {:?}", crowd.patience());
    holder.execute("rollback").await.context("the transaction that held the horizon is still there")?;
    let ends: Vec<f64> = sqlx::query_scalar(ENDS).fetch_all(&stage.services.pool).await?;
    // Without the time in which slots fill and that in which there is nothing left to fill them with.
    let slots = (crowd.workers * CONCURRENCY).min(ends.len() / 4);
    Ok(quarters(&ends[slots..ends.len() - slots]))
}

async fn enqueue_future(stage: &Stage, count: i64) -> anyhow::Result<()> {
    let name = Kind::Missing.filename();
    let query = sqlx::query(FUTURE).bind(stage.services.objects.bucket_name()).bind(name).bind(count);
    query.execute(&stage.services.pool).await.context("jobs of the future")?;
    Ok(())
}

/// Checks that the future jobs still wait, untouched.
///
/// # Errors
/// The database's.
pub async fn future_waits(stage: &Stage, crowd: Crowd) -> anyhow::Result<Verdict> {
    let sql = "select count(*) from processing_jobs j join files f on f.id = j.file_id
                where f.storage_key_original like 'users/future/%' and f.status = 'queued' and j.status = 'queued'
                  and j.attempts = 0 and j.lease_token = 0 and j.next_run_at > now() + interval '29 days'";
    let waiting: i64 = sqlx::query_scalar(sql).fetch_one(&stage.services.pool).await.context("jobs of the future")?;
    let broken = (waiting != crowd.future).then(|| format!("{waiting} of {} wait untouched", crowd.future));
    let checked = usize::try_from(crowd.future)?;
    Ok(Verdict { name: "what waits for the future waits untouched", checked, broken: broken.into_iter().collect() })
}

async fn live(stage: &Stage) -> sqlx::Result<i64> {
    let sql = "select count(*) from processing_jobs
                where status = 'processing' or (status = 'queued' and next_run_at < now() + interval '1 day')";
    sqlx::query_scalar(sql).fetch_one(&stage.services.pool).await
}

/// Returns jobs per second of each quarter, of the seconds at which they ended, in order.
fn quarters(ends: &[f64]) -> Vec<f64> {
    let size = ends.len() / 4;
    if size < 2 {
        return Vec::new();
    }
    let rate = |quarter: &[f64]| (size - 1) as f64 / (quarter[size - 1] - quarter[0]).max(f64::MIN_POSITIVE);
    ends.chunks_exact(size).take(4).map(rate).collect()
}

/// Checks that throughput falls by less than a fifth.
pub fn verdict(crowd: Crowd, throughput: &[f64]) -> Verdict {
    let name = "throughput falls by less than a fifth";
    let (Some(fall), Some(first), Some(last)) = (crowd.fall, throughput.first(), throughput.last()) else {
        return Verdict { name, checked: 0, broken: Vec::new() };
    };
    let fell = last < &(first * (1.0 - fall));
    let broken = fell.then(|| format!("from {first:.1} to {last:.1} jobs per second"));
    Verdict { name, checked: throughput.len(), broken: broken.into_iter().collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_throughput_that_falls_by_a_fifth_is_seen() {
        let rates = |last: f64| {
            let ends: Vec<f64> = (0..150).chain(0..50).map(f64::from).collect();
            let ends = ends.iter().enumerate().map(|(index, end)| if index < 150 { *end } else { 150.0 + end / last });
            quarters(&ends.collect::<Vec<_>>())
        };
        assert_eq!(rates(0.7).len(), 4);
        assert_eq!(verdict(Crowd::LONG, &rates(0.7)).broken.len(), 1);
        assert!(verdict(Crowd::LONG, &rates(0.9)).broken.is_empty());
        let throughput = rates(0.7);
        assert!(verdict(Crowd::SHORT, &throughput).broken.is_empty());
    }
}
