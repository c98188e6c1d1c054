//! `assay check`: whether a worker would work here, and what to do where not.
//!
//! Every part is tried with its own part of the configuration, so that one wrong variable hides nothing but its own part.

use std::{
    collections::{BTreeMap, HashMap},
    path::Path,
    process::ExitCode,
};

use assay_core::{
    code::Code,
    env::{VariableFault, Variables},
};
use assay_db::{Database, DatabaseConfig, DbError};
use assay_llm::{LlmConfig, Model, Probe};
use assay_objects::{Objects, ObjectsConfig, ObjectsErrorKind};
use assay_runtime::Digest;
use assay_worker::{
    config::Config,
    guests::{Guests, GuestsConfig},
    maintenance::orphans::{SweepConfig, SweepError, SweepMode, marker::Marker},
    telemetry::TelemetryConfig,
};
use serde::Serialize;

use super::{
    compile,
    exit::{self, Failure},
    output,
    status::short,
    verdict::{self, Check, Verdict},
};

/// Check configuration, database, bucket, model and guests, each with its cure.
///
/// The bucket gets one small object that is deleted again, the model is asked for its list of models, which costs
/// nothing, and compiled guests stay in GUEST_CACHE_DIR for the worker. Exits 0 where a worker would work, 64 where the
/// configuration is at fault, else 1.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  assay check && assay worker
  assay check --json | jq '.checks[] | select(.verdict != \"ok\")'")]
pub struct Arguments {
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

/// Everything that was looked at.
#[derive(Debug, Serialize)]
struct Checked {
    ok: bool,
    checks: Vec<Check>,
}

type Values = BTreeMap<String, String>;

/// Checks all at the same time, and prints.
pub async fn run(arguments: Arguments, values: Values) -> Result<ExitCode, Failure> {
    let mut vars = Variables::from_map(values.clone());
    TelemetryConfig::load(&mut vars);
    let faults = Config::load(vars).err().unwrap_or_default();
    let (database, bucket, sweep, model, guests) = tokio::join!(
        check_database(part(&values, DatabaseConfig::load)),
        check_bucket(part(&values, ObjectsConfig::load)),
        check_sweep(
            part(&values, DatabaseConfig::load),
            part(&values, ObjectsConfig::load),
            part(&values, SweepConfig::load),
        ),
        check_model(part(&values, LlmConfig::load)),
        check_guests(part(&values, GuestsConfig::load)),
    );
    let mut checks = check_configuration(&faults);
    checks.extend(database);
    // The marker of a bucket that cannot be used says nothing.
    let sweep = if matches!(bucket.verdict, Verdict::Failed) { Check::skipped("sweep") } else { sweep };
    checks.push(bucket);
    checks.push(sweep);
    checks.push(model);
    checks.extend(guests);
    let good = |check: &Check| matches!(check.verdict, Verdict::Ok | Verdict::Warning);
    let ok = checks.iter().all(good);
    if arguments.json {
        output::print_json(&Checked { ok, checks })?;
    } else {
        output::print(&verdict::render(&checks))?;
    }
    Ok(match (faults.is_empty(), ok) {
        (false, _) => ExitCode::from(exit::USAGE),
        (true, false) => ExitCode::FAILURE,
        (true, true) => ExitCode::SUCCESS,
    })
}

/// One part of the configuration, where none of its own variables is at fault.
fn part<T>(values: &Values, load: impl FnOnce(&mut Variables) -> T) -> Option<T> {
    let mut vars = Variables::from_map(values.clone());
    let part = load(&mut vars);
    vars.finish().is_ok().then_some(part)
}

fn check_configuration(faults: &[VariableFault]) -> Vec<Check> {
    let name = "configuration";
    if faults.is_empty() {
        return vec![Check::ok(name, "no variable is at fault")];
    }
    let cure = |fault: &VariableFault| format!("correct {}; the README lists every variable", fault.name);
    faults.iter().map(|fault| Check::failed(name, fault.to_string(), &cure(fault))).collect()
}

async fn check_database(config: Option<DatabaseConfig>) -> Vec<Check> {
    let (name, listening) = ("database", "notifications");
    let Some(config) = config else {
        return vec![Check::skipped(name), Check::skipped(listening)];
    };
    let database = Database::new(config);
    let schema = match database.check().await {
        Ok(state) if state.pending.is_empty() => {
            let version = state.applied.last().copied().unwrap_or_default();
            Check::ok(name, format!("reached, its schema is at version {version}"))
        }
        Ok(state) => {
            let detail = format!("reached, but it lacks migrations {:?}", state.pending);
            Check::failed(name, detail, "run `assay migrate`")
        }
        Err(error) => {
            let unreached = Check { detail: "the database was not reached".to_owned(), ..Check::skipped(listening) };
            let check = Check::failed(name, error.to_string(), database_cure(&error));
            return vec![check, unreached];
        }
    };
    let notifications = match database.hears_itself().await {
        Ok(true) => Check::ok(listening, "LISTEN hears what NOTIFY sends"),
        Ok(false) => Check::warning(
            listening,
            "LISTEN is swallowed, as behind a pooler in transaction mode; jobs are found by polling",
            "let DATABASE_URL go past the pooler, or live with WORKER_POLL_MS",
        ),
        Err(error) => Check::failed(listening, error.to_string(), database_cure(&error)),
    };
    vec![schema, notifications]
}

fn database_cure(error: &DbError) -> &'static str {
    match error {
        DbError::Denied(state) | DbError::Refused(state) => match state.as_str() {
            "28P01" | "28000" => "correct user and password in DATABASE_URL, or pg_hba.conf",
            "3D000" => "create the database, or correct its name in DATABASE_URL",
            "42501" => "grant the user of DATABASE_URL its rights on Assay's tables",
            _ => "look the SQLSTATE up in Postgres' manual, appendix A",
        },
        DbError::Transient(_) => "try again in a moment: the server is starting, stopping or full",
        DbError::Connection(_) | DbError::Timeout(_) => "start the server, or correct host and port in DATABASE_URL",
        DbError::Row(_) | DbError::Migration(_) | DbError::Unadoptable(_) => "restore the schema: run `assay migrate`",
    }
}

