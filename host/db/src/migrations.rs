//! The schema: embedded pairs of SQL files, and where a database stands among them.
//!
//! A database whose `files` and `processing_jobs` another program made is adopted: some of the scripts are others there
//! (docs/adr/0016-adoption.md), and the rest is the same.

mod adoption;
mod names;
mod shape;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use sqlx::{
    Executor, PgConnection,
    migrate::{Migrate, MigrateError, MigrationType, Migrator},
};

use crate::{Database, DbError};

/// An own table, because a database that Assay adopts may keep another program's migrations in the usual one.
const TABLE: &str = "_assay_migrations";

/// How long a lock on the tables of another program is asked for, again and again.
const LOCKS_PATIENCE: Duration = Duration::from_secs(60);
/// Between two tries, in which that program can go on.
const LOCKS_AGAIN: Duration = Duration::from_millis(500);

/// Who made the tables of files and jobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Assay.
    Own,
    /// Another program, which may serve the same queue.
    Adopted,
}

/// Where a database stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// Who made its tables.
    pub origin: Origin,
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

/// The scripts for a database of this origin. Those of an adopted one stand in the place of ours with the same version, or between them.
fn migrator(origin: Origin) -> Migrator {
    let mut steps = BTreeMap::new();
    let adopted = match origin {
        Origin::Own => None,
        Origin::Adopted => Some(sqlx::migrate!("../../migrations/adopted")),
    };
    for migrator in [Some(sqlx::migrate!("../../migrations")), adopted].into_iter().flatten() {
        for step in migrator.iter() {
            steps.insert((step.version, is_down(step.migration_type)), step.clone());
        }
    }
    let mut migrator = Migrator::with_migrations(steps.into_values().collect());
    migrator.dangerous_set_table_name(TABLE);
    migrator
}

fn is_down(kind: MigrationType) -> bool {
    matches!(kind, MigrationType::ReversibleDown)
}

/// The scripts that lead from `applied` to `target`, in order.
pub fn plan(origin: Origin, applied: &BTreeSet<i64>, target: Target) -> Vec<Script> {
    let goal = match target {
        Target::Latest => i64::MAX,
        Target::Version(version) => version,
        Target::Nothing => 0,
    };
    let scripts = |down: bool| -> Vec<Script> {
        migrator(origin)
            .iter()
            .filter(|step| is_down(step.migration_type) == down)
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
        // Nothing is ours yet; whose are these?
        None if adoption::tables_exist(connection).await? => Origin::Adopted,
        None => Origin::Own,
    };
    let applied: BTreeSet<i64> = applied.into_keys().collect();
    let pending = plan(origin, &applied, Target::Latest).into_iter().map(|step| step.version).collect();
    Ok(State { origin, applied, pending })
}

/// The first migration is another one in an adopted database.
fn origin_of(version: i64, checksum: &[u8]) -> Origin {
    let adopted = sqlx::migrate!("../../migrations/adopted");
    if adopted.iter().any(|step| step.version == version && *step.checksum == *checksum) {
        Origin::Adopted
    } else {
        Origin::Own
    }
}

impl Database {
    /// Migrates to `target`, each step in a transaction, under an advisory lock that lets one migration run at a time.
    /// Tells the steps that were taken.
    ///
    /// A database with tables of another program is adopted, where Assay can serve it.
    ///
    /// # Errors
    /// [`DbError::Migration`] names the step that could not be applied; those before it are kept.
    /// [`DbError::Unadoptable`] says what stands in the way of adopting it; nothing was changed.
    pub async fn migrate(&self, target: Target) -> Result<Vec<Script>, DbError> {
        let mut connection = self.unhurried().await?;
        // Whoever migrates at the same time is waited for before anything is looked at. It is let go with the connection.
        connection.lock().await.map_err(|error| DbError::Migration(error.to_string()))?;
        let before = state(&mut connection).await?;
        let steps = plan(before.origin, &before.applied, target);
        refuse_unadoptable(&mut connection, &before, target).await?;
        if before.origin == Origin::Adopted {
            // The other program is at work: rather try again than stand in front of it, which lets nobody pass.
            connection.execute("set lock_timeout = '900ms'").await?;
        }
        let begun = Instant::now();
        while let Err(error) = carry_out(&mut connection, before.origin, target).await {
            if !is_lock_timeout(&error) || begun.elapsed() > LOCKS_PATIENCE {
                return Err(DbError::Migration(words(&error)));
            }
            tokio::time::sleep(LOCKS_AGAIN).await;
        }
        Ok(steps)
    }
    /// Whether the database's tables are such as Assay can serve, where it is to be adopted.
    ///
    /// # Errors
    /// [`DbError::Unadoptable`]; [`DbError`] as for any statement.
    pub async fn adoptable(&self, state: &State, target: Target) -> Result<(), DbError> {
        refuse_unadoptable(&mut self.unhurried().await?, state, target).await
    }

    /// A connection for what takes as long as it takes: it waits for locks, reads and rewrites tables.
    async fn unhurried(&self) -> Result<PgConnection, DbError> {
        let mut connection = self.connect().await?;
        connection.execute("set statement_timeout = 0; set idle_in_transaction_session_timeout = 0").await?;
        Ok(connection)
    }
}

async fn refuse_unadoptable(db: &mut PgConnection, state: &State, target: Target) -> Result<(), DbError> {
    let first = state.origin == Origin::Adopted && state.applied.is_empty() && target != Target::Nothing;
    if !first {
        return Ok(());
    }
    let mut obstacles = adoption::obstacles(db).await?;
    let scripts = plan(state.origin, &state.applied, Target::Latest);
    obstacles.extend(names::taken(db, &scripts).await?);
    if obstacles.is_empty() { Ok(()) } else { Err(DbError::Unadoptable(obstacles)) }
}

/// Each step that is left, in a transaction of its own.
async fn carry_out(db: &mut PgConnection, origin: Origin, target: Target) -> Result<(), MigrateError> {
    let migrator = migrator(origin);
    let goal = match target {
        Target::Latest => return migrator.run(db).await,
        Target::Version(version) => version,
        Target::Nothing => 0,
    };
    if state(db).await?.applied.iter().any(|version| *version > goal) {
        migrator.undo(&mut *db, goal).await?;
    }
    if goal > 0 {
        migrator.run_to(goal, db).await?;
    }
    Ok(())
}

/// Whether somebody else had a lock for longer than is waited for at once.
fn is_lock_timeout(error: &MigrateError) -> bool {
    let (MigrateError::Execute(cause) | MigrateError::ExecuteMigration(cause, _)) = error else { return false };
    cause.as_database_error().and_then(|cause| cause.code()).is_some_and(|state| state == "55P03")
}

fn words(error: &MigrateError) -> String {
    if is_lock_timeout(error) {
        return format!(
            "{error}; another program has held a lock for {} s: end its long transaction, or try again in a quieter moment",
            LOCKS_PATIENCE.as_secs()
        );
    }
    error.to_string()
}
