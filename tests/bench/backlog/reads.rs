//! What a claim reads, by EXPLAIN (ANALYZE, BUFFERS) of its own statements.

use anyhow::Context;
use serde_json::Value;
use sqlx::{AssertSqlSafe, PgConnection, postgres::PgArguments, query::QueryScalar};
use uuid::Uuid;

use crate::stage::Stage;

const CLAIM: &str = include_str!("../../../host/db/sql/claim.sql");
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

type Arguments<'a> = QueryScalar<'a, sqlx::Postgres, Value, PgArguments>;

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
    let front = explain(db, CLAIM, |query| claim(query, None)).await.context("claim.sql")?;
    if front.rows > 0 {
        return Ok(Reads { buffers: front.buffers, found: front.rows });
    }
    let head = |query: Arguments<'static>| {
        query.bind(None::<time::OffsetDateTime>).bind(None::<Uuid>).bind(SLOTS + READ_AHEAD)
    };
    let full = explain(db, HEAD_IS_FULL, head).await.context("head_is_full.sql")?;
    let due_jobs = explain(db, DUE_JOBS, due).await.context("due_jobs.sql")?;
    let buffers = front.buffers + full.buffers + due_jobs.buffers;
    if due_jobs.rows == 0 {
        return Ok(Reads { buffers, found: 0 });
    }
    let jobs: Vec<Uuid> = due(sqlx::query_scalar(DUE_JOBS)).fetch_all(&mut *db).await?;
    let behind = explain(db, CLAIM, |query| claim(query, Some(jobs))).await.context("claim.sql")?;
    Ok(Reads { buffers: buffers + behind.buffers, found: behind.rows })
}

/// What one statement came to.
struct Plan {
    buffers: f64,
    rows: u64,
}

async fn explain(
    db: &mut PgConnection,
    sql: &str,
    bind: impl FnOnce(Arguments<'static>) -> Arguments<'static>,
) -> anyhow::Result<Plan> {
    let sql = format!("explain (analyze, buffers, format json) {sql}");
    let plan = bind(sqlx::query_scalar(AssertSqlSafe(sql))).fetch_one(db).await?;
    let pages = |kind: &str| plan[0]["Plan"][kind].as_f64().with_context(|| format!("no {kind} in the plan"));
    let rows = plan[0]["Plan"]["Actual Rows"].as_u64().context("no rows in the plan")?;
    Ok(Plan { buffers: pages("Shared Hit Blocks")? + pages("Shared Read Blocks")?, rows })
}

/// The worker of the bench serves one version, and calls one digest.
fn claim(query: Arguments<'static>, only: Option<Vec<Uuid>>) -> Arguments<'static> {
    let query = query.bind(vec!["served-v1"]).bind(vec!["served"]).bind("served").bind(vec!["served"]);
    let query = query.bind(SLOTS).bind("bench").bind(30_i32);
    let query = query.bind(NO_TEXTS).bind(NO_TEXTS).bind(NO_TEXTS).bind(NO_TEXTS).bind(NO_NUMBERS);
    let query = query.bind(NO_TEXTS).bind(vec!["served-v1"]);
    query.bind(None::<time::OffsetDateTime>).bind(None::<Uuid>).bind(only)
}

fn due<'q, O>(
    query: QueryScalar<'q, sqlx::Postgres, O, PgArguments>,
) -> QueryScalar<'q, sqlx::Postgres, O, PgArguments> {
    let query = query.bind(vec!["served-v1"]).bind(vec!["served"]).bind("served").bind(vec!["served"]);
    let query = query.bind(NO_TEXTS).bind(NO_TEXTS).bind(NO_TEXTS).bind(NO_TEXTS).bind(NO_NUMBERS);
    query.bind(None::<time::OffsetDateTime>).bind(None::<Uuid>).bind(SLOTS + MORE_CANDIDATES)
}

const NO_TEXTS: &[&str] = &[];
const NO_NUMBERS: &[i32] = &[];
