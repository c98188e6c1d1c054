//! Checks of the database and its notifications.

use assay_db::{ConnectionCause, Database, DatabaseConfig, DbError, Encryption};
use assay_network::ConnectionFault;

use crate::check::check_result::{CheckResult, Verdict};

pub async fn check(config: Option<DatabaseConfig>) -> Vec<CheckResult> {
    let (name, listening) = ("database", "notifications");
    let Some(config) = config else {
        return vec![CheckResult::skipped(name), CheckResult::skipped(listening)];
    };
    let (address, encryption) = (config.address(), config.encryption());
    let database = Database::new(config);
    let schema = match database.check().await {
        Ok(state) if state.pending.is_empty() => {
            let version = state.applied.last().copied().unwrap_or_default();
            let connected = format!("connected, schema version {version}");
            protected(check_server(&database, connected).await, encryption)
        }
        Ok(state) => {
            let detail = format!("connected, but migrations {:?} are missing", state.pending);
            CheckResult::failed(name, detail, "run `assay migrate`")
        }
        Err(error) => {
            let unchecked = CheckResult {
                detail: "not checked: no connection to the database".to_owned(),
                ..CheckResult::skipped(listening)
            };
            let check = CheckResult::failed(name, format!("{address}: {error}"), fix_of(&error));
            return vec![check, unchecked];
        }
    };
    let notifications = match database.hears_itself().await {
        Ok(true) => CheckResult::ok(listening, "LISTEN receives what NOTIFY sends"),
        Ok(false) => CheckResult::warning(
            listening,
            "LISTEN receives nothing, as behind a pooler in transaction mode; workers find jobs by polling",
            "set DATABASE_DIRECT_URL to an address past the pooler, or accept the delay of WORKER_POLL_MS",
        ),
        Err(error) => CheckResult::failed(listening, error.to_string(), fix_of(&error)),
    };
    vec![schema, notifications]
}

/// Checks that the server accepts writes, and that no row is hidden.
async fn check_server(database: &Database, connected: String) -> CheckResult {
    let name = "database";
    match database.is_read_only().await {
        Ok(false) => check_visibility(database, connected).await,
        Ok(true) => CheckResult::failed(
            name,
            format!("{connected}, but this is a read-only server, such as a standby"),
            "point DATABASE_URL to the primary",
        ),
        Err(error) => CheckResult::failed(name, error.to_string(), fix_of(&error)),
    }
}

/// Warns of connections that others can read, where nothing worse is known.
fn protected(check: CheckResult, encryption: Encryption) -> CheckResult {
    if check.verdict != Verdict::Ok {
        return check;
    }
    let (what, fix) = match encryption {
        Encryption::Local | Encryption::Verified => return check,
        Encryption::Optional => ("may be unencrypted", "add sslmode=verify-full to DATABASE_URL"),
        Encryption::Unverified => (
            "is encrypted, but the server is not verified",
            "add sslmode=verify-full to DATABASE_URL, with sslrootcert=FILE or sslrootcert=system",
        ),
    };
    CheckResult::warning(check.name, format!("{}; the connection {what}", check.detail), fix)
}

/// Checks that row security hides nothing: no statement fails for it, and jobs wait.
async fn check_visibility(database: &Database, connected: String) -> CheckResult {
    let name = "database";
    match database.tables_with_hidden_rows().await {
        Ok(tables) if tables.is_empty() => CheckResult::ok(name, connected),
        Ok(tables) => CheckResult::warning(
            name,
            format!("{connected}, but row security hides rows of {}", tables.join(", ")),
            "give the user of DATABASE_URL a policy `using (true)` on each of these tables, or BYPASSRLS",
        ),
        Err(error) => CheckResult::failed(name, error.to_string(), fix_of(&error)),
    }
}

fn fix_of(error: &DbError) -> &'static str {
    match error {
        DbError::Denied(state) | DbError::Refused(state) => match state.as_str() {
            "28P01" | "28000" => "correct the user and password in DATABASE_URL, or pg_hba.conf",
            "3D000" => "create the database, or correct its name in DATABASE_URL",
            "42501" => "grant the user of DATABASE_URL rights on Assay's tables",
            _ => "see the SQLSTATE in appendix A of the PostgreSQL manual",
        },
        DbError::Transient(_) => "try again in a moment: the server is starting, stopping or full",
        DbError::OutOfFiles => "raise the limit of open files (ulimit -n)",
        DbError::Connection(ConnectionCause::Fault(ConnectionFault::Certificate(_))) => {
            "name the file of the server's authority with sslrootcert=FILE in DATABASE_URL, or use a certificate that the \
             system trusts"
        }
        DbError::NoLogin(_) => "correct DATABASE_URL_FILE or DATABASE_PASSWORD_COMMAND",
        DbError::Connection(_) | DbError::Timeout(_) => {
            "start the server, or correct the host and port in DATABASE_URL"
        }
        DbError::Row(_) | DbError::Migration(_) | DbError::Unadoptable(_) => "restore the schema: run `assay migrate`",
    }
}
