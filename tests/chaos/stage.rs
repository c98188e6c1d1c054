//! The stage of one scenario: a Postgres cluster of its own, a bucket, a stand-in model, and workers, each behind a proxy of its own.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, ensure};
use assay_dev::{Postgres, PostgresOptions};
use assay_tests::{AssayProcess, Call, DEADLINE, Gate, Proxy, Reply, ScriptedModel, TestObjects, with};
use parking_lot::Mutex;
use rand::{Rng, rngs::StdRng};
use sqlx::{AssertSqlSafe, Executor, PgPool, postgres::PgPoolOptions};
use tokio::time::Instant;

use crate::{
    faults::Met,
    fleet::Fleet,
    ledger::Ledger,
    old::{self, OldFleet},
    plan::Slot,
    scenarios::Cast,
    talk,
    times::Times,
};

const DATABASE: &str = "chaos";
/// Jobs that a worker has in hand at once.
pub const CONCURRENCY: usize = 8;
/// Between two tries of what the run itself wants of a database that may be away.
const AGAIN: Duration = Duration::from_millis(50);

/// The environment of a process.
pub type Env = BTreeMap<String, String>;

/// Everything that a scenario breaks.
#[derive(Debug)]
pub struct Stage {
    /// Its times.
    pub times: Times,
    /// The cluster; it can be restarted in place.
    pub postgres: Postgres,
    /// The run's own connections, which no fault of a proxy touches; a restart does. See [`Stage::patiently`].
    pub pool: PgPool,
    /// The bucket.
    pub objects: TestObjects,
    /// Who answers.
    pub model: ScriptedModel,
    /// One per worker before the database, in their order.
    pub proxies: Vec<Proxy>,
    /// The workers.
    pub fleet: Fleet,
    /// The workers of the program whose tables these are; no place where they are Assay's own.
    pub old: OldFleet,
    /// What the faults came to.
    pub met: Met,
    /// What the stand-in was asked.
    pub ledger: Ledger,
    /// Where the guests lie.
    guests: PathBuf,
}

impl Stage {
    /// Starts everything but the workers of a cast. Logs are kept in `folder`; how long each answer takes is drawn with `dice`, by purpose.
    ///
    /// # Errors
    /// Where a part does not start.
    pub async fn set_up(
        folder: &Path,
        cast: &Cast,
        times: Times,
        dice: impl Fn(&str) -> StdRng,
    ) -> anyhow::Result<Self> {
        // What was committed must survive the end of the server, though not that of the machine.
        let options =
            PostgresOptions::throwaway().setting("max_connections", "500").setting("synchronous_commit", "on");
        let (postgres, objects, model) =
            tokio::join!(Postgres::start(options), TestObjects::start(), ScriptedModel::start());
        let postgres = postgres.context("start Postgres")?;
        postgres.ensure_database(DATABASE).await?;
        let url = postgres.url(DATABASE);
        let pool = PgPoolOptions::new().max_connections(8).connect(&url).await?;
        let mut proxies = Vec::new();
        for _ in 0..cast.workers {
            proxies.push(Proxy::before(&url).await);
        }
        let fleet = Fleet::new(folder.join("logs"), cast.workers)?;
        let old = OldFleet::new(cast.old_workers, dice("the other program"));
        let guests = folder.join("guests");
        collect_guests(&guests)?;
        let ledger = Ledger::default();
        model.respond(answering(ledger.clone(), times.answer, dice("answers")));
        let stage =
            Self { times, postgres, pool, objects, model, proxies, fleet, old, met: Met::default(), ledger, guests };
        assay_tests::compile_folder(&stage.operator(), &stage.guests).await;
        stage.prepare_database(cast).await?;
        Ok(stage)
    }

    /// The URL of the database, past all proxies.
    pub fn database_url(&self) -> String {
        self.postgres.url(DATABASE)
    }

    /// The environment of an operator's command: straight to the database.
    pub fn operator(&self) -> Env {
        let keys = self.objects.credentials();
        let values = [
            ("DATABASE_URL", self.database_url()),
            ("S3_ENDPOINT", self.objects.endpoint()),
            ("S3_BUCKET", self.objects.bucket_name().to_owned()),
            ("S3_ACCESS_KEY_ID", keys.access.clone()),
            ("S3_SECRET_ACCESS_KEY", keys.secret.clone()),
            ("LLM_BASE_URL", self.model.base_url()),
            ("LLM_MODEL", "scripted".to_owned()),
            ("LLM_API_KEY", "test-key".to_owned()),
            ("GUEST_DIR", self.guests.display().to_string()),
            ("GUEST_CACHE_DIR", assay_tests::compiled().display().to_string()),
            ("REPORT_PROMPT_VERSION", talk::VERSION.to_owned()),
        ];
        values.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }

