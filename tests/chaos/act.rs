//! Carrying a plan out: each step when its time has come, and undone when it has lasted.

use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use anyhow::ensure;
use assay_tests::{DEADLINE, Delay, Fate};
use time::OffsetDateTime;
use tokio::time::Instant;

use crate::{
    faults::database::{JOURNAL, SETTLE},
    scenarios::upgrade,
    slot::Slot,
    stage::Stage,
    step::{Action, Drain, Step},
    times::Times,
};

/// How often the queue is looked at while something of it is waited for.
pub const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Carries all steps out, side by side where they overlap, and returns when the last one is undone.
///
/// # Errors
/// The first that could not be carried out.
pub async fn carry_out(plan: &[Step], stage: &Stage) -> anyhow::Result<()> {
    let began = Instant::now();
    let steps = plan.iter().map(async |step| {
        tokio::time::sleep_until(began + step.at).await;
        one(step, stage).await
    });
    futures::future::try_join_all(steps).await.map(drop)
}

async fn one(step: &Step, stage: &Stage) -> anyhow::Result<()> {
    let lasts = || tokio::time::sleep(step.lasts);
    match step.action {
        Action::Kill(slot) => {
            stage.fleet.kill(slot).await?;
            lasts().await;
            stage.fleet.start(slot, &stage.services).await;
        }
        Action::Stop(slot) => {
            // One after the other, so that a worker is left to take over.
            let _turn = stage.met.turn().await;
            if let Some(stopped) = stop(slot, stage).await? {
                lasts().await;
                stopped.go_on(stage).await?;
            }
        }
        Action::Restart(slot, drain) => {
            // With nothing in hand, an end without time would show nothing.
            if drain == Drain::Cut {
                wait_until_it_holds_a_job(slot, stage).await?;
            }
            stage.fleet.restart(slot, drain, &stage.services).await?;
        }
        Action::Roll(slot, drain, revision) => upgrade::roll(slot, drain, revision, stage).await?,
        Action::KillOld(slot) => {
            stage.old.kill(slot).await?;
            lasts().await;
            stage.old.start(slot, &stage.services).await?;
        }
        Action::Database(fault) => fault.strike(stage, step.lasts).await?,
        Action::Failover(fault) => fault.strike(stage, step.lasts).await?,
        Action::Bucket(fault) => fault.strike(stage, step.lasts).await,
        Action::Model(fault) => fault.strike(stage, step.lasts).await,
        // The load itself hands them in.
        Action::Poison(_) => {}
    }
    Ok(())
}

/// A worker that is stopped, and the claims that it held then.
struct Stopped {
    slot: Slot,
    from: OffsetDateTime,
    held: Vec<(uuid::Uuid, i64)>,
}

/// Stops a worker as soon as it holds a job. What it says to the database shortly before is late: a worker that has slept
/// drops its claims by itself, and only statements that were on their way meet the fence.
async fn stop(slot: Slot, stage: &Stage) -> anyhow::Result<Option<Stopped>> {
    wait_until_it_holds_a_job(slot, stage).await?;
    delay_last_words(slot, stage);
    // The time in which it says what will be late, not a wait for anything; less than a beat, so that it does not notice.
    tokio::time::sleep(stage.services.times.beat.mul_f64(0.8)).await;
    let stopped = stage.fleet.stop(slot).await;
    let Some(from) = stopped else {
        stage.services.proxies[slot - 1].forward();
        return Ok(None);
    };
    Ok(Some(Stopped { slot, from, held: held(slot, stage).await? }))
}

/// Lets statements that write under a claim arrive when the claim is over: from the moment at which the reaper may have taken it back, and
/// for as long as the next holder has the job in hand. Every second answer passes, or nothing would be left to settle.
fn delay_last_words(slot: Slot, stage: &Stage) {
    let Times { lease, beat, reap, answer, .. } = stage.services.times;
    for (fragment, one_of) in [(SETTLE, 1), (JOURNAL, 2)] {
        let (said, met) = (AtomicU32::new(0), stage.met.clone());
        stage.services.proxies[slot - 1].delay_statements(fragment, move || {
            let number = said.fetch_add(1, Ordering::Relaxed);
            // Spread evenly, whatever their number.
            let part = (f64::from(number) * 0.618).fract();
            let by = lease - beat + (beat + reap + answer).mul_f64(part);
            let delayed = number.is_multiple_of(one_of);
            met.count(&"a write that is kept back until its claim may be over", usize::from(delayed));
            delayed.then_some(Delay { by, client: Fate::Answered })
        });
    }
}

impl Stopped {
    /// Lets it go on, once none of its claims is the last one of its job.
    async fn go_on(self, stage: &Stage) -> anyhow::Result<()> {
        let deadline = Instant::now() + DEADLINE;
        while !self.claims_are_over(stage).await? {
            ensure!(Instant::now() < deadline, "no worker took over what w{} held when it was stopped", self.slot);
            tokio::time::sleep(LOOK_EVERY).await;
        }
        stage.services.proxies[self.slot - 1].forward();
        stage.fleet.go_on(self.slot, self.from, self.held.len()).await;
        Ok(())
    }

    async fn claims_are_over(&self, stage: &Stage) -> anyhow::Result<bool> {
        let (jobs, tokens): (Vec<_>, Vec<_>) = self.held.iter().copied().unzip();
        let sql = "select not exists (select from unnest($1::uuid[], $2::bigint[]) as held (job, token)
                     join processing_jobs j on j.id = held.job
                    where j.lease_token = held.token and j.status in ('queued', 'processing'))";
        let ask = async |pool: &sqlx::PgPool| sqlx::query_scalar(sql).bind(&jobs).bind(&tokens).fetch_one(pool).await;
        stage.services.patiently("look at the claims of a stopped worker", ask).await
    }
}

/// Waits for a lease at most.
async fn wait_until_it_holds_a_job(slot: Slot, stage: &Stage) -> anyhow::Result<()> {
    let deadline = Instant::now() + stage.services.times.lease;
    while held(slot, stage).await?.is_empty() && Instant::now() < deadline {
        tokio::time::sleep(LOOK_EVERY).await;
    }
    Ok(())
}

async fn held(slot: Slot, stage: &Stage) -> anyhow::Result<Vec<(uuid::Uuid, i64)>> {
    let sql = "select id, lease_token from processing_jobs where status = 'processing' and locked_by like $1";
    let holder = format!("w{slot}-%");
    let ask = async |pool: &sqlx::PgPool| sqlx::query_as(sql).bind(&holder).fetch_all(pool).await;
    stage.services.patiently("look at the claims of a worker", ask).await
}
