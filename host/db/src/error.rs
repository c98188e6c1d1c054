//! Why a statement failed, by what the caller may do next.

use std::time::Duration;

use assay_core::{code::Code, job_error::JobError};

/// A failed statement. Display shows SQLSTATEs and kinds, never the server's message, which may quote a row.
#[derive(Debug, thiserror::Error)]
pub enum DbError {
    /// No connection, or it broke: the statement may have been carried out.
    #[error("the connection to the database failed ({0})")]
    Connection(&'static str),
    /// No answer in time: the statement may still be carried out.
    #[error("the database did not answer within {0:?}")]
    Timeout(Duration),
    /// The server rolled back for a temporary reason: a conflict, a restart, too little space.
    #[error("the database rolled the statement back (SQLSTATE {0})")]
    Transient(String),
    /// The server refuses these credentials or has no such database: the statement never reached it.
    #[error("the database refused the connection (SQLSTATE {0})")]
    Denied(String),
    /// The server refuses the statement, and will refuse it again.
    #[error("the database refused the statement (SQLSTATE {0})")]
    Refused(String),
    /// A row has an unexpected value.
    #[error("a row of the database cannot be read: {0}")]
    Row(&'static str),
    /// The migrations could not be applied.
    #[error("the migrations were not applied: {0}")]
    Migration(String),
    /// Assay cannot serve another program's tables: the obstacles, by column.
    #[error(
        "the tables `files` and `processing_jobs` of another program cannot be adopted, and nothing was changed:\n  {}",
        .0.join("\n  ")
    )]
    Unadoptable(Vec<String>),
}

impl DbError {
    /// Returns whether the statement may have been carried out, or may still be, without an answer.
    pub fn is_ambiguous(&self) -> bool {
        matches!(self, Self::Connection(_) | Self::Timeout(_))
    }

    /// Returns whether the database failed, rather than refusing this statement or having a wrong row.
    pub fn is_outage(&self) -> bool {
        matches!(self, Self::Connection(_) | Self::Timeout(_) | Self::Transient(_))
    }

    /// Returns whether the server refuses the statement because of a value in a row, so that other rows may pass: data
    /// errors, constraints, and what a trigger raises.
    pub fn is_refused_row(&self) -> bool {
        matches!(self, Self::Refused(state) if ["22", "23", "P0"].iter().any(|class| state.starts_with(class)))
    }

    /// Returns whether a right on a table is missing.
    pub fn is_missing_right(&self) -> bool {
        matches!(self, Self::Refused(state) if state == "42501")
    }
}

impl From<sqlx::Error> for DbError {
    fn from(error: sqlx::Error) -> Self {
        match &error {
            sqlx::Error::Database(database) => {
                let state = database.code().unwrap_or_default().into_owned();
                match state.as_str() {
                    // The server ended the connection: the statement may have been carried out before.
                    "57P01" | "57P02" => Self::Connection("ended by the server"),
                    pooler if pooler.starts_with("08") => Self::Connection("ended by a pooler"),
                    transient if is_transient(transient) => Self::Transient(state),
                    denied if is_denied(denied) => Self::Denied(state),
                    _ => Self::Refused(state),
                }
            }
            sqlx::Error::Io(_) => Self::Connection("input or output"),
            sqlx::Error::Tls(_) => Self::Connection("TLS"),
            sqlx::Error::Protocol(_) => Self::Connection("protocol"),
            sqlx::Error::PoolTimedOut => Self::Connection("no free connection in time"),
            sqlx::Error::PoolClosed | sqlx::Error::WorkerCrashed => Self::Connection("pool closed"),
            sqlx::Error::RowNotFound => Self::Row("it is missing"),
            sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) => Self::Row("a column has another type"),
            _ => Self::Connection("driver"),
        }
    }
}

/// Returns whether the same statement may succeed later. All these SQLSTATEs roll the statement back.
fn is_transient(state: &str) -> bool {
    const CLASSES: [&str; 2] = [
        "40", // rolled back: serialization failure, deadlock
        "53", // out of connections, memory, disk
    ];
    const STATES: [&str; 4] = [
        "57P03", // starting up or shutting down
        "57014", // cancelled, also by statement_timeout
        "55P03", // lock_timeout
        "25006", // read-only: a failover is under way
    ];
    CLASSES.iter().any(|class| state.starts_with(class)) || STATES.contains(&state)
}

/// Returns whether the server refused the connection itself.
fn is_denied(state: &str) -> bool {
    // Class 28 is invalid authorization, 3D000 an unknown database.
    state.starts_with("28") || state == "3D000"
}

impl From<DbError> for JobError {
    fn from(error: DbError) -> Self {
        let code = if matches!(error, DbError::Denied(_)) { Code::DbAccessDenied } else { Code::DbUpdateFailed };
        Self::new(code, "write to the database").caused_by(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadlock_is_transient_and_a_constraint_is_not() {
        assert!(is_transient("40P01"));
        assert!(is_transient("57P03"));
        assert!(!is_transient("23505"));
        assert!(!is_transient("42P01"));
    }

    #[test]
    fn a_bad_row_is_told_from_a_statement_that_is_refused_whole() {
        let refused = |state: &str| DbError::Refused(state.to_owned()).is_refused_row();
        assert!(["22003", "22008", "22P02", "23505", "23514", "P0001"].into_iter().all(refused));
        assert!(!["42501", "42P01", "42703", "0A000", "XX000", "54001", "57P05"].into_iter().any(refused));
        assert!(!DbError::Transient("23505".to_owned()).is_refused_row());
    }

    #[test]
    fn a_wrong_password_denies_and_a_missing_right_does_not() {
        assert!(is_denied("28P01") && is_denied("28000") && is_denied("3D000"));
        assert!(!is_denied("42501") && DbError::Refused("42501".to_owned()).is_missing_right());
    }
}
