//! What each SQLSTATE means here: which error it becomes, whether its session is closed, and what is tried again.

/// Which [`DbError`](crate::DbError) a SQLSTATE becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// The connection broke: the statement may have been carried out.
    Connection,
    /// Rolled back or not begun, for a reason that passes.
    Transient,
    /// The server does not accept the login or has no such database.
    Denied,
    /// Rolled back, and would be again.
    Refused,
}

/// What becomes of the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Session {
    Kept,
    /// Closed and not returned to the pool: it is gone, or would fail the next statement too.
    Closed,
}

/// Where the same statement is tried again at once. Only for what certainly was not carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Again {
    /// The caller decides.
    No,
    /// After another transaction was in the way.
    SameSession,
    /// After the session was of no use.
    NewSession,
}

/// A row of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SqlState {
    /// Five characters; two name a class, for SQLSTATEs without a row of their own.
    pub(crate) code: &'static str,
    /// PostgreSQL's name for it.
    pub(crate) name: &'static str,
    pub(crate) meaning: Meaning,
    pub(crate) session: Session,
    pub(crate) again: Again,
}

impl SqlState {
    /// Returns the row of a SQLSTATE, else that of its class. `None` means refused, with the session kept.
    pub(crate) fn of(code: &str) -> Option<&'static Self> {
        let row = |key: &str| TABLE.iter().find(|row| row.code == key);
        row(code).or_else(|| row(code.get(..2)?))
    }
}

const fn row(code: &'static str, name: &'static str, meaning: Meaning, session: Session, again: Again) -> SqlState {
    SqlState { code, name, meaning, session, again }
}

/// A broken connection.
const fn broken(code: &'static str, name: &'static str) -> SqlState {
    row(code, name, Meaning::Connection, Session::Closed, Again::No)
}

/// A session in which no statement of ours can succeed. Another session can.
const fn spent(code: &'static str, name: &'static str) -> SqlState {
    row(code, name, Meaning::Transient, Session::Closed, Again::NewSession)
}

/// A conflict with another transaction.
const fn conflict(code: &'static str, name: &'static str) -> SqlState {
    row(code, name, Meaning::Transient, Session::Kept, Again::SameSession)
}

const fn transient(code: &'static str, name: &'static str, session: Session) -> SqlState {
    row(code, name, Meaning::Transient, session, Again::No)
}

const fn denied(code: &'static str, name: &'static str) -> SqlState {
    row(code, name, Meaning::Denied, Session::Closed, Again::No)
}

const fn refused(code: &'static str, name: &'static str, session: Session) -> SqlState {
    row(code, name, Meaning::Refused, session, Again::No)
}