async fn check_bucket(config: Option<ObjectsConfig>) -> Check {
    let name = "bucket";
    let Some(config) = config else {
        return Check::skipped(name);
    };
    let error = match Objects::new(&config).probe().await {
        Ok(()) => {
            let detail = format!("{} takes, gives and deletes an object", config.bucket);
            return Check::ok(name, detail);
        }
        Err(error) => error,
    };
    let cure = match error.kind {
        ObjectsErrorKind::NoSuchBucket => "create the bucket, or correct S3_BUCKET",
        ObjectsErrorKind::AccessDenied => {
            "correct S3_ACCESS_KEY_ID and S3_SECRET_ACCESS_KEY, or let them read, write and delete"
        }
        ObjectsErrorKind::Network | ObjectsErrorKind::Timeout => "start the store, or correct S3_ENDPOINT",
        ObjectsErrorKind::Throttled | ObjectsErrorKind::Unavailable => "try again in a moment: the store is busy",
        ObjectsErrorKind::NotFound
        | ObjectsErrorKind::BrokenBody
        | ObjectsErrorKind::TooLarge { .. }
        | ObjectsErrorKind::Rejected => {
            "correct S3_ENDPOINT and S3_REGION: what answers there does not act as this bucket's store"
        }
    };
    Check::failed(name, error.to_string(), cure)
}

