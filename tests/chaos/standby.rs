//! A streaming standby of the stage's database, and what its log says about statements that write.

use std::{
    fs::File,
    io::{Read, Seek, SeekFrom},
};

use anyhow::Context;
use assay_dev::Postgres;
use parking_lot::Mutex;
use sqlx::{PgPool, postgres::PgPoolOptions};
use time::OffsetDateTime;

use crate::services::DATABASE;

/// The settings under which [`refusals`] reads a server's log: time, process, SQLSTATE and user.
pub const LOG_LINE: (&str, &str) = ("log_line_prefix", "%m [%p] %e %u ");

/// Sessions of workers, whose roles are their own, each with the beginning of its last statement.
const SESSIONS: &str = "
    select format('%s, begun at %s, %s since %s: %s', usename, backend_start, state, state_change,
                  left(regexp_replace(query, '\\s+', ' ', 'g'), 100))
      from pg_stat_activity where usename ~ '^w[0-9]+$'";

/// A standby that streams from the stage's database.
#[derive(Debug)]
pub struct Standby {
    postgres: Postgres,
    pool: PgPool,
    heals: Mutex<Vec<Heal>>,
}

/// The end of a failover: from then on new connections reach the primary.
#[derive(Debug, Clone, PartialEq)]
pub struct Heal {
    pub at: OffsetDateTime,
    /// When no worker had a session on the standby any more; none if that did not come about.
    pub left: Option<OffsetDateTime>,
    /// The sessions that stayed.
    pub stayed: Vec<String>,
    /// When a worker ended a job again.
    pub flowed: Option<OffsetDateTime>,
}

/// A statement that the standby refused because it writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    pub user: String,
    pub statement: String,
}

impl Standby {
    /// Starts a standby of a primary that has the database.
    ///
    /// # Errors
    /// If it does not start, or accepts no connection.
    pub async fn of(primary: &Postgres) -> anyhow::Result<Self> {
        let postgres = primary.start_standby().await.context("start a standby")?;
        let pool = PgPoolOptions::new().max_connections(1).connect(&postgres.url(DATABASE)).await?;
        Ok(Self { postgres, pool, heals: Mutex::default() })
    }

    /// Returns the server.
    pub fn postgres(&self) -> &Postgres {
        &self.postgres
    }

    /// Returns the sessions that workers have on it.
    ///
    /// # Errors
    /// The server's.
    pub async fn sessions(&self) -> anyhow::Result<Vec<String>> {
        sqlx::query_scalar(SESSIONS).fetch_all(&self.pool).await.context("look for sessions on the standby")
    }

    /// Returns how long its log is.
    ///
    /// # Errors
    /// If its log cannot be read.
    pub fn log_length(&self) -> anyhow::Result<u64> {
        Ok(std::fs::metadata(self.postgres.log()).context("look at the standby's log")?.len())
    }

    /// Returns every refusal since its log was this long, the first one first.
    ///
    /// # Errors
    /// If its log cannot be read.
    pub fn refusals(&self, since: u64) -> anyhow::Result<Vec<Refusal>> {
        let (mut log, mut bytes) = (File::open(self.postgres.log()).context("open the standby's log")?, Vec::new());
        log.seek(SeekFrom::Start(since))?;
        log.read_to_end(&mut bytes).context("read the standby's log")?;
        Ok(refusals(&String::from_utf8_lossy(&bytes)))
    }

    /// Writes down how a failover has ended.
    pub fn healed(&self, heal: Heal) {
        self.heals.lock().push(heal);
    }

    /// Returns the ends of all failovers so far.
    pub fn heals(&self) -> Vec<Heal> {
        self.heals.lock().clone()
    }
}

/// Returns the refusals in a log with the prefix of [`LOG_LINE`].
fn refusals(log: &str) -> Vec<Refusal> {
    let (mut refusals, mut goes_on) = (Vec::<Refusal>::new(), false);
    for line in log.lines() {
        if let Some(rest) = line.strip_prefix('\t') {
            if let Some(refusal) = refusals.last_mut().filter(|_| goes_on) {
                refusal.statement.push('\n');
                refusal.statement.push_str(rest);
            }
            continue;
        }
        let begun = line.split_once(" STATEMENT:  ").and_then(|(prefix, statement)| {
            let (_, user) = prefix.split_once("] 25006 ")?;
            Some(Refusal { user: user.trim().to_owned(), statement: statement.to_owned() })
        });
        goes_on = begun.is_some();
        refusals.extend(begun);
    }
    refusals
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_statement_is_found_whole_and_with_its_user() {
        let log = "2026-03-04 09:30:00.000 UTC [7] 25006 w2 ERROR:  cannot execute UPDATE in a read-only transaction\n\
                   2026-03-04 09:30:00.000 UTC [7] 25006 w2 STATEMENT:  with mine as (\n\
                   \t    select 1\n\
                   2026-03-04 09:30:00.001 UTC [8] 42601 w1 ERROR:  syntax error\n\
                   2026-03-04 09:30:00.001 UTC [8] 42601 w1 STATEMENT:  selec\n\
                   \tt\n\
                   2026-03-04 09:30:00.002 UTC [9] 25006 w1 STATEMENT:  LISTEN \"assay_jobs\"\n";
        let refusal = |user: &str, statement: &str| Refusal { user: user.to_owned(), statement: statement.to_owned() };
        let expected = [refusal("w2", "with mine as (\n    select 1"), refusal("w1", "LISTEN \"assay_jobs\"")];
        assert_eq!(refusals(log), expected);
    }
}
