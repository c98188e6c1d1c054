//! `assay check`: tries everything that a worker needs.
//!
//! Each part loads only its own variables, so a wrong variable hides only its own part.

mod bucket;
mod check_result;
mod configuration;
mod database;
mod guests;
mod model;
mod render;
mod sweep;

use std::{collections::BTreeMap, process::ExitCode};

use assay_core::env::{VariableFault, Variables};
use assay_db::DatabaseConfig;
use assay_llm::LlmConfig;
use assay_objects::ObjectsConfig;
use assay_worker::{
    config::Config, guests::GuestsConfig, maintenance::orphans::SweepConfig, telemetry::TelemetryConfig,
};
use serde::Serialize;

use crate::{
    check::{
        check_result::{CheckResult, Verdict},
        configuration::part,
    },
    exit::{self, Failure},
    output,
};

/// Check configuration, database, bucket, model and guests, and name a fix for each problem.
///
/// It writes one small object to the bucket and deletes it, asks the model for its list of models, which costs nothing, and
/// keeps compiled guests in GUEST_CACHE_DIR for the worker. Exits with 0 if a worker would run, with 64 if the configuration is
/// wrong, else with 1.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  assay check && assay worker
  assay check --json | jq '.checks[] | select(.verdict != \"ok\")'")]
pub struct Arguments {
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Serialize)]
struct Checked {
    ok: bool,
    checks: Vec<CheckResult>,
}

type Values = BTreeMap<String, String>;

pub async fn run(arguments: Arguments, values: Values) -> Result<ExitCode, Failure> {
    let mut vars = Variables::from_map(values.clone());
    TelemetryConfig::load(&mut vars);
    let faults = Config::load(vars).err().unwrap_or_default();
    let checks = check_all(&values, &faults).await;
    let ok = checks.iter().all(|check| matches!(check.verdict, Verdict::Ok | Verdict::Warning));
    if arguments.json {
        output::print_json(&Checked { ok, checks })?;
    } else {
        output::print(&render::render(&checks))?;
    }
    Ok(match (faults.is_empty(), ok) {
        (false, _) => ExitCode::from(exit::USAGE),
        (true, false) => ExitCode::FAILURE,
        (true, true) => ExitCode::SUCCESS,
    })
}

/// Runs all checks at the same time.
async fn check_all(values: &Values, faults: &[VariableFault]) -> Vec<CheckResult> {
    let (database, bucket, sweep, model, guests) = tokio::join!(
        database::check(part(values, DatabaseConfig::load)),
        bucket::check(part(values, ObjectsConfig::load)),
        sweep::check(
            part(values, DatabaseConfig::load),
            part(values, ObjectsConfig::load),
            part(values, SweepConfig::load),
        ),
        model::check(part(values, LlmConfig::load)),
        guests::check(part(values, GuestsConfig::load)),
    );
    let mut checks = configuration::check(faults);
    checks.extend(database);
    // The marker of an unusable bucket says nothing.
    let sweep = if matches!(bucket.verdict, Verdict::Failed) {
        CheckResult { detail: "not checked: the bucket cannot be used".to_owned(), ..CheckResult::skipped("sweep") }
    } else {
        sweep
    };
    checks.extend([bucket, sweep, model]);
    checks.extend(guests);
    checks
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(pairs: &[(&str, &str)]) -> Values {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn a_fault_hides_only_its_own_part() {
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
        let checks = configuration::check(&faults);
        assert_eq!(checks.len(), faults.len());
        assert!(checks.iter().all(|check| check.verdict == Verdict::Failed));
        assert_eq!(configuration::check(&[])[0].verdict, Verdict::Ok);
    }

    #[tokio::test]
    async fn a_part_that_cannot_be_reached_fails_with_a_fix() {
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
        let mut checks = database::check(part(&values, DatabaseConfig::load)).await;
        checks.push(bucket::check(part(&values, ObjectsConfig::load)).await);
        checks.push(
            sweep::check(
                part(&values, DatabaseConfig::load),
                part(&values, ObjectsConfig::load),
                part(&values, SweepConfig::load),
            )
            .await,
        );
        checks.push(model::check(part(&values, LlmConfig::load)).await);
        checks.extend(guests::check(part(&values, GuestsConfig::load)).await);
        let found: Vec<_> =
            checks.iter().map(|check| (check.name.as_str(), check.verdict, check.fix.is_some())).collect();
        assert_eq!(
            found,
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
