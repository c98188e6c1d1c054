//! The other program of the scenario `old`: its workers, each a process of its own that can be killed, and its producers.

use std::{collections::BTreeMap, fs::File, path::PathBuf, process::Stdio, time::Duration};

use anyhow::{Context, ensure};
use assay_core::env::Variables;
use assay_objects::{Objects, ObjectsConfig};
use assay_tests::old::{OldJob, OldWorker, SCHEMA};
use rand::{Rng, SeedableRng, rngs::StdRng};
use serde_json::json;
use sqlx::{AssertSqlSafe, Executor, PgPool};
use tokio::{
    process::{Child, Command},
    sync::Mutex,
    time::Instant,
};
use uuid::Uuid;

use crate::{
    services::{Env, Services, audited},
    slot::Slot,
    talk,
    times::Times,
};

/// What this program is called with to be a worker of the other one; no option, so that `--help` is about the run alone.
pub const WORKER: &str = "old-worker";

/// Where its reports lie. They are none of Assay's, so no sweep looks at them.
pub const REPORTS: &str = "reports/";

/// The code with which it fails what it cannot do.
pub const FAILURE: &str = "upstream";

/// How often a worker of its looks for a job.
const POLL: Duration = Duration::from_millis(20);

#[derive(Debug)]
pub struct OldFleet {
    places: Vec<Mutex<Option<Child>>>,
    logs: PathBuf,
    dice: parking_lot::Mutex<StdRng>,
}

impl OldFleet {
    /// Makes empty places for workers that log into a folder and draw their work with `dice`.
    pub fn new(workers: usize, logs: PathBuf, dice: StdRng) -> Self {
        Self { places: (0..workers).map(|_| Mutex::default()).collect(), logs, dice: parking_lot::Mutex::new(dice) }
    }

    /// Returns whether the tables are that program's.
    pub fn is_there(&self) -> bool {
        !self.places.is_empty()
    }

    /// Starts a worker in every place where none is.
    ///
    /// # Errors
    /// If a process does not start.
    pub async fn fill(&self, services: &Services) -> anyhow::Result<()> {
        for slot in 1..=self.places.len() {
            self.start(slot, services).await?;
        }
        Ok(())
    }

    /// Starts a worker where none is, under a name that none had before.
    ///
    /// # Errors
    /// If the process does not start.
    pub async fn start(&self, slot: Slot, services: &Services) -> anyhow::Result<()> {
        let mut place = self.places[slot - 1].lock().await;
        if place.is_none() {
            let mut command = Command::new(std::env::current_exe().context("find this program")?);
            let seed = self.dice.lock().random();
            command
                .arg(WORKER)
                .env_clear()
                .envs(environment(slot, seed, services))
                .stdin(Stdio::null())
                .kill_on_drop(true);
            let path = self.logs.join(format!("old{slot}-{seed}.log"));
            let log = File::create(&path).with_context(|| path.display().to_string())?;
            command.stdout(log.try_clone()?).stderr(log);
            *place = Some(command.spawn().context("start a worker of the other program")?);
        }
        Ok(())
    }

    /// Sends SIGKILL to the worker in this place.
    ///
    /// # Errors
    /// If it cannot be waited for.
    pub async fn kill(&self, slot: Slot) -> anyhow::Result<()> {
        if let Some(mut worker) = self.places[slot - 1].lock().await.take() {
            // It may be gone by itself, which is a fault of the run.
            ensure!(worker.try_wait()?.is_none(), "worker {slot} of the other program has ended by itself");
            worker.kill().await.context("end a worker of the other program")?;
        }
        Ok(())
    }

    /// Ends them all.
    ///
    /// # Errors
    /// As [`Self::kill`].
    pub async fn end_all(&self) -> anyhow::Result<()> {
        for slot in 1..=self.places.len() {
            self.kill(slot).await?;
        }
        Ok(())
    }
}

fn environment(slot: Slot, seed: u64, services: &Services) -> Env {
    let name = format!("old{slot}-{}", Uuid::new_v4().simple());
    let mut env = services.operator();
    env.extend([
        ("DATABASE_URL".to_owned(), audited(&services.database_url(), &format!("old{slot}"), &name)),
        ("OLD_NAME".to_owned(), name),
        ("OLD_SEED".to_owned(), seed.to_string()),
        ("OLD_LEASE_MS".to_owned(), services.times.lease.as_millis().to_string()),
    ]);
    env
}

/// Returns how long the other program waits for a beat of its own, in whole seconds: as its 300 s to Assay's 30, as far as a run has the time. Its
/// beats are a third of that apart, which is longer than Assay's lease.
fn patience(times: &Times) -> u64 {
    times.lease.as_secs() * 4
}

