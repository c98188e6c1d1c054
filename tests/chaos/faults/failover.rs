//! A failover that went halfway: old connections end, and new ones reach a standby that accepts no writes.

use std::{collections::BTreeSet, fmt, time::Duration};

use anyhow::Context;
use assay_tests::{DEADLINE, Delay, Fate, Gate, Proxy};
use sqlx::PgPool;
use time::OffsetDateTime;
use tokio::time::{Instant, timeout};

use crate::{
    faults::database::{CLAIM, JOURNAL, SETTLE},
    stage::Stage,
    standby::{Heal, Refusal, Standby},
};

/// Reading back what became of a settlement whose answer was lost.
const READ_BACK: &str = "select status, lease_token from processing_jobs";
const RENEW: &str = "set heartbeat_at = clock_timestamp()";
const LISTEN: &str = "LISTEN";

/// Between two looks at the standby.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// A failover, by how long it takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failover {
    /// Claims outlast it.
    WithinALease,
    /// Every claim is over when it ends.
    BeyondALease,
}

impl fmt::Display for Failover {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let length = match self {
            Self::WithinALease => "within a lease",
            Self::BeyondALease => "beyond a lease",
        };
        write!(f, "connections led to a read-only standby, {length}")
    }
}

/// What meets the read-only server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Writer {
    Claim,
    Renewal,
    Answer,
    Settlement,
    Listener,
    Operator,
}

impl Writer {
    const ALL: [Self; 6] = [Self::Claim, Self::Renewal, Self::Answer, Self::Settlement, Self::Listener, Self::Operator];
    /// Returns who was refused; none where it is another one.
    fn of(refusal: &Refusal) -> Option<Self> {
        let statement = &refusal.statement;
        let has = |fragment: &str| statement.contains(fragment);
        if !refusal.user.starts_with('w') {
            Some(Self::Operator)
        } else if has(SETTLE) || has(READ_BACK) {
            Some(Self::Settlement)
        } else if has(JOURNAL) {
            Some(Self::Answer)
        } else if has(CLAIM) {
            Some(Self::Claim)
        } else if has(RENEW) {
            Some(Self::Renewal)
        } else {
            has(LISTEN).then_some(Self::Listener)
        }
    }
}

impl fmt::Display for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let writer = match self {
            Self::Claim => "a claim",
            Self::Renewal => "a renewal",
            Self::Answer => "an answer",
            Self::Settlement => "a settlement",
            Self::Listener => "LISTEN",
            Self::Operator => "an operator's command",
        };
        write!(f, "25006 for {writer}")
    }
}

