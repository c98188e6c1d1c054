//! Carrying a plan out: each step when its time has come, and undone when it has lasted.

use std::time::Duration;

use assay_tests::{DEADLINE, Direction};
use time::OffsetDateTime;
use tokio::time::Instant;

use crate::plan::{Action, Slot, Step};
use crate::stage::Stage;

/// How often the queue is looked at while something of it is waited for.
const LOOK_EVERY: Duration = Duration::from_millis(20);

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
            stage.fleet.start(slot, stage).await;
        }
        Action::Stop(slot) => {
            if let Some(stopped) = stop(slot, stage).await? {
                lasts().await;
                stopped.go_on(stage).await?;
            }
        }
        Action::Restart(slot, drain) => stage.fleet.restart(slot, drain, stage).await?,
        Action::KillOld(slot) => {
            stage.old.kill(slot).await?;
            lasts().await;
            stage.old.start(slot, stage).await?;
        }
        Action::Database(fault) => fault.strike(stage, step.lasts).await?,
        Action::Bucket(fault) => fault.strike(stage, step.lasts).await,
        Action::Model(fault) => fault.strike(stage, step.lasts).await,
    }
    Ok(())
}

/// A worker that is stopped, and the claims that it held then.
struct Stopped {
    slot: Slot,
    from: OffsetDateTime,
    held: Vec<(uuid::Uuid, i64)>,
}

/// Stops a worker as soon as it holds a job. What it has sent to the database shortly before is still on its way, and arrives when it goes
/// on: a worker that has slept drops its claims by itself, and only statements that are late meet the fence.
async fn stop(slot: Slot, stage: &Stage) -> anyhow::Result<Option<Stopped>> {
    let deadline = Instant::now() + stage.times.lease;
    while held(slot, stage).await?.is_empty() && Instant::now() < deadline {
        tokio::time::sleep(LOOK_EVERY).await;
    }
    stage.proxies[slot - 1].stall(Direction::ToServer);
    // The time in which it sends what will be late, not a wait for anything; less than a beat, so that it does not notice.
    tokio::time::sleep(stage.times.beat.mul_f64(0.8)).await;
    let Some(from) = stage.fleet.stop(slot).await else {
        stage.proxies[slot - 1].forward();
        return Ok(None);
    };
    Ok(Some(Stopped { slot, from, held: held(slot, stage).await? }))
}

impl Stopped {
    /// Lets it go on, once none of its claims is the last one of its job.
    async fn go_on(self, stage: &Stage) -> anyhow::Result<()> {
        let deadline = Instant::now() + DEADLINE;
        while !self.claims_are_over(stage).await? && Instant::now() < deadline {
            tokio::time::sleep(LOOK_EVERY).await;
        }
        stage.proxies[self.slot - 1].forward();
        stage.fleet.go_on(self.slot, self.from).await;
        Ok(())
    }

    async fn claims_are_over(&self, stage: &Stage) -> anyhow::Result<bool> {
        let (jobs, tokens): (Vec<_>, Vec<_>) = self.held.iter().copied().unzip();
        let sql = "select not exists (select from unnest($1::uuid[], $2::bigint[]) as held (job, token)
                     join processing_jobs j on j.id = held.job
                    where j.lease_token = held.token and j.status in ('queued', 'processing'))";
        let ask = async |pool: &sqlx::PgPool| sqlx::query_scalar(sql).bind(&jobs).bind(&tokens).fetch_one(pool).await;
        stage.patiently("look at the claims of a stopped worker", ask).await
    }
}

async fn held(slot: Slot, stage: &Stage) -> anyhow::Result<Vec<(uuid::Uuid, i64)>> {
    let sql = "select id, lease_token from processing_jobs where status = 'processing' and locked_by like $1";
    let holder = format!("w{slot}-%");
    let ask = async |pool: &sqlx::PgPool| sqlx::query_as(sql).bind(&holder).fetch_all(pool).await;
    stage.patiently("look at the claims of a worker", ask).await
}
