//! `assay worker`: the composition root. Every concrete thing is built here, in the order in which it is needed.

use std::{process::ExitCode, sync::Arc};

use anyhow::{Context, bail};
use assay_core::env::Variables;
use assay_llm::Model;
use assay_objects::Objects;
use assay_worker::{
    admin::Admin,
    breakers::Breakers,
    config::Config,
    guests::Guests,
    metrics::Metrics,
    services::Services,
    worker::{Worker, WorkerState, shutdown::Shutdown},
};
use tokio::net::TcpListener;

use super::{compile, database, exit::Failure};

/// Run jobs until a signal: the first drains, the second gives the jobs back.
///
/// The first SIGTERM or SIGINT drains: nothing more is claimed, jobs in hand may finish within STOP_GRACE_MS. The second
/// gives the jobs back at once. Everything is configured by environment variables; the README lists them.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  assay check && assay worker
  WORKER_CONCURRENCY=64 LOG_FORMAT=json assay worker")]
pub struct Arguments {}

/// Builds a worker and runs it.
pub async fn run(_arguments: Arguments, vars: Variables) -> Result<ExitCode, Failure> {
    let config = Config::load(vars)?;
    let shutdown = Shutdown::on_signals()?;
    let admin = Admin::bind(config.admin).await?;
    serve(config, admin, shutdown).await?;
    Ok(ExitCode::SUCCESS)
}

/// Builds a worker from a configuration and runs it until `shutdown`, with its health and metrics on `admin`.
pub(super) async fn serve(config: Config, admin: TcpListener, shutdown: Shutdown) -> anyhow::Result<()> {
    let database = database::open(config.database).await?;
    let guests = Guests::open(&config.guests, compile::child()?).await?;
    let channels = database.channels().await.context("look for releases")?;
    if guests.loaded().is_empty() && channels.iter().all(|channel| channel.runs.active.is_none()) {
        bail!(
            "GUEST_DIR: no guest in {} can be loaded, and no release is active in any channel",
            config.guests.directory.display()
        );
    }
    let metrics = Metrics::default();
    let breakers = Breakers::new(config.worker.breaker_probe, metrics.clone());
    let services = Services {
        objects: Objects::new(&config.objects),
        database,
        guests: guests.clone(),
        model: Model::new(config.llm)?,
        breakers: breakers.clone(),
        metrics: metrics.clone(),
        config: config.pipeline,
    };
    let state = Arc::<parking_lot::Mutex<WorkerState>>::default();
    let endpoint = Admin { metrics, guests, breakers, worker: state.clone() };
    tracing::info!(address = %admin.local_addr()?, "serving /livez, /readyz and /metrics");
    let serving = tokio::spawn(endpoint.serve(admin));
    let result = Worker {
        services: Arc::new(services),
        config: config.worker,
        retention: config.retention,
        sweep: config.sweep,
        state,
    }
    .run(shutdown)
    .await;
    serving.abort();
    result
}
