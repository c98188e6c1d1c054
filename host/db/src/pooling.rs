//! What a pooler between this process and the server allows.

use std::time::Duration;

use assay_core::env::Variables;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, postgres::PgConnectOptions};

/// How sessions of the driver become sessions of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pooling {
    /// One to one, and settings go with the start of a session.
    None,
    /// One to one, but the pooler refuses settings at the start: they are set after it.
    NoOptions,
    /// A session of the server serves one transaction after the other, of whomever. Nothing may stay on it: no setting, no
    /// prepared statement, no LISTEN.
    Transaction,
}

/// Ends the prepared statements of the server's session.
const FORGET: &str = "deallocate all";

impl Pooling {
    pub(crate) fn load(vars: &mut Variables) -> Self {
        let transaction = vars.one_of(
            "DATABASE_POOLER",
            &[("none", false), ("transaction", true)],
            "pooler in front of the database that keeps no prepared statements: none or transaction",
        );
        let options = vars.one_of(
            "DATABASE_OPTIONS",
            &[("on", true), ("off", false)],
            "settings at the start of a session: on, or off where a pooler refuses them",
        );
        match (transaction, options) {
            (true, _) => Self::Transaction,
            (false, false) => Self::NoOptions,
            (false, true) => Self::None,
        }
    }

    /// Prepares the options of new sessions. `settings` are for each of them.
    pub(crate) fn options(self, options: PgConnectOptions, settings: &Settings) -> PgConnectOptions {
        // Poolers refuse it, and servers since PostgreSQL 12 write floats exactly without it.
        let options = options.extra_float_digits(None);
        match self {
            Self::None => options.options(settings.0.iter().map(|(name, value)| (*name, value.as_str()))),
            Self::NoOptions => options,
            Self::Transaction => options.statement_cache_capacity(0),
        }
    }

    /// Sets on a new session what could not go with its start.
    pub(crate) async fn prepare(self, session: &mut PgConnection, settings: &Settings) -> sqlx::Result<()> {
        if self == Self::NoOptions {
            session.execute(AssertSqlSafe(settings.sql("set"))).await?;
        }
        Ok(())
    }

    /// Runs statements on a session of the driver, within one transaction where the server's session is shared.
    pub(crate) async fn run<T>(
        self,
        session: &mut PgConnection,
        settings: &Settings,
        statements: impl AsyncFnOnce(&mut PgConnection) -> sqlx::Result<T>,
    ) -> sqlx::Result<T> {
        if self != Self::Transaction {
            return statements(session).await;
        }
        // One message: the pooler has a server for it, and keeps that until the end. What a failed transaction left prepared
        // has the names that this one gives.
        let begin = format!("begin; {FORGET}; {}", settings.sql("set local"));
        let mut transaction = session.begin_with(AssertSqlSafe(begin)).await?;
        match statements(&mut transaction).await {
            Ok(value) => {
                // The driver prepares every statement, and can do that under names alone.
                transaction.execute(FORGET).await?;
                transaction.commit().await?;
                Ok(value)
            }
            Err(error) => {
                // At once: until then the pooler lends the server's session to no other client.
                if let Err(error) = transaction.rollback().await {
                    tracing::debug!(%error, "a transaction was not rolled back");
                }
                Err(error)
            }
        }
    }
}

/// Settings of a session, by name. Names and values are Assay's own.
#[derive(Clone, Debug)]
pub(crate) struct Settings(Vec<(&'static str, String)>);

impl Settings {
    /// Returns limits that the server enforces, even if this process stalls during a statement. They are shorter than the
    /// client's own deadline: a statement that the server rolled back is certain, and leaves no locks.
    pub(crate) fn of_statements(timeout: Duration) -> Self {
        let server = milliseconds(timeout * 3 / 4);
        Self(vec![("statement_timeout", server.clone()), ("idle_in_transaction_session_timeout", server)])
    }

    pub(crate) fn with_lock_timeout(mut self, timeout: Duration) -> Self {
        self.0.push(("lock_timeout", milliseconds(timeout)));
        self
    }

    fn sql(&self, set: &str) -> String {
        let statements: Vec<_> = self.0.iter().map(|(name, value)| format!("{set} {name} = '{value}'")).collect();
        statements.join("; ")
    }
}

fn milliseconds(limit: Duration) -> String {
    format!("{}ms", limit.as_millis().max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(pairs: &[(&str, &str)]) -> Pooling {
        let values = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Pooling::load(&mut Variables::from_map(values))
    }

    #[test]
    fn a_pooler_for_transactions_takes_no_options_in_any_case() {
        assert_eq!(load(&[]), Pooling::None);
        assert_eq!(load(&[("DATABASE_OPTIONS", "off")]), Pooling::NoOptions);
        assert_eq!(load(&[("DATABASE_POOLER", "transaction")]), Pooling::Transaction);
        assert_eq!(load(&[("DATABASE_POOLER", "transaction"), ("DATABASE_OPTIONS", "on")]), Pooling::Transaction);
    }

    #[test]
    fn settings_are_shorter_than_the_clients_deadline() {
        let settings = Settings::of_statements(Duration::from_secs(10)).with_lock_timeout(Duration::from_secs(5));
        assert_eq!(
            settings.sql("set local"),
            "set local statement_timeout = '7500ms'; set local idle_in_transaction_session_timeout = '7500ms'; \
             set local lock_timeout = '5000ms'"
        );
    }
}
