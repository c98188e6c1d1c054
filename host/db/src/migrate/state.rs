//! Where a database stands among the migrations.

use std::collections::{BTreeMap, BTreeSet};

use sqlx::{PgConnection, migrate::Migrate};

use super::{
    adoption,
    plan::{Origin, TABLE, Target, plan},
};
use crate::{database::Database, error::DbError};

/// The versions that a database has and lacks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MigrationState {
    pub origin: Origin,
    pub applied: BTreeSet<i64>,
    /// Versions of this binary that the database lacks.
    pub pending: BTreeSet<i64>,
}

impl Database {
    /// Checks that the database answers, and reads whether its schema is the one that this binary needs.
    ///
    /// # Errors
    /// [`DbError`] as for any statement.
    pub async fn check(&self) -> Result<MigrationState, DbError> {
        let mut connection = self.connect().await?;
        self.run_on(&mut connection, state).await
    }
}

/// Reads which versions are applied.
pub(super) async fn state(connection: &mut PgConnection) -> sqlx::Result<MigrationState> {
    let exists = sqlx::query_scalar!(r#"select to_regclass('_assay_migrations') is not null as "exists!""#)
        .fetch_one(&mut *connection)
        .await?;
    let applied: BTreeMap<i64, Vec<u8>> = if exists {
        connection
            .list_applied_migrations(TABLE)
            .await
            .map_err(|error| sqlx::Error::Protocol(error.to_string()))?
            .into_iter()
            .map(|migration| (migration.version, migration.checksum.into_owned()))
            .collect()
    } else {
        BTreeMap::new()
    };
    let origin = match applied.first_key_value() {
        Some((version, checksum)) => origin_of(*version, checksum),
        // Nothing is applied, so existing tables are another program's.
        None if adoption::tables_exist(connection).await? => Origin::Adopted,
        None => Origin::Own,
    };
    let applied: BTreeSet<i64> = applied.into_keys().collect();
    let pending = plan(origin, &applied, Target::Latest).into_iter().map(|step| step.version).collect();
    Ok(MigrationState { origin, applied, pending })
}

/// Returns the origin by the first migration, which differs in an adopted database.
fn origin_of(version: i64, checksum: &[u8]) -> Origin {
    let adopted = sqlx::migrate!("../../migrations/adopted");
    if adopted.iter().any(|step| step.version == version && *step.checksum == *checksum) {
        Origin::Adopted
    } else {
        Origin::Own
    }
}