    /// The environment of the worker that is the `number`th in its place: a role, a proxy and a path to the model of the place's own.
    pub fn worker(&self, slot: Slot, number: usize) -> Env {
        let url = self.proxies[slot - 1].url_of(&self.database_url());
        let model = self.model.base_url().replace("/v1", &format!("/w{slot}/v1"));
        let concurrency = CONCURRENCY.to_string();
        let id = format!("w{slot}-{number}");
        let own = [
            ("DATABASE_URL", audited(&url, &format!("w{slot}"), &id)),
            ("LLM_BASE_URL", model),
            ("WORKER_ID", id),
            ("WORKER_CONCURRENCY", concurrency),
            // Debug builds on a busy machine: a guest is not what is being tried here.
            ("GUEST_CALL_TIMEOUT_MS", "20000".to_owned()),
            ("ADMIN_ADDR", "127.0.0.1:0".to_owned()),
            ("LOG_LEVEL", "debug".to_owned()),
        ];
        let own: Vec<_> = own.iter().chain(&self.times.variables()).cloned().collect();
        with(self.operator(), &own.iter().map(|(name, value)| (*name, value.as_str())).collect::<Vec<_>>())
    }

    /// Everything works again.
    pub fn heal(&self) {
        self.objects.clear_faults();
        self.model.spare();
        self.proxies.iter().for_each(Proxy::forward);
    }

    /// The answer that the database gives in the end: a statement that fails because it is away is tried again.
    ///
    /// # Errors
    /// The last one, at the deadline.
    pub async fn patiently<T>(&self, what: &str, ask: impl AsyncFn(&PgPool) -> sqlx::Result<T>) -> anyhow::Result<T> {
        let deadline = Instant::now() + DEADLINE;
        loop {
            match ask(&self.pool).await {
                Ok(answer) => return Ok(answer),
                Err(error) if Instant::now() > deadline => return Err(error).with_context(|| what.to_owned()),
                Err(_) => tokio::time::sleep(AGAIN).await,
            }
        }
    }

    async fn prepare_database(&self, cast: &Cast) -> anyhow::Result<()> {
        if cast.old_workers > 0 {
            old::make_tables(&self.pool, &self.times).await.context("the other program's tables")?;
        }
        for arguments in [&["migrate"][..], &["sweep", "--mark"]] {
            let mut process = AssayProcess::spawn(arguments, &self.operator());
            ensure!(process.wait().await.success(), "assay {arguments:?}: {:?}", process.stderr());
        }
        self.pool.execute(include_str!("audit.sql")).await.context("the audit")?;
        let url = self.database_url();
        let password = url.split_once("//assay:").and_then(|(_, rest)| rest.split_once('@')).context("a password")?.0;
        let roles = (1..=cast.workers).map(|slot| format!("w{slot}"));
        for name in roles.chain((1..=cast.old_workers).map(|slot| format!("old{slot}"))) {
            let role = format!("create role {name} login superuser password '{password}'");
            self.pool.execute(AssertSqlSafe(role)).await.context("a role")?;
        }
        Ok(())
    }
}

/// The URL of a role for a process that the audit is to know by name.
pub fn audited(url: &str, role: &str, name: &str) -> String {
    let url = url.replacen("//assay:", &format!("//{role}:"), 1);
    let separator = if url.contains('?') { '&' } else { '?' };
    format!("{url}{separator}options[chaos.worker]={name}")
}

/// Answers each call after a while, at most `longest`, and writes it down before.
fn answering(ledger: Ledger, longest: Duration, dice: StdRng) -> impl Fn(&Call) -> Reply + Send + Sync + 'static {
    let dice = Mutex::new(dice);
    move |call| {
        ledger.write(call);
        let after = longest.mul_f64(dice.lock().random_range(0.05..1.0));
        talk::answer(call).held(&Gate::opening_after(after))
    }
}

/// Links the guests that a run needs into one folder.
fn collect_guests(folder: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(folder)?;
    let built = [assay_tests::guests().join("meeting-v1.wasm")];
    let examples = ["repair.wasm", "map-reduce.wasm"].map(|name| assay_tests::examples().join(name));
    for guest in built.iter().chain(&examples) {
        let name = guest.file_name().context("a guest has a name")?;
        std::os::unix::fs::symlink(guest, folder.join(name)).with_context(|| guest.display().to_string())?;
    }
    Ok(())
}
