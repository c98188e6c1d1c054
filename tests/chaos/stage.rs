//! The stage of one scenario: a Postgres cluster of its own, a bucket, a stand-in model, and workers, each behind a proxy of its own.

use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use assay_dev::{Postgres, PostgresOptions};
use assay_tests::{AssayProcess, Call, Gate, Proxy, Reply, ScriptedModel, TestObjects};
use parking_lot::Mutex;
use rand::{Rng, rngs::StdRng};
use sqlx::{AssertSqlSafe, Executor, postgres::PgPoolOptions};

use crate::{
    faults::{met::Met, poison},
    fleet::Fleet,
    ledger::Ledger,
    old::{self, OldFleet},
    scenarios::{cast::Cast, upgrade},
    services::{DATABASE, Services},
    standby::{self, Standby},
    talk,
    times::Times,
};

/// Everything that a scenario breaks.
#[derive(Debug)]
pub struct Stage {
    pub services: Services,
    pub fleet: Fleet,
    /// The workers of the program whose tables these are; empty where the tables are Assay's own.
    pub old: OldFleet,
    pub standby: Option<Standby>,
    pub met: Met,
    pub ledger: Ledger,
}

impl Stage {
    /// Starts everything but the workers of a cast. Logs are kept in `folder`; how long each answer takes is drawn with `dice`, by purpose.
    /// `before` is the binary of the revision before, where its workers play.
    ///
    /// # Errors
    /// If a part does not start.
    pub async fn set_up(
        folder: &Path,
        cast: &Cast,
        times: Times,
        before: Option<PathBuf>,
        dice: impl Fn(&str) -> StdRng,
    ) -> anyhow::Result<Self> {
        // What was committed must survive the end of the server, though not that of the machine.
        let (prefix, line) = standby::LOG_LINE;
        let options = PostgresOptions::throwaway()
            .setting("max_connections", "500")
            .setting("synchronous_commit", "on")
            .setting(prefix, line);
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
        let operators = if cast.standby { Some(Proxy::before(&url).await) } else { None };
        let logs = folder.join("logs");
        let fleet = Fleet::new(logs.clone(), cast.workers, before)?;
        let old = OldFleet::new(cast.old_workers, logs, dice("the other program"));
        let guests = folder.join("guests");
        collect_guests(&guests)?;
        let (ledger, met) = (Ledger::default(), Met::default());
        model.respond(answering(ledger.clone(), met.clone(), times, dice("answers")));
        let services = Services { times, postgres, pool, objects, model, proxies, operators, guests };
        assay_tests::compile_folder(&services.operator(), &services.guests).await;
        prepare_database(&services, cast).await?;
        if let Some(before) = fleet.before() {
            upgrade::prepare(before, &services).await?;
        }
        let standby = if cast.standby { Some(Standby::of(&services.postgres).await?) } else { None };
        Ok(Self { services, fleet, old, standby, met, ledger })
    }

    /// Keeps the logs of the database's servers beside those of the workers.
    ///
    /// # Errors
    /// If one cannot be copied.
    pub fn keep_logs(&self) -> anyhow::Result<()> {
        let standby = self.standby.as_ref().map(|standby| ("standby.log", standby.postgres()));
        for (name, server) in [("postgres.log", &self.services.postgres)].into_iter().chain(standby) {
            std::fs::copy(server.log(), self.fleet.logs().join(name)).with_context(|| format!("keep {name}"))?;
        }
        Ok(())
    }
}

async fn prepare_database(services: &Services, cast: &Cast) -> anyhow::Result<()> {
    if cast.old_workers > 0 {
        old::make_tables(&services.pool, &services.times).await.context("the other program's tables")?;
    }
    for arguments in [&["migrate"][..], &["sweep", "--mark"]] {
        let mut process = AssayProcess::spawn(arguments, &services.operator());
        ensure!(process.wait().await.success(), "assay {arguments:?}: {:?}", process.stderr());
    }
    services.pool.execute(include_str!("audit.sql")).await.context("the audit")?;
    let url = services.database_url();
    let password = url.split_once("//assay:").and_then(|(_, rest)| rest.split_once('@')).context("a password")?.0;
    let roles = (1..=cast.workers).map(|slot| format!("w{slot}"));
    for name in roles.chain((1..=cast.old_workers).map(|slot| format!("old{slot}"))) {
        let role = format!("create role {name} login superuser password '{password}'");
        services.pool.execute(AssertSqlSafe(role)).await.context("a role")?;
    }
    Ok(())
}

/// Answers each call after a while, and writes it down before.
fn answering(ledger: Ledger, met: Met, times: Times, dice: StdRng) -> impl Fn(&Call) -> Reply + Send + Sync + 'static {
    let dice = Mutex::new(dice);
    move |call| {
        ledger.write(call);
        let after = times.answer.mul_f64(dice.lock().random_range(0.05..1.0));
        poison::spoil(call, talk::answer(call).held(&Gate::opening_after(after)), &met, &times)
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
