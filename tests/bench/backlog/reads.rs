//! What a claim that goes past a backlog reads, by its own statements.

use anyhow::Context;
use assay_tests::claim_reads::{Arguments, explain, explain_claim, no_channels, serving};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::stage::Stage;

const HEAD_IS_FULL: &str = include_str!("../../../host/db/sql/head_is_full.sql");
const DUE_JOBS: &str = include_str!("../../../host/db/sql/due_jobs.sql");
const SLOTS: i64 = 16;
/// As in host/db/src/queue/claim_behind.rs.
const READ_AHEAD: i64 = 50;
const MORE_CANDIDATES: i64 = 16;

/// What the statements of one claim came to.
pub struct Reads {
    /// Pages of 8 KB, found in memory or not.
    pub buffers: f64,
    /// Jobs that were claimed.
    pub found: u64,
}

/// Explains a claim, and takes it back.
///
/// # Errors
/// The database's.
pub async fn of_claim(stage: &Stage) -> anyhow::Result<Reads> {
    let mut transaction = stage.pool.begin().await?;
    let reads = of_claim_in(&mut transaction).await?;
    transaction.rollback().await?;
    Ok(reads)
}

/// Explains the statements of a claim that goes past a backlog: the first due jobs, whether there are more, the jobs behind
/// them, and the claim of these.
///
/// # Errors
/// The database's.
pub async fn of_claim_in(db: &mut PgConnection) -> anyhow::Result<Reads> {
    let front = explain_claim(db, SLOTS, None, None).await?;
    if front.rows > 0 {
        return Ok(Reads { buffers: front.buffers, found: front.rows });
    }
    let full =
        explain(db, HEAD_IS_FULL, |query| nowhere(query).bind(SLOTS + READ_AHEAD)).await.context("head_is_full.sql")?;
    let due_jobs = explain(db, DUE_JOBS, due).await.context("due_jobs.sql")?;
    let buffers = front.buffers + full.buffers + due_jobs.buffers;
    if due_jobs.rows == 0 {
        return Ok(Reads { buffers, found: 0 });
    }
    let jobs: Vec<Uuid> = due(sqlx::query_scalar(DUE_JOBS)).fetch_all(&mut *db).await?;
    let behind = explain_claim(db, SLOTS, None, Some(jobs)).await?;
    Ok(Reads { buffers: buffers + behind.buffers, found: behind.rows })
}

fn due<O>(query: Arguments<'_, O>) -> Arguments<'_, O> {
    nowhere(no_channels(serving(query))).bind(SLOTS + MORE_CANDIDATES)
}

/// Binds no place to begin at.
fn nowhere<O>(query: Arguments<'_, O>) -> Arguments<'_, O> {
    query.bind(None::<time::OffsetDateTime>).bind(None::<Uuid>)
}