/// Whose bucket it is. Where nobody wants to sweep, a bucket without a marker is as it should be.
async fn check_sweep(
    database: Option<DatabaseConfig>,
    objects: Option<ObjectsConfig>,
    sweep: Option<SweepConfig>,
) -> Check {
    let name = "sweep";
    let (Some(database), Some(objects), Some(sweep)) = (database, objects, sweep) else {
        return Check::skipped(name);
    };
    let database = match Database::new(database).installation().await {
        Ok(database) => database,
        // A worker that does not sweep never asks.
        Err(error @ DbError::Refused(_)) => {
            let cure = "run `assay migrate`, or grant the user of DATABASE_URL its rights on the table installation";
            return Check::warning(name, error.to_string(), cure);
        }
        Err(_) => return Check { detail: "the database did not say its name".to_owned(), ..Check::skipped(name) },
    };
    match Marker::read(&Objects::new(&objects)).await {
        Ok(Some(marker)) if marker.database == database => {
            Check::ok(name, format!("{} is marked as the bucket of this database, {database}", objects.bucket))
        }
        Ok(Some(marker)) => {
            let detail = format!("{} is marked as the bucket of the database {}", objects.bucket, marker.database);
            let cure = "correct S3_BUCKET or DATABASE_URL; or, where this database has taken the other's place, delete \
                        assay/database.json and run `assay sweep --mark`";
            Check::warning(name, detail, cure)
        }
        Ok(None) if sweep.mode == SweepMode::Off => {
            Check::ok(name, "nothing is swept: SWEEP is off, and the bucket is not marked")
        }
        Ok(None) => {
            let detail = format!("nothing is swept, because {} is not marked", objects.bucket);
            Check::warning(name, detail, "where its objects are those of this database, run `assay sweep --mark`")
        }
        Err(SweepError::Objects(error)) if error.kind == ObjectsErrorKind::AccessDenied => Check::warning(
            name,
            error.to_string(),
            "let S3_ACCESS_KEY_ID read assay/database.json, if you want to sweep",
        ),
        Err(SweepError::Objects(error)) => {
            Check { detail: format!("the marker was not read: {error}"), ..Check::skipped(name) }
        }
        Err(error) => Check::warning(
            name,
            error.to_string(),
            "delete assay/database.json; where the bucket is this database's, run `assay sweep --mark`",
        ),
    }
}

async fn check_model(config: Option<LlmConfig>) -> Check {
    let name = "model";
    let Some(config) = config else {
        return Check::skipped(name);
    };
    let (base, wanted) = (config.base_url.to_string(), config.model.clone());
    let model = match Model::new(config) {
        Ok(model) => model,
        Err(error) => {
            return Check::failed(name, format!("{error:#}"), "install the package ca-certificates");
        }
    };
    let error = match model.probe().await {
        Ok(Probe::Listed) => return Check::ok(name, format!("{base} lists {wanted}")),
        Ok(Probe::NoList) => return Check::ok(name, format!("{base} answers, without a list of models")),
        Ok(Probe::NotListed) => {
            return Check::warning(
                name,
                format!("{base} answers, but does not list {wanted}"),
                "correct LLM_MODEL, unless this server answers under any name",
            );
        }
        Err(error) => error,
    };
    let cure = match error.code {
        Code::LlmAuthFailed => "correct LLM_API_KEY",
        Code::LlmModelNotFound => "correct LLM_MODEL",
        Code::LlmQuotaExhausted => "raise the account's quota",
        Code::LlmRateLimited | Code::LlmProvider5xx => "try again in a moment: the provider is busy",
        _ => "start the server, or correct LLM_BASE_URL; it ends where /chat/completions is appended",
    };
    Check::failed(name, format!("{}: {error}", error.code), cure)
}