impl Failover {
    /// Returns those who come again and again while it lasts. Others write only for what was in hand when it began, or seldom.
    fn steady(self) -> &'static [Writer] {
        match self {
            Self::WithinALease => &[Writer::Claim, Writer::Listener],
            Self::BeyondALease => &[Writer::Claim, Writer::Listener, Writer::Operator],
        }
    }

    /// Begins it, lets it last, ends it, and waits until no worker is left on the standby and jobs end again.
    ///
    /// # Errors
    /// If a server does not answer.
    pub async fn strike(self, stage: &Stage, lasts: Duration) -> anyhow::Result<()> {
        let _turn = stage.met.turn().await;
        stage.met.count(&self, 0);
        Writer::ALL.iter().for_each(|writer| stage.met.count(writer, 0));
        let standby = stage.standby.as_ref().context("a standby")?;
        let before = standby.log_length()?;
        in_the_middle_of_writes(stage).await;
        lead(stage, &standby.postgres().admin_url());
        stage.services.proxies.iter().chain(&stage.services.operators).for_each(Proxy::cut_all);
        // Statements that are kept back have ended with their connections.
        stage.services.proxies.iter().for_each(Proxy::forward);
        tokio::time::sleep(lasts).await;
        let refused = self.all_have_met(stage, standby, before).await?;
        stage.met.count(&self, refused.iter().filter(|refusal| Writer::of(refusal).is_some()).count());
        for writer in refused.iter().filter_map(Writer::of) {
            stage.met.count(&writer, 1);
        }
        let at = clock(stage).await?;
        lead(stage, &stage.services.database_url());
        let (left, flowed) = tokio::try_join!(all_have_left(stage, standby), jobs_flow(stage, at))?;
        let stayed = standby.sessions().await?;
        standby.healed(Heal { at, left, stayed, flowed });
        Ok(())
    }

    /// Waits until every worker and each steady writer was refused; returns the refusals of this failover. After a lease it
    /// is left to the verdict that one was not.
    async fn all_have_met(self, stage: &Stage, standby: &Standby, before: u64) -> anyhow::Result<Vec<Refusal>> {
        let deadline = Instant::now() + stage.services.times.lease;
        loop {
            let refused = standby.refusals(before)?;
            let users: BTreeSet<_> = refused.iter().map(|refusal| refusal.user.as_str()).collect();
            let workers = stage.fleet.slots().all(|slot| users.contains(format!("w{slot}").as_str()));
            let met: Vec<_> = refused.iter().filter_map(Writer::of).collect();
            let writers = self.steady().iter().all(|writer| met.contains(writer));
            if (workers && writers) || Instant::now() > deadline {
                return Ok(refused);
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}

/// Keeps settlements and answers back until there is one of each, so that the failover comes between them and the server.
async fn in_the_middle_of_writes(stage: &Stage) {
    let patience = stage.services.times.database;
    let gates = [SETTLE, JOURNAL].map(|fragment| {
        let gate = Gate::new();
        for proxy in &stage.services.proxies {
            let gate = gate.clone();
            proxy.delay_statements(fragment, move || {
                gate.release();
                Some(Delay { by: patience, client: Fate::Answered })
            });
        }
        gate
    });
    // Less than a client waits: what is in hand is still wanted when the connections end.
    let both = futures::future::join(gates[0].pass(), gates[1].pass());
    let _ = timeout(patience / 2, both).await;
}

/// Leads new connections of workers and operators to a server.
fn lead(stage: &Stage, url: &str) {
    stage.services.proxies.iter().chain(&stage.services.operators).for_each(|proxy| proxy.redirect(url));
}

/// Waits until no worker has a session on the standby; returns since when, or nothing at the deadline.
async fn all_have_left(stage: &Stage, standby: &Standby) -> anyhow::Result<Option<OffsetDateTime>> {
    let deadline = Instant::now() + DEADLINE;
    while !standby.sessions().await?.is_empty() {
        if Instant::now() > deadline {
            return Ok(None);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    clock(stage).await.map(Some)
}

/// Waits until a worker has ended a job after that time; returns when, or nothing at the deadline.
async fn jobs_flow(stage: &Stage, after: OffsetDateTime) -> anyhow::Result<Option<OffsetDateTime>> {
    let sql = "select min(at) from chaos.jobs
                where at >= $1 and actor ~ '^w[0-9]' and holder_from is not null and status_to in ('succeeded', 'failed')";
    let deadline = Instant::now() + DEADLINE;
    loop {
        let ask = async |pool: &PgPool| sqlx::query_scalar(sql).bind(after).fetch_one(pool).await;
        let ended: Option<OffsetDateTime> = stage.services.patiently("look for the end of a job", ask).await?;
        if ended.is_some() || Instant::now() > deadline {
            return Ok(ended);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

async fn clock(stage: &Stage) -> anyhow::Result<OffsetDateTime> {
    let ask = async |pool: &PgPool| sqlx::query_scalar("select clock_timestamp()").fetch_one(pool).await;
    stage.services.patiently("the time", ask).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_statements_that_are_told_apart_are_the_products_own() {
        assert!(include_str!("../../../host/db/src/queue/finalize.rs").contains(READ_BACK));
        assert!(include_str!("../../../host/db/src/queue/renew.rs").contains(RENEW));
    }

    #[test]
    fn who_was_refused_is_seen_by_role_and_statement() {
        let of = |user: &str, statement: &str| {
            Writer::of(&Refusal { user: user.to_owned(), statement: format!("with it as ({statement})") })
        };
        assert_eq!(of("w1", CLAIM), Some(Writer::Claim));
        assert_eq!(of("w1", READ_BACK), Some(Writer::Settlement));
        assert_eq!(of("assay", CLAIM), Some(Writer::Operator));
        assert_eq!(of("w1", "update workers"), None);
    }
}
