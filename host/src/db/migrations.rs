//! The schema: embedded pairs of SQL files, and where a database stands among them.

use std::collections::BTreeSet;

use sqlx::{
    Executor, PgConnection,
    migrate::{Migrate, MigrationType, Migrator},
};

use crate::db::{Database, DbError};

/// An own table, because a database that Assay adopts may keep another program's migrations in the usual one.
const TABLE: &str = "_assay_migrations";

/// Where a database stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// Versions that are applied.
    pub applied: BTreeSet<i64>,
    /// Versions that this binary has and the database has not.
    pub pending: BTreeSet<i64>,
}

/// Where to migrate to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// Everything this binary has.
    Latest,
    /// Up or down to this version.
    Version(i64),
    /// Undo everything.
    Nothing,
}

/// One step of a migration.
#[derive(Clone, Debug)]
pub struct Script {
    /// Its version.
    pub version: i64,
    /// Its name.
    pub name: String,
    /// Whether it undoes.
    pub down: bool,
    /// Its SQL.
    pub sql: String,
}

fn migrator() -> Migrator {
    let mut migrator = sqlx::migrate!("../migrations");
    migrator.dangerous_set_table_name(TABLE);
    migrator
}

/// The scripts that lead from `applied` to `target`, in order.
pub fn plan(applied: &BTreeSet<i64>, target: Target) -> Vec<Script> {
    let goal = match target {
        Target::Latest => i64::MAX,
        Target::Version(version) => version,
        Target::Nothing => 0,
    };
    let scripts = |down: bool| -> Vec<Script> {
        migrator()
            .iter()
            .filter(|step| matches!(step.migration_type, MigrationType::ReversibleDown) == down)
            .map(|step| Script {
                version: step.version,
                name: step.description.to_string(),
                down,
                sql: step.sql.as_str().to_owned(),
            })
            .collect()
    };
    let mut undo: Vec<_> =
        scripts(true).into_iter().filter(|step| step.version > goal && applied.contains(&step.version)).collect();
    undo.sort_by_key(|step| std::cmp::Reverse(step.version));
    let apply = scripts(false).into_iter().filter(|step| step.version <= goal && !applied.contains(&step.version));
    undo.into_iter().chain(apply).collect()
}

/// Reads where the database stands. A database that was never migrated has nothing applied.
pub(super) async fn state(connection: &mut PgConnection) -> sqlx::Result<State> {
    let exists = sqlx::query_scalar!(r#"select to_regclass('_assay_migrations') is not null as "exists!""#)
        .fetch_one(&mut *connection)
        .await?;
    let applied: BTreeSet<i64> = if exists {
        connection
            .list_applied_migrations(TABLE)
            .await
            .map_err(|error| sqlx::Error::Protocol(error.to_string()))?
            .into_iter()
            .map(|migration| migration.version)
            .collect()
    } else {
        BTreeSet::new()
    };
    let pending = plan(&applied, Target::Latest).into_iter().map(|step| step.version).collect();
    Ok(State { applied, pending })
}

impl Database {
    /// Migrates to `target`, each step in a transaction, under an advisory lock that lets one migration run at a time.
    /// Tells the steps that were taken.
    ///
    /// # Errors
    /// [`DbError::Migration`] names the step that could not be applied; those before it are kept.
    pub async fn migrate(&self, target: Target) -> Result<Vec<Script>, DbError> {
        let mut connection = self.connect().await?;
        // A migration takes as long as it takes: it waits for locks, and it rewrites tables.
        connection.execute("set statement_timeout = 0; set idle_in_transaction_session_timeout = 0").await?;
        let before = state(&mut connection).await?;
        let steps = plan(&before.applied, target);
        let migrator = migrator();
        let goal = match target {
            Target::Latest => None,
            Target::Version(version) => Some(version),
            Target::Nothing => Some(0),
        };
        let failed = |error: sqlx::migrate::MigrateError| DbError::Migration(error.to_string());
        if let Some(goal) = goal {
            if before.applied.iter().any(|version| *version > goal) {
                migrator.undo(&mut connection, goal).await.map_err(failed)?;
            }
            if goal > 0 {
                migrator.run_to(goal, &mut connection).await.map_err(failed)?;
            }
        } else {
            migrator.run(&mut connection).await.map_err(failed)?;
        }
        Ok(steps)
    }
}