async fn check_guests(config: Option<GuestsConfig>) -> Vec<Check> {
    let name = "guests";
    let Some(config) = config else {
        return vec![Check::skipped(name)];
    };
    let failed = |error: anyhow::Error| {
        let cure = "correct GUEST_DIR, or what lies there; `cargo xtask guests` builds the reference guests";
        vec![Check::failed(name, format!("{error:#}"), cure)]
    };
    let compiler = match compile::child() {
        Ok(compiler) => compiler,
        Err(error) => return failed(error.into()),
    };
    let guests = match Guests::open(&config, compiler).await {
        Ok(guests) => guests,
        Err(error) => return failed(error),
    };
    let (loaded, not_loaded) = (guests.loaded(), guests.not_loaded());
    if loaded.is_empty() && not_loaded.is_empty() {
        return failed(anyhow::anyhow!("{} has no .wasm file", config.directory.display()));
    }
    let files = files_by_digest(&config.directory);
    let mut checks = Vec::new();
    for guest in &loaded {
        let file = files.get(&guest.digest).map_or("", String::as_str);
        let default = if guest.is_default { ", the default" } else { "" };
        checks.push(Check::ok(
            format!("guest {file}"),
            format!(
                "{}, schema {}, sha256 {}{default}",
                guest.prompt_version,
                guest.schema_version,
                short(&guest.digest)
            ),
        ));
    }
    for guest in &not_loaded {
        let file = guest.file.file_name().unwrap_or_default().to_string_lossy();
        let cure = "build it again for this version of Assay, or take it out of GUEST_DIR";
        checks.push(Check::failed(format!("guest {file}"), guest.reason.clone(), cure));
    }
    if !loaded.iter().any(|guest| guest.is_default) {
        checks.push(Check::warning(
            name,
            "none is the default: jobs that name no prompt version wait",
            "set REPORT_PROMPT_VERSION",
        ));
    }
    checks
}

/// What loads is known by its digest; a person knows it by its file.
fn files_by_digest(folder: &Path) -> HashMap<String, String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .filter(|entry| entry.path().extension().is_some_and(|ext| ext == "wasm"))
        .filter_map(|entry| {
            let bytes = std::fs::read(entry.path()).ok()?;
            let name = entry.file_name().to_string_lossy().into_owned();
            Some((Digest::of(&bytes).to_string(), name))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(pairs: &[(&str, &str)]) -> Values {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn a_fault_hides_its_own_part_only() {
        let values = values(&[
            ("DATABASE_URL", "postgres://localhost/assay"),
            ("LLM_BASE_URL", "nowhere"),
            ("LLM_MODEL", "small"),
        ]);
        assert!(part(&values, DatabaseConfig::load).is_some());
        assert!(part(&values, LlmConfig::load).is_none());
    }

    #[test]
    fn every_fault_is_a_check_of_its_own() {
        let faults = Config::load(Variables::default()).unwrap_err();
        let checks = check_configuration(&faults);
        assert_eq!(checks.len(), faults.len());
        assert!(checks.iter().all(|check| check.verdict == Verdict::Failed));
        assert_eq!(check_configuration(&[])[0].verdict, Verdict::Ok);
    }

    #[tokio::test]
    async fn what_is_not_reached_fails_with_a_cure() {
        // Nothing listens on port 1, and no guest lies in the folder.
        let guests = tempfile::tempdir().unwrap();
        let values = values(&[
            ("DATABASE_URL", "postgres://assay@127.0.0.1:1/assay"),
            ("S3_ENDPOINT", "http://127.0.0.1:1"),
            ("S3_BUCKET", "assay"),
            ("S3_ACCESS_KEY_ID", "id"),
            ("S3_SECRET_ACCESS_KEY", "hush"),
            ("LLM_BASE_URL", "http://127.0.0.1:1/v1"),
            ("LLM_MODEL", "small"),
            ("GUEST_DIR", guests.path().to_str().unwrap()),
        ]);
        let mut checks = check_database(part(&values, DatabaseConfig::load)).await;
        checks.push(check_bucket(part(&values, ObjectsConfig::load)).await);
        checks.push(
            check_sweep(
                part(&values, DatabaseConfig::load),
                part(&values, ObjectsConfig::load),
                part(&values, SweepConfig::load),
            )
            .await,
        );
        checks.push(check_model(part(&values, LlmConfig::load)).await);
        checks.extend(check_guests(part(&values, GuestsConfig::load)).await);
        let cured: Vec<_> =
            checks.iter().map(|check| (check.name.as_str(), check.verdict, check.cure.is_some())).collect();
        assert_eq!(
            cured,
            [
                ("database", Verdict::Failed, true),
                ("notifications", Verdict::Skipped, false),
                ("bucket", Verdict::Failed, true),
                ("sweep", Verdict::Skipped, false),
                ("model", Verdict::Failed, true),
                ("guests", Verdict::Failed, true),
            ]
        );
    }
}