/// Every SQLSTATE of the classes that say something about the session or the server. Other classes are about the
/// statement: refused, with the session kept.
pub(crate) const TABLE: &[SqlState] = &[
    // A pooler, or the driver's own server side. PgBouncer says 08P01 for much, also after a statement was sent.
    broken("08", "connection exceptions"),
    broken("08000", "connection_exception"),
    broken("08003", "connection_does_not_exist"),
    broken("08006", "connection_failure"),
    broken("08001", "sqlclient_unable_to_establish_sqlconnection"),
    broken("08004", "sqlserver_rejected_establishment_of_sqlconnection"),
    broken("08007", "transaction_resolution_unknown"),
    broken("08P01", "protocol_violation"),
    // The session is in another state than its user believes: read-only after a failover, or left in a transaction.
    spent("25", "invalid transaction states"),
    spent("25000", "invalid_transaction_state"),
    spent("25001", "active_sql_transaction"),
    spent("25002", "branch_transaction_already_active"),
    spent("25008", "held_cursor_requires_same_isolation_level"),
    spent("25003", "inappropriate_access_mode_for_branch_transaction"),
    spent("25004", "inappropriate_isolation_level_for_branch_transaction"),
    spent("25005", "no_active_sql_transaction_for_branch_transaction"),
    spent("25006", "read_only_sql_transaction"),
    spent("25007", "schema_and_data_statement_mixing_not_supported"),
    spent("25P01", "no_active_sql_transaction"),
    spent("25P02", "in_failed_sql_transaction"),
    spent("25P03", "idle_in_transaction_session_timeout"),
    // A second try would take as long.
    transient("25P04", "transaction_timeout", Session::Closed),
    denied("28", "invalid authorizations"),
    denied("28000", "invalid_authorization_specification"),
    denied("28P01", "invalid_password"),
    denied("3D000", "invalid_catalog_name"),
    transient("40", "rolled back", Session::Kept),
    transient("40000", "transaction_rollback", Session::Kept),
    refused("40002", "transaction_integrity_constraint_violation", Session::Kept),
    conflict("40001", "serialization_failure"),
    broken("40003", "statement_completion_unknown"),
    conflict("40P01", "deadlock_detected"),
    transient("53", "insufficient resources", Session::Kept),
    transient("53000", "insufficient_resources", Session::Kept),
    transient("53100", "disk_full", Session::Kept),
    // Closing returns the backend's memory.
    transient("53200", "out_of_memory", Session::Closed),
    transient("53300", "too_many_connections", Session::Closed),
    transient("53400", "configuration_limit_exceeded", Session::Kept),
    refused("55", "objects not in a prerequisite state", Session::Kept),
    refused("55000", "object_not_in_prerequisite_state", Session::Kept),
    transient("55006", "object_in_use", Session::Kept),
    refused("55P02", "cant_change_runtime_param", Session::Kept),
    transient("55P03", "lock_not_available", Session::Kept),
    refused("55P04", "unsafe_new_enum_value_usage", Session::Kept),
    broken("57", "operator interventions"),
    transient("57000", "operator_intervention", Session::Kept),
    transient("57014", "query_canceled", Session::Kept),
    // The server ends the connection: the statement may have been carried out before.
    broken("57P01", "admin_shutdown"),
    broken("57P02", "crash_shutdown"),
    transient("57P03", "cannot_connect_now", Session::Closed),
    broken("57P04", "database_dropped"),
    // Only an idle session ends with it, so that no statement was carried out.
    spent("57P05", "idle_session_timeout"),
    // The server's machine: a disk that fails comes back, a file that is missing does not.
    transient("58", "system errors", Session::Closed),
    transient("58000", "system_error", Session::Closed),
    transient("58030", "io_error", Session::Closed),
    refused("58P01", "undefined_file", Session::Closed),
    refused("58P02", "duplicate_file", Session::Closed),
    refused("58P03", "file_name_too_long", Session::Closed),
    // A defect or damage, mostly of one row: the next try finds the same. The session may be damaged too.
    refused("XX", "internal errors", Session::Closed),
    refused("XX000", "internal_error", Session::Closed),
    refused("XX001", "data_corrupted", Session::Closed),
    refused("XX002", "index_corrupted", Session::Closed),
];

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fmt::Write};

    use super::*;

    #[test]
    fn every_sqlstate_of_a_session_or_server_has_one_meaning() {
        let mut table = String::new();
        for SqlState { code, name, meaning, session, again } in TABLE {
            let again = match again {
                Again::No => "",
                Again::SameSession => " again: same session",
                Again::NewSession => " again: new session",
            };
            let (meaning, session) = (format!("{meaning:?}").to_lowercase(), format!("{session:?}").to_lowercase());
            let line = format!("{code:<5} {name:<52} {meaning:<10} {session:<6}{again}");
            writeln!(table, "{}", line.trim_end()).unwrap();
        }
        insta::assert_snapshot!(table.trim_end());
    }

    #[test]
    fn a_sqlstate_has_one_row() {
        let codes: BTreeSet<_> = TABLE.iter().map(|row| row.code).collect();
        assert_eq!(codes.len(), TABLE.len());
        assert!(codes.iter().all(|code| [2, 5].contains(&code.len())), "{codes:?}");
    }

    #[test]
    fn an_unknown_sqlstate_is_read_by_its_class() {
        for (code, expected) in
            [("25P99", Some("25")), ("57P05", Some("57P05")), ("23505", None), ("", None), ("é", None)]
        {
            assert_eq!(SqlState::of(code).map(|row| row.code), expected, "{code}");
        }
    }

    #[test]
    fn only_what_was_not_carried_out_is_tried_again() {
        for row in TABLE.iter().filter(|row| row.again != Again::No) {
            assert_eq!(row.meaning, Meaning::Transient, "{}", row.code);
            assert_eq!(row.session == Session::Closed, row.again == Again::NewSession, "{}", row.code);
        }
        for broken in ["57P01", "57P02", "57P04", "08006", "40003"] {
            assert_eq!(
                SqlState::of(broken).map(|row| (row.meaning, row.again)),
                Some((Meaning::Connection, Again::No))
            );
        }
    }

    #[test]
    fn a_session_is_closed_unless_its_next_statement_can_succeed() {
        let closed = |code: &str| SqlState::of(code).is_some_and(|row| row.session == Session::Closed);
        for spent in ["25006", "25P02", "57P05", "57P01", "08P01", "58030", "XX001", "53300"] {
            assert!(closed(spent), "{spent}");
        }
        for fine in ["40001", "40P01", "55P03", "57014", "53100", "23505", "42501", "22P05"] {
            assert!(!closed(fine), "{fine}");
        }
    }
}
