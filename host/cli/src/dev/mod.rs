//! `assay dev`: Postgres, an S3 server, a stand-in model and a worker in one process, to try Assay out.
//!
//! One folder holds the state. Its file `env` holds the variables for other commands. The next start uses the same addresses and
//! keys if they are free, so a shell that has read the file still works.

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

use crate::{
    compile,
    dev::{environment::Environment, services::Services, welcome::Welcome},
    exit::Failure,
    output, worker,
};

/// While `dev` waits for the first heartbeat of its worker.
const POLL_PERIOD: Duration = Duration::from_millis(25);

/// Run everything on this machine: Postgres, an S3 server, a stand-in model and a worker.
///
/// Postgres runs from the binaries of this machine (Debian, Ubuntu: apt-get install postgresql). The stand-in is not a real
/// model: it makes its answers from the transcript. If LLM_BASE_URL is set, that model is used instead. The worker reads its
/// variables as usual, except those of the database and the bucket.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  assay dev                                       runs until Ctrl-C; keeps its state in .assay
  assay --env-file .assay/env submit call.vtt --wait
  set -a; . .assay/env; set +a; assay status      the same, through the environment
  LLM_BASE_URL=http://127.0.0.1:8080/v1 LLM_MODEL=small assay dev")]
pub struct Arguments {
    /// Folder for database, objects and the file `env`
    #[arg(long, value_name = "DIR", default_value = ".assay")]
    data: PathBuf,
    /// Folder of guests [default: GUEST_DIR, else guest/dist, else `guests` beside the program]
    #[arg(long, value_name = "DIR")]
    guests: Option<PathBuf>,
    /// Prompt version of files that name none [default: REPORT_PROMPT_VERSION, else the last one]
    #[arg(long, value_name = "V")]
    prompt_version: Option<String>,
    /// Print one line of JSON when everything is ready, for programs
    #[arg(long)]
    json: bool,
    /// Stop when standard input ends, for example because the program that started this one died
    #[arg(long)]
    stop_with_stdin: bool,
}

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

/// Runs the worker while the services run.
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
    if let Some(images) = beside_program("images").filter(|_| !is_set(&values, "GUEST_CACHE_DIR")) {
        values.insert("GUEST_CACHE_DIR".to_owned(), images);
    }
    if let Some(version) = &arguments.prompt_version {
        values.insert("REPORT_PROMPT_VERSION".to_owned(), version.clone());
    }
    migrate(&values).await?;
    let guests = load_guests(&values).await?;
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
    let ready = wait_for_worker(&database, &id);
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

/// Returns after the first heartbeat of the worker.
async fn wait_for_worker(database: &Database, id: &str) {
    loop {
        let live = database.live_workers().await.unwrap_or_default();
        if live.iter().any(|worker| worker.id == id) {
            return;
        }
        tokio::time::sleep(POLL_PERIOD).await;
    }
}

/// Returns whether a variable has a value. An empty value counts as absent.
fn is_set(values: &BTreeMap<String, String>, name: &str) -> bool {
    values.get(name).is_some_and(|value| !value.trim().is_empty())
}

/// Treats the end of standard input as a first signal.
fn stop_with_stdin(shutdown: Shutdown) -> std::io::Result<()> {
    let watch = move || {
        // A failed read counts as the end, too.
        let _ended = std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink());
        shutdown.drain.cancel();
    };
    std::thread::Builder::new().name("stdin".to_owned()).spawn(watch).map(drop)
}

fn guest_folder(arguments: &Arguments, values: &BTreeMap<String, String>) -> anyhow::Result<String> {
    let configured = is_set(values, "GUEST_DIR").then(|| &values["GUEST_DIR"]);
    let built = PathBuf::from("guest/dist");
    let packaged = || beside_program("guests").map(PathBuf::from);
    let folder = arguments
        .guests
        .clone()
        .or_else(|| configured.map(PathBuf::from))
        .or_else(|| if built.is_dir() { None } else { packaged() })
        .unwrap_or(built);
    let absolute = folder.canonicalize().with_context(|| {
        let folder = folder.display();
        format!("find the guests in {folder}; `cargo xtask guests` builds them, --guests names another folder")
    })?;
    absolute
        .into_os_string()
        .into_string()
        .map_err(|path| anyhow::anyhow!("the path of the guests is not Unicode: {}", path.display()))
}

/// Returns a folder of the package that this program came in.
fn beside_program(name: &str) -> Option<String> {
    let folder = std::env::current_exe().ok()?.parent()?.join(name);
    folder.is_dir().then(|| folder.into_os_string().into_string().ok())?
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

/// Loads the guests before the worker does, which compiles them. Returns their prompt versions.
async fn load_guests(values: &BTreeMap<String, String>) -> Result<Vec<LoadedRelease>, Failure> {
    let mut vars = Variables::from_map(values.clone());
    let config = GuestsConfig::load(&mut vars);
    vars.finish()?;
    tracing::info!("loading the guests; compiling a new one can take a minute");
    let guests = Guests::open(&config, compile::child()?).await?;
    Ok(guests.loaded())
}

/// Returns the chosen default, else the last prompt version.
fn default_version(guests: &[LoadedRelease]) -> Option<&str> {
    let chosen = guests.iter().find(|guest| guest.is_default);
    chosen.or(guests.last()).map(|guest| guest.prompt_version.as_str())
}

/// Binds the usual port. If it is taken and the user did not ask for it, binds any port.
async fn bind_admin(config: &Config, is_configured: bool) -> anyhow::Result<tokio::net::TcpListener> {
    let any = std::net::SocketAddr::new(config.admin.ip(), 0);
    match Admin::bind(config.admin).await {
        Err(error) if is_configured => bail!(error),
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
