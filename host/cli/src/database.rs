//! Opens the database: it must answer, and must have the schema of this binary.

use std::collections::BTreeMap;

use anyhow::{Context, bail};
use assay_core::env::Variables;
use assay_db::{Database, DatabaseConfig};

use crate::exit::Failure;

/// Connects once, so that a command with a wrong DATABASE_URL fails at once and names the variable.
///
/// # Errors
/// The database does not answer, or its schema is older than this binary.
pub async fn open(config: DatabaseConfig) -> anyhow::Result<Database> {
    let database = Database::new(config);
    let schema = database.check().await.context("DATABASE_URL: connect to the database")?;
    if !schema.pending.is_empty() {
        bail!("DATABASE_URL: migrations {:?} are missing; run `assay migrate`", schema.pending);
    }
    Ok(database)
}

/// Opens the database of these variables.
///
/// # Errors
/// As [`open`]; or a variable of the database is wrong.
pub async fn open_from(values: BTreeMap<String, String>) -> Result<Database, Failure> {
    let mut vars = Variables::from_map(values);
    let config = DatabaseConfig::load(&mut vars);
    vars.finish()?;
    Ok(open(config).await?)
}
