//! Migrating a database, and adopting one of another program.

use std::time::{Duration, Instant};

use sqlx::{
    Executor, PgConnection,
    migrate::{Migrate, MigrateError},
};

use super::{
    adoption, names,
    plan::{Origin, Script, Target, migrator, plan},
    state::{MigrationState, state},
};
use crate::{database::Database, error::DbError, pooling::Pooling};

/// How long migrating keeps trying to lock tables that others use.
const LOCK_DEADLINE: Duration = Duration::from_secs(60);
/// Between two tries, so that others can continue.
const LOCK_RETRY_DELAY: Duration = Duration::from_millis(500);

impl Database {
    /// Migrates to `target`, each script in a transaction, under an advisory lock that lets one migration run at a
    /// time. Returns the scripts that were applied.
    ///
    /// Adopts a database with tables of another program, if Assay can serve them.
    ///
    /// # Errors
    /// - [`DbError::Migration`] names the script that failed; those before it are kept.
    /// - [`DbError::Unadoptable`] lists the obstacles to adopting the database; nothing was changed.
    pub async fn migrate(&self, target: Target) -> Result<Vec<Script>, DbError> {
        let mut connection = self.connect_unlimited().await?;
        // Waits for another migration before anything is read. Closing the connection releases the lock.
        connection.lock().await.map_err(|error| DbError::Migration(error.to_string()))?;
        let before = state(&mut connection).await?;
        let steps = plan(before.origin, &before.applied, target);
        refuse_unadoptable(&mut connection, &before, target).await?;
        // Behind a long reader, a waiting lock blocks every later statement: so it gives up soon and tries again.
        connection.execute("set lock_timeout = '900ms'").await?;
        let begun = Instant::now();
        while let Err(error) = apply(&mut connection, before.origin, target).await {
            if !is_lock_timeout(&error) || begun.elapsed() > LOCK_DEADLINE {
                return Err(DbError::Migration(message(&error)));
            }
            tokio::time::sleep(LOCK_RETRY_DELAY).await;
        }
        Ok(steps)
    }

    /// Checks that Assay can serve the tables of a database that is to be adopted.
    ///
    /// # Errors
    /// [`DbError::Unadoptable`]; [`DbError`] as for any statement.
    pub async fn adoptable(&self, state: &MigrationState, target: Target) -> Result<(), DbError> {
        refuse_unadoptable(&mut self.connect_unlimited().await?, state, target).await
    }

    /// Opens a connection without time limits, for waiting on locks and rewriting tables.
    async fn connect_unlimited(&self) -> Result<PgConnection, DbError> {
        if self.config.pooling == Pooling::Transaction && self.config.direct.is_none() {
            let fix = "a lock needs a session of its own: set DATABASE_DIRECT_URL to an address past the pooler";
            return Err(DbError::Migration(fix.to_owned()));
        }
        let mut connection = self.connect_directly().await?;
        connection.execute("set statement_timeout = 0; set idle_in_transaction_session_timeout = 0").await?;
        Ok(connection)
    }
}

async fn refuse_unadoptable(db: &mut PgConnection, state: &MigrationState, target: Target) -> Result<(), DbError> {
    let first = state.origin == Origin::Adopted && state.applied.is_empty() && target != Target::Nothing;
    if !first {
        return Ok(());
    }
    let mut obstacles = adoption::obstacles(db).await?;
    let scripts = plan(state.origin, &state.applied, Target::Latest);
    obstacles.extend(names::taken(db, &scripts).await?);
    if obstacles.is_empty() { Ok(()) } else { Err(DbError::Unadoptable(obstacles)) }
}

/// Applies the missing scripts, each in its own transaction.
async fn apply(db: &mut PgConnection, origin: Origin, target: Target) -> Result<(), MigrateError> {
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

/// Returns whether a lock was not free within `lock_timeout`.
fn is_lock_timeout(error: &MigrateError) -> bool {
    let (MigrateError::Execute(cause) | MigrateError::ExecuteMigration(cause, _)) = error else { return false };
    cause.as_database_error().and_then(|cause| cause.code()).is_some_and(|state| state == "55P03")
}

fn message(error: &MigrateError) -> String {
    if is_lock_timeout(error) {
        return format!(
            "{error}; another session has held a lock for {} s: end its long transaction, or try again in a quieter moment",
            LOCK_DEADLINE.as_secs()
        );
    }
    error.to_string()
}