/// Makes its tables, with its patience.
///
/// # Errors
/// The database's.
pub async fn make_tables(pool: &PgPool, times: &Times) -> sqlx::Result<()> {
    pool.execute(SCHEMA).await?;
    let patience = format!("alter table processing_jobs alter lock_ttl_seconds set default {}", patience(times));
    pool.execute(AssertSqlSafe(patience)).await.map(drop)
}

/// One of its workers, until it is killed. It makes reports without a model: what is looked at is whose they are.
///
/// # Errors
/// The database's or the bucket's, where they do not come back.
#[expect(
    clippy::disallowed_methods,
    reason = "this is the process of the other program: its configuration is its environment"
)]
pub async fn work() -> anyhow::Result<()> {
    let env: BTreeMap<_, _> = std::env::vars().collect();
    let text = |name: &str| env.get(name).with_context(|| format!("{name} is missing"));
    let lease = Duration::from_millis(text("OLD_LEASE_MS")?.parse()?);
    let name = text("OLD_NAME")?.clone();
    let mut dice = StdRng::seed_from_u64(text("OLD_SEED")?.parse()?);
    let config = ObjectsConfig::load(&mut Variables::from_map(env.clone()));
    let objects = Objects::new(&config);
    let mut worker = OldWorker::connect(text("DATABASE_URL")?, &name).await?;
    loop {
        match worker.claim().await? {
            Some(job) => run(&mut worker, &job, &name, lease, &mut dice, &objects, &config.bucket).await?,
            None => tokio::time::sleep(POLL).await,
        }
    }
}

async fn run(
    worker: &mut OldWorker,
    job: &OldJob,
    name: &str,
    lease: Duration,
    dice: &mut StdRng,
    objects: &Objects,
    bucket: &str,
) -> anyhow::Result<()> {
    let (length, outcome, pause) =
        (dice.random_range(0.02..0.6), dice.random_range(0..10), dice.random_range(0.0..1.0));
    // One in four takes longer than a lease of Assay's, which its beats are too far apart for.
    let length = if dice.random_bool(0.25) { length + 1.0 } else { length };
    let (end, beat) = (Instant::now() + lease.mul_f64(length), lease * 4 / 3);
    while Instant::now() < end {
        tokio::time::sleep((end - Instant::now()).min(beat)).await;
        if !worker.beat(job).await? {
            return Ok(());
        }
    }
    match outcome {
        0..6 => {
            let key = format!("{REPORTS}{}-{name}.json", job.id);
            objects.write_json(bucket, &key, report(job.file_id).into()).await?;
            worker.succeed(job, &key).await?;
        }
        6..9 => {
            worker.retry(job, lease.as_secs_f64() * pause).await?;
        }
        _ => {
            worker.fail(job, FAILURE).await?;
        }
    }
    Ok(())
}

fn report(file: Uuid) -> Vec<u8> {
    let marked = talk::Marker { kind: talk::Kind::Accepted, file }.within(talk::IN_ANSWER);
    json!({ "overview": marked, "highlights": [], "next_steps": [], "risk_level": "low" }).to_string().into_bytes()
}

/// Returns the user, who must be there before a file of theirs is.
///
/// # Errors
/// The database's.
pub async fn register(pool: &PgPool, user: Uuid) -> sqlx::Result<()> {
    sqlx::query("insert into users (id, email) values ($1, $2) on conflict (id) do nothing")
        .bind(user)
        .bind(format!("{user}@example.org"))
        .execute(pool)
        .await
        .map(drop)
}

/// Returns a job as the other program's producers insert it; the file says `queued` only later ([`say_queued`]).
///
/// # Errors
/// The database's.
pub async fn insert_job(db: &mut sqlx::PgConnection, file: Uuid) -> sqlx::Result<()> {
    sqlx::query(
        // Due a moment later, without a notification for Assay: the other program polls more often, and gets its share.
        "insert into processing_jobs (id, file_id, next_run_at, created_at, updated_at)
         values (gen_random_uuid(), $1, now() + interval '300 ms', now(), now()) on conflict (file_id) do nothing",
    )
    .bind(file)
    .execute(db)
    .await
    .map(drop)
}

/// Returns what its producers do last, however late.
///
/// # Errors
/// The database's.
pub async fn say_queued(pool: &PgPool, file: Uuid) -> sqlx::Result<()> {
    sqlx::query(
        "update files set status = 'queued', queued_at = now(), error_code = null, error_message = null,
                          processed_at = null, updated_at = now()
          where id = $1",
    )
    .bind(file)
    .execute(pool)
    .await
    .map(drop)
}
