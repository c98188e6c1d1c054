//! `assay dev`: Postgres, an S3 server, a stand-in model and a worker, all in this process, for trying Assay out.
//!
//! Its state lies in one folder. `env` in it holds the variables for other commands; at the next start the same folder
//! gives the same addresses and keys where they are still free, so that a shell that has read the file stays right.

mod environment;
mod services;
mod welcome;

use std::{collections::BTreeMap, path::PathBuf, process::ExitCode, time::Duration};

use anyhow::{Context, bail};
use assay_core::env::Variables;
use assay_db::{Database, DatabaseConfig, migrate::Target};
use assay_worker::{
    admin::Admin,
    config::Config,
    guests::{Guests, GuestsConfig, LoadedRelease},
    telemetry::TelemetryConfig,
    worker::shutdown::Shutdown,
};

use self::{environment::Environment, services::Services, welcome::Welcome};
use super::{compile, exit::Failure, output, worker};

/// Time between looks whether the worker is at work.
const LOOK_EVERY: Duration = Duration::from_millis(25);

/// Run everything on this machine: Postgres, an S3 server, a stand-in model and a worker.
///
/// Postgres runs from the binaries of this machine (Debian, Ubuntu: apt-get install postgresql). The stand-in is no
/// model: it makes its answers out of the transcript. With LLM_BASE_URL set, that model is used instead. Variables of
/// the worker hold here too, those of database and bucket excepted.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  assay dev                                       until Ctrl-C; its state stays in .assay
  assay --env-file .assay/env submit call.vtt --wait
  set -a; . .assay/env; set +a; assay status      the same by way of the environment
  LLM_BASE_URL=http://127.0.0.1:8080/v1 LLM_MODEL=small assay dev")]
pub struct Arguments {
    /// Folder for database, objects and the file `env`
    #[arg(long, value_name = "DIR", default_value = ".assay")]
    data: PathBuf,
    /// Folder of guests [default: GUEST_DIR, else guest/dist]
    #[arg(long, value_name = "DIR")]
    guests: Option<PathBuf>,
    /// Prompt version of files that name none [default: REPORT_PROMPT_VERSION, else the last one there is]
    #[arg(long, value_name = "V")]
    prompt_version: Option<String>,
    /// Print one line of JSON when everything is ready, for programs
    #[arg(long)]
    json: bool,
    /// Stop when standard input ends, as it does when the program at its other end dies
    #[arg(long)]
    stop_with_stdin: bool,
}

/// Starts everything, works until a signal, stops everything.
pub async fn run(arguments: Arguments, values: BTreeMap<String, String>) -> Result<ExitCode, Failure> {
    let shutdown = Shutdown::on_signals()?;
    if arguments.stop_with_stdin {
        stop_with_stdin(shutdown.clone())?;
    }
    let data = environment::folder(&arguments.data)?;
    let env_file = data.join("env");
    tracing::info!(data = %data.display(), "starting Postgres, the object store and the model");
    let earlier = environment::earlier(&env_file);
    let services = Services::start(&data, &earlier, is_set(&values, "LLM_BASE_URL")).await?;
    let result = work(&arguments, values, &services, &env_file, shutdown).await;
    services.stop().await;
    result?;
    Ok(ExitCode::SUCCESS)
}

