//! `assay worker`: builds a worker from its configuration, and runs it.

use std::{process::ExitCode, sync::Arc};

use anyhow::{Context, bail};
use assay_core::env::Variables;
use assay_llm::Model;
use assay_objects::Objects;
use assay_worker::{
    admin::Admin,
    breakers::{Breakers, Inquiries},
    config::Config,
    guests::Guests,
    metrics::Metrics,
    services::Services,
    worker::{Worker, WorkerState, shutdown::Shutdown},
};
use tokio::net::TcpListener;

use crate::{compile, database, exit::Failure};

/// Run jobs until a signal: the first one drains, the second one returns the jobs to the queue.
///
/// After the first SIGTERM or SIGINT, the worker claims no more jobs, and running jobs may finish within STOP_GRACE_MS. After
/// the second, it returns its jobs to the queue at once. Environment variables configure everything; docs/configuration.md
/// lists them.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  assay check && assay worker
  WORKER_CONCURRENCY=64 LOG_FORMAT=json assay worker")]
pub struct Arguments {}

pub async fn run(_arguments: Arguments, vars: Variables) -> Result<ExitCode, Failure> {
    let config = Config::load(vars)?;
    let shutdown = Shutdown::on_signals()?;
    let admin = Admin::bind(config.admin).await?;
    serve(config, admin, shutdown).await?;
    Ok(ExitCode::SUCCESS)
}

/// Builds a worker from a configuration and runs it until `shutdown`, with its health and metrics on `admin`.
pub async fn serve(config: Config, admin: TcpListener, shutdown: Shutdown) -> anyhow::Result<()> {
    let database = database::open(config.database).await?;
    let guests = Guests::open(&config.guests, compile::child()?).await?;
    let channels = database.channels().await.context("list the channels")?;
    if guests.loaded().is_empty() && channels.iter().all(|channel| channel.runs.active.is_none()) {
        bail!(
            "GUEST_DIR: no guest in {} can be loaded, and no release is active in any channel",
            config.guests.directory.display()
        );
    }
    let metrics = Metrics::default();
    let breakers = Breakers::new(config.worker.breaker_probe, metrics.clone());
    let (objects, model) = (Objects::new(&config.objects), Model::new(config.llm)?);
    let inquiries = Inquiries::new(breakers.clone(), model.clone(), objects.clone());
    let services = Services {
        objects,
        database,
        guests: guests.clone(),
        model,
        breakers: breakers.clone(),
        inquiries,
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
