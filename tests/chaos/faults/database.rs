//! Faults of the database, and of the way to it.

use std::{fmt, time::Duration};

use assay_tests::{DEADLINE, Delay, Fate, Proxy};
use parking_lot::Mutex;
use rand::Rng;
use tokio::time::Instant;

use crate::{faults::deck::Deck, slot::Slot, stage::Stage};

/// Settling a claim: the statement commits by itself, so keeping it back is keeping back its COMMIT.
pub const SETTLE: &str = "then f.storage_key_raw_llm_output else";
/// Writing an answer into the journal.
pub const JOURNAL: &str = "insert into job_answers";
pub const CLAIM: &str = "set status = 'processing', attempts = case";

/// Between two rounds of terminated backends.
const TERMINATE_EVERY: Duration = Duration::from_secs(1);
/// Between two looks at whether half-open sockets were noticed.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// A fault of the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DatabaseFault {
    /// The server ends as in a crash and starts again.
    Restart,
    /// All backends of the workers are terminated, once a second.
    Terminate,
    /// Connections end, and new ones are refused.
    Refuse(Reach),
    /// Connections fall silent while new ones work; in the end what they swallowed arrives.
    HalfOpen(Reach),
    /// Statements that commit are carried out after their client has lost patience. The number is a seed.
    Late(u64),
    /// Statements that commit are carried out, and the connection ends instead of an answer. The number is a seed.
    AnswerLost(u64),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    All,
    One(Slot),
}

impl fmt::Display for Reach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("all workers"),
            Self::One(slot) => write!(f, "w{slot}"),
        }
    }
}

impl fmt::Display for DatabaseFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Restart => f.write_str("immediate restart"),
            Self::Terminate => f.write_str("pg_terminate_backend once a second"),
            Self::Refuse(reach) => write!(f, "connections of {reach} refused"),
            Self::HalfOpen(reach) => write!(f, "half-open sockets of {reach}"),
            Self::Late(_) => f.write_str("COMMIT after the client's patience"),
            Self::AnswerLost(_) => f.write_str("COMMIT whose answer is lost"),
        }
    }
}

impl DatabaseFault {
    /// Begins it, lets it last, and ends it.
    ///
    /// # Errors
    /// If the server does not come back.
    pub async fn strike(self, stage: &Stage, lasts: Duration) -> anyhow::Result<()> {
        let _turn = stage.met.turn().await;
        if !matches!(self, Self::Late(_) | Self::AnswerLost(_)) {
            stage.met.count(&self, 0);
        }
        let over = tokio::time::sleep(lasts);
        match self {
            Self::Restart => {
                stage.services.postgres.restart_immediate().await?;
                stage.met.count(&self, 1);
                over.await;
            }
            Self::Terminate => self.terminate(stage, Instant::now() + lasts).await?,
            Self::Refuse(reach) => {
                let proxies = reach.proxies(stage);
                let before = accepted(proxies);
                for proxy in proxies {
                    proxy.refuse();
                    proxy.cut_all();
                }
                over.await;
                proxies.iter().for_each(Proxy::forward);
                stage.met.count(&self, accepted(proxies) - before);
            }
            Self::HalfOpen(reach) => {
                let proxies = reach.proxies(stage);
                let before = accepted(proxies);
                proxies.iter().for_each(Proxy::half_open);
                over.await;
                // A client that has sent something notices at its own timeout, and connects again.
                let deadline = Instant::now() + DEADLINE;
                while accepted(proxies) == before && Instant::now() < deadline {
                    tokio::time::sleep(LOOK_EVERY).await;
                }
                proxies.iter().for_each(Proxy::forward);
                stage.met.count(&self, accepted(proxies) - before);
            }
            Self::Late(seed) => {
                // The longest is one and a half times what a client waits, so that some come long after it has looked again.
                let patience = stage.services.times.database;
                let late = move |deck: &mut Deck<Card>| Delay {
                    by: patience.mul_f64(deck.dice().random_range(1.05..1.5)),
                    client: Fate::Answered,
                };
                self.delay(stage, seed, late, over).await;
            }
            Self::AnswerLost(seed) => {
                let lost = |deck: &mut Deck<Card>| Delay {
                    by: Duration::from_millis(deck.dice().random_range(0..100)),
                    client: if deck.dice().random() { Fate::Cut } else { Fate::Unanswered },
                };
                self.delay(stage, seed, lost, over).await;
            }
        }
        Ok(())
    }

    /// Terminates every backend of the workers, whose roles are their own, until the time is over.
    async fn terminate(self, stage: &Stage, until: Instant) -> anyhow::Result<()> {
        let sql = "select count(pg_terminate_backend(pid)) from pg_stat_activity where usename ~ '^w[0-9]+$'";
        loop {
            let ask = async |pool: &sqlx::PgPool| sqlx::query_scalar::<_, i64>(sql).fetch_one(pool).await;
            let terminated = stage.services.patiently("terminate the workers' backends", ask).await?;
            stage.met.count(&self, usize::try_from(terminated)?);
            if Instant::now() + TERMINATE_EVERY > until {
                tokio::time::sleep_until(until).await;
                return Ok(());
            }
            tokio::time::sleep(TERMINATE_EVERY).await;
        }
    }

    /// Delays half of the settlements and journal entries and a quarter of the claims: some must come through, or nothing would be left
    /// to settle.
    async fn delay(
        self,
        stage: &Stage,
        seed: u64,
        draw: impl Fn(&mut Deck<Card>) -> Delay + Copy + Send + Sync + 'static,
        over: tokio::time::Sleep,
    ) {
        let shares = [(SETTLE, 2, "a settlement"), (JOURNAL, 2, "an answer"), (CLAIM, 4, "a claim")];
        let name = |of: &str| format!("{self}, of {of}");
        let faults = shares.map(|(.., of)| name(of));
        let mut seed = seed;
        for proxy in &stage.services.proxies {
            for (fragment, one_of, of) in shares {
                let deck = Mutex::new(Deck::new((0..one_of).map(|card| card == 0).collect(), seed));
                seed = seed.wrapping_add(1);
                let (met, fault) = (stage.met.clone(), name(of));
                met.count(&fault, 0);
                proxy.delay_statements(fragment, move || {
                    let mut deck = deck.lock();
                    let delay = deck.deal().filter(|delayed| *delayed).map(|_| draw(&mut deck));
                    delay.inspect(|_| met.count(&fault, 1))
                });
            }
        }
        over.await;
        stage.met.once(&faults).await;
        stage.services.proxies.iter().for_each(Proxy::forward);
    }
}

/// Whether a statement is delayed.
type Card = bool;

impl Reach {
    fn proxies(self, stage: &Stage) -> &[Proxy] {
        match self {
            Self::All => &stage.services.proxies,
            Self::One(slot) => &stage.services.proxies[slot - 1..slot],
        }
    }
}

/// Returns connections that were tried.
fn accepted(proxies: &[Proxy]) -> usize {
    proxies.iter().map(Proxy::accepted).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_statements_that_are_delayed_are_the_workers_own() {
        assert!(include_str!("../../../host/db/sql/finalize.sql").contains(SETTLE));
        assert!(!include_str!("../../../host/db/sql/reap_expired.sql").contains(SETTLE), "the reaper is not delayed");
        assert!(include_str!("../../../host/db/src/journal.rs").contains(JOURNAL));
        assert!(include_str!("../../../host/db/sql/claim.sql").contains(CLAIM));
    }
}
