//! Why a statement failed, by what the caller may do next.

use std::{fmt, time::Duration};

use assay_core::{
    code::Code,
    job_error::JobError,
    open_files::{NO_FILE_LEFT, is_out_of_files},
};
use assay_network::ConnectionFault;

use crate::{
    login::LoginError,
    sqlstate::{Again, Meaning, Session, SqlState},
};

/// A failed statement. Display shows SQLSTATEs and kinds, never the server's message, which may quote a row.
#[derive(Debug, thiserror::Error)]
pub enum DbError {
    /// No connection, or it broke: the statement may have been carried out.
    #[error("the connection to the database failed ({0})")]
    Connection(ConnectionCause),
    /// There is no password to connect with: the statement never reached the server.
    #[error("no login to the database: {0}")]
    NoLogin(#[from] LoginError),
    /// There was no file descriptor for a connection: the statement never reached the server.
    #[error("{NO_FILE_LEFT} to the database")]
    OutOfFiles,
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

/// Why a connection failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectionCause {
    Fault(ConnectionFault),
    Told(&'static str),
}

impl fmt::Display for ConnectionCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fault(fault) => fault.fmt(f),
            Self::Told(words) => f.write_str(words),
        }
    }
}

impl From<&'static str> for ConnectionCause {
    fn from(words: &'static str) -> Self {
        Self::Told(words)
    }
}

impl ConnectionCause {
    /// Looks for a cause in an error of the driver.
    fn of(error: &(dyn std::error::Error + 'static), otherwise: &'static str) -> Self {
        ConnectionFault::of(error).map_or(Self::Told(otherwise), Self::Fault)
    }
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

    /// Returns whether the server refuses the statement because of a value in a row, so that other rows may pass.
    pub fn is_refused_row(&self) -> bool {
        matches!(self, Self::Refused(state) if is_of_row(state))
    }

    /// Returns whether the session that reported this is of no use: closed rather than returned to the pool.
    pub(crate) fn spends_session(&self) -> bool {
        match self {
            Self::Connection(_) | Self::Timeout(_) => true,
            _ => self.row().is_some_and(|row| row.session == Session::Closed),
        }
    }

    /// Returns where the statement may be tried again at once: it certainly was not carried out.
    pub(crate) fn again(&self) -> Again {
        self.row().map_or(Again::No, |row| row.again)
    }

    /// Returns whether the statement certainly was not carried out and can succeed at once: its session was of no use, or
    /// another transaction was in the way.
    pub fn is_repeatable(&self) -> bool {
        self.again() != Again::No
    }

    /// Returns whether it can succeed on a new session only.
    pub fn needs_new_session(&self) -> bool {
        self.again() == Again::NewSession
    }

    /// Returns whether the server refused who this process says it is.
    pub(crate) fn is_of_login(&self) -> bool {
        matches!(self, Self::Denied(state) if state.starts_with("28"))
    }

    /// Returns whether the server, or this session, accepts no writes: a failover is under way.
    pub(crate) fn is_read_only(&self) -> bool {
        matches!(self, Self::Transient(state) if state == "25006")
    }

    fn row(&self) -> Option<&'static SqlState> {
        match self {
            Self::Transient(state) | Self::Denied(state) | Self::Refused(state) => SqlState::of(state),
            _ => None,
        }
    }

    /// Returns whether a right on a table is missing.
    pub fn is_missing_right(&self) -> bool {
        matches!(self, Self::Refused(state) if state == "42501")
    }
}

/// Returns whether a SQLSTATE is about a value in a row: data errors, constraints, and what a trigger raises.
pub(crate) fn is_of_row(state: &str) -> bool {
    ["22", "23", "P0"].iter().any(|class| state.starts_with(class))
}

impl From<sqlx::Error> for DbError {
    fn from(error: sqlx::Error) -> Self {
        match &error {
            sqlx::Error::Database(database) => {
                let state = database.code().unwrap_or_default().into_owned();
                match SqlState::of(&state).map(|row| row.meaning) {
                    Some(Meaning::Connection) if state.starts_with("08") => {
                        Self::Connection("ended by a pooler".into())
                    }
                    Some(Meaning::Connection) => Self::Connection("ended by the server".into()),
                    Some(Meaning::Transient) => Self::Transient(state),
                    Some(Meaning::Denied) => Self::Denied(state),
                    Some(Meaning::Refused) | None => Self::Refused(state),
                }
            }
            sqlx::Error::Io(error) if is_out_of_files(error) => Self::OutOfFiles,
            sqlx::Error::Io(error) => Self::Connection(ConnectionCause::of(error, "input or output")),
            sqlx::Error::Tls(error) => Self::Connection(ConnectionCause::of(&**error, "the server speaks no TLS")),
            sqlx::Error::Protocol(_) => Self::Connection("protocol".into()),
            sqlx::Error::PoolTimedOut => Self::Connection("no free connection in time".into()),
            sqlx::Error::PoolClosed | sqlx::Error::WorkerCrashed => Self::Connection("pool closed".into()),
            sqlx::Error::RowNotFound => Self::Row("it is missing"),
            sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) => Self::Row("a column has another type"),
            _ => Self::Connection("driver".into()),
        }
    }
}

impl From<DbError> for JobError {
    fn from(error: DbError) -> Self {
        let code = match error {
            DbError::Denied(_) | DbError::NoLogin(_) => Code::DbAccessDenied,
            DbError::OutOfFiles => Code::WorkerOutOfFiles,
            _ => Code::DbUpdateFailed,
        };
        Self::new(code, "write to the database").caused_by(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_right_is_no_denied_login() {
        assert!(DbError::Refused("42501".to_owned()).is_missing_right());
        assert!(!DbError::Denied("28P01".to_owned()).is_missing_right());
    }

    #[test]
    fn a_bad_row_is_told_from_a_statement_that_is_refused_whole() {
        let refused = |state: &str| DbError::Refused(state.to_owned()).is_refused_row();
        assert!(["22003", "22008", "22P02", "23505", "23514", "P0001"].into_iter().all(refused));
        assert!(!["42501", "42P01", "42703", "0A000", "XX000", "54001", "57P05"].into_iter().any(refused));
        assert!(!DbError::Transient("23505".to_owned()).is_refused_row());
    }

    #[test]
    fn an_unanswered_statement_spends_its_session_and_is_not_tried_again() {
        for error in [DbError::Connection("input or output".into()), DbError::Timeout(Duration::from_secs(1))] {
            assert!(error.spends_session() && error.is_ambiguous());
            assert_eq!(error.again(), Again::No);
        }
    }

    #[test]
    fn a_spent_session_is_an_outage_whose_statement_is_certain() {
        for state in ["25006", "25P03", "57P05"] {
            let error = DbError::Transient(state.to_owned());
            assert!(error.needs_new_session() && error.spends_session() && error.is_outage(), "{state}");
            assert!(!error.is_ambiguous(), "{state}");
        }
        let (row, right) = (DbError::Row("it is missing"), DbError::Refused("42501".to_owned()));
        assert!(!row.spends_session() && !right.spends_session() && !right.needs_new_session());
    }
}