/// Everything between the start of the services and their end.
async fn work(
    arguments: &Arguments,
    mut values: BTreeMap<String, String>,
    services: &Services,
    env_file: &std::path::Path,
    shutdown: Shutdown,
) -> Result<(), Failure> {
    let mut environment = Environment::new(services, &values);
    environment.set("GUEST_DIR", guest_folder(arguments, &values)?);
    values.extend(environment.variables());
    if let Some(version) = &arguments.prompt_version {
        values.insert("REPORT_PROMPT_VERSION".to_owned(), version.clone());
    }
    migrate(&values).await?;
    let guests = look_at_guests(&values).await?;
    if let Some(version) = default_version(&guests) {
        environment.set("REPORT_PROMPT_VERSION", version);
        values.insert("REPORT_PROMPT_VERSION".to_owned(), version.to_owned());
    }
    let mut vars = Variables::from_map(values.clone());
    TelemetryConfig::load(&mut vars);
    let config = Config::load(vars)?;
    let admin = bind_admin(&config, is_set(&values, "ADMIN_ADDR")).await?;
    environment.write(env_file)?;

    let welcome = Welcome::new(services, &config, &guests, env_file, admin.local_addr()?);
    let (database, id) = (Database::new(config.database.clone()), config.worker.id.clone());
    let mut working = std::pin::pin!(worker::serve(config, admin, shutdown));
    let ready = async {
        loop {
            let live = database.live_workers().await.unwrap_or_default();
            if live.iter().any(|worker| worker.id == id) {
                return;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    };
    tokio::select! {
        ended = &mut working => return Ok(ended?),
        () = ready => {}
    }
    database.close().await;
    if arguments.json {
        output::print(&welcome.json())?;
    } else {
        output::print(&welcome.text())?;
    }
    Ok(working.await?)
}

/// Whether a variable has a value; an empty one counts as absent, here as everywhere.
fn is_set(values: &BTreeMap<String, String>, name: &str) -> bool {
    values.get(name).is_some_and(|value| !value.trim().is_empty())
}

/// An end of input is a first signal: whoever started us has gone.
fn stop_with_stdin(shutdown: Shutdown) -> std::io::Result<()> {
    let watch = move || {
        // An input that cannot be read has no one at its other end either.
        let _ended = std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink());
        shutdown.drain.cancel();
    };
    std::thread::Builder::new().name("stdin".to_owned()).spawn(watch).map(drop)
}

fn guest_folder(arguments: &Arguments, values: &BTreeMap<String, String>) -> anyhow::Result<String> {
    let configured = is_set(values, "GUEST_DIR").then(|| &values["GUEST_DIR"]);
    let folder = arguments
        .guests
        .clone()
        .or_else(|| configured.map(PathBuf::from))
        .unwrap_or_else(|| PathBuf::from("guest/dist"));
    let absolute = folder.canonicalize().with_context(|| {
        let folder = folder.display();
        format!("find the guests in {folder}; `cargo xtask guests` builds them, --guests names another folder")
    })?;
    absolute
        .into_os_string()
        .into_string()
        .map_err(|path| anyhow::anyhow!("the path of the guests is not Unicode: {}", path.display()))
}

async fn migrate(values: &BTreeMap<String, String>) -> Result<(), Failure> {
    let mut vars = Variables::from_map(values.clone());
    let config = DatabaseConfig::load(&mut vars);
    vars.finish()?;
    let database = Database::new(config);
    database.migrate(Target::Latest).await.context("migrate the database")?;
    database.close().await;
    Ok(())
}

/// Loads the guests once before the worker does: it compiles them, and tells which prompt versions there are.
async fn look_at_guests(values: &BTreeMap<String, String>) -> Result<Vec<LoadedRelease>, Failure> {
    let mut vars = Variables::from_map(values.clone());
    let config = GuestsConfig::load(&mut vars);
    vars.finish()?;
    tracing::info!("loading the guests; one that is new here is compiled first, which can take a minute");
    let guests = Guests::open(&config, compile::child()?).await?;
    Ok(guests.loaded())
}

/// The default where nothing else decides: of several prompt versions the last.
fn default_version(guests: &[LoadedRelease]) -> Option<&str> {
    let chosen = guests.iter().find(|guest| guest.is_default);
    chosen.or(guests.last()).map(|guest| guest.prompt_version.as_str())
}

/// The usual port, unless somebody has it and nobody insists on it.
async fn bind_admin(config: &Config, insists: bool) -> anyhow::Result<tokio::net::TcpListener> {
    let any = std::net::SocketAddr::new(config.admin.ip(), 0);
    match Admin::bind(config.admin).await {
        Err(error) if insists => bail!(error),
        Err(_) => Admin::bind(any).await,
        bound => bound,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loaded(version: &str, is_default: bool) -> LoadedRelease {
        LoadedRelease {
            prompt_version: version.to_owned(),
            schema_version: String::new(),
            digest: String::new(),
            is_default,
            kept: false,
            channels: Vec::new(),
        }
    }

    #[test]
    fn the_last_version_is_the_default_unless_one_was_chosen() {
        let of = |first, second| {
            let guests = [loaded("meeting-v1", first), loaded("meeting-v2", second)];
            default_version(&guests).map(str::to_owned)
        };
        assert_eq!(of(false, false).as_deref(), Some("meeting-v2"));
        assert_eq!(of(true, false).as_deref(), Some("meeting-v1"));
        assert_eq!(default_version(&[]), None);
    }
}
