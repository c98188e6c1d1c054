//! What the statements of a claim read, by EXPLAIN (ANALYZE, BUFFERS).

use anyhow::Context;
use assay_core::claim::QueuePosition;
use serde_json::Value;
use sqlx::{AssertSqlSafe, PgConnection, postgres::PgArguments, query::QueryScalar};
use uuid::Uuid;

const CLAIM: &str = include_str!("../../host/db/sql/claim.sql");
const NO_TEXTS: &[&str] = &[];
const NO_NUMBERS: &[i32] = &[];

/// The only prompt version and the only digest of the worker that claims.
pub const VERSION: &str = "served-v1";
pub const DIGEST: &str = "served";

/// A query of one value, and what was bound to it.
pub type Arguments<'q, O> = QueryScalar<'q, sqlx::Postgres, O, PgArguments>;

/// What one statement came to.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Pages of 8 KB, found in memory or not.
    pub buffers: f64,
    pub rows: u64,
}

/// Runs a statement and returns what it read.
///
/// # Errors
/// The database's.
pub async fn explain(
    db: &mut PgConnection,
    sql: &str,
    bind: impl FnOnce(Arguments<'static, Value>) -> Arguments<'static, Value>,
) -> anyhow::Result<Plan> {
    let sql = format!("explain (analyze, buffers, format json) {sql}");
    let plan = bind(sqlx::query_scalar(AssertSqlSafe(sql))).fetch_one(db).await?;
    let pages = |kind: &str| plan[0]["Plan"][kind].as_f64().with_context(|| format!("no {kind} in the plan"));
    let rows = plan[0]["Plan"]["Actual Rows"].as_u64().context("no rows in the plan")?;
    Ok(Plan { buffers: pages("Shared Hit Blocks")? + pages("Shared Read Blocks")?, rows })
}

/// Claims for so many slots, and returns what `claim.sql` read.
///
/// # Errors
/// The database's.
pub async fn explain_claim(
    db: &mut PgConnection,
    slots: i64,
    from: Option<QueuePosition>,
    only: Option<Vec<Uuid>>,
) -> anyhow::Result<Plan> {
    let bind = |query| {
        let query = serving(query).bind(slots).bind("explained").bind(30_i32);
        let query = no_channels(query).bind(NO_TEXTS).bind(vec![VERSION]);
        query.bind(from.map(|place| place.due)).bind(from.map(|place| place.job.0)).bind(only)
    };
    explain(db, CLAIM, bind).await.context("claim.sql")
}

/// Binds what the worker serves: versions with their digests, the default, and what may be called.
pub fn serving<O>(query: Arguments<'_, O>) -> Arguments<'_, O> {
    query.bind(vec![VERSION]).bind(vec![DIGEST]).bind(DIGEST).bind(vec![DIGEST])
}

/// Binds the five columns of no channels.
pub fn no_channels<O>(query: Arguments<'_, O>) -> Arguments<'_, O> {
    query.bind(NO_TEXTS).bind(NO_TEXTS).bind(NO_TEXTS).bind(NO_TEXTS).bind(NO_NUMBERS)
}
