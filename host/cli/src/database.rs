//! The database as commands want it: answering, and with the schema of this binary.

use anyhow::{Context, bail};
use assay_db::{Database, DatabaseConfig};

/// Connects once before anything else, so that a database which is not there is told of at once and by its variable.
///
/// # Errors
/// Where the database does not answer, or its schema is older than this binary.
pub(super) async fn open(config: DatabaseConfig) -> anyhow::Result<Database> {
    let database = Database::new(config);
    let schema = database.check().await.context("DATABASE_URL: reach the database")?;
    if !schema.pending.is_empty() {
        bail!("DATABASE_URL: the database lacks migrations {:?}; run `assay migrate`", schema.pending);
    }
    Ok(database)
}
