//! `cargo xtask demo`: from a clone to reports, on real parts, in one command.
//!
//! Everything runs below the target folder and ends with the command. Each transcript of `docs/samples/` says in its name
//! how it has to end; the demo succeeds only if each did.

mod expectation;
mod outcome;
pub mod session;

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};

use crate::{
    guests::{self, spinner},
    paths, run,
    stages::Stages,
    system,
};
use expectation::Sample;
use outcome::Outcome;
use session::{Asked, Session};

/// Options of `cargo xtask demo`.
#[derive(clap::Args)]
#[command(
    after_help = "With LLM_BASE_URL, LLM_MODEL and, where it is needed, LLM_API_KEY set, that model is asked instead of the
stand-in. Then a sample that needs no answer must end as its name says, and every other at its end without a fault of
the host."
)]
pub struct Args {
    /// Folder for database, objects and log [default: demo in the target folder]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Ask the stand-in, even where LLM_BASE_URL names a model
    #[arg(long)]
    stand_in: bool,
}

impl Args {
    /// As on a machine whose environment names no model: what it does is the same everywhere.
    pub fn with_the_stand_in() -> Self {
        Self { data: None, stand_in: true }
    }
}

/// Runs the command.
///
/// # Errors
/// If a stage fails, or a sample did not end as its name says.
pub fn run(args: &Args) -> Result<()> {
    let data = match &args.data {
        Some(folder) => folder.clone(),
        None => run::target().join("demo").join(schema(&paths::root().join("migrations"))?),
    };
    let asked = if args.stand_in { Asked::StandIn } else { Asked::Named };
    let samples = expectation::samples(&paths::root().join("docs/samples"))?;
    let mut stages = Stages::new("cargo xtask demo", 6);
    stages.run("system packages", system::ensure_postgres)?;
    stages.run("guests", || guests::run(&guests::Args::default()))?;
    stages.run("host", || run::run(&mut run::cargo(&["build", "--package", "assay"])))?;
    let session = stages.run("Postgres, S3 server, model and worker", || {
        let progress = spinner("start; guests that are new here are compiled to machine code");
        let session = Session::start(&data, asked, &[])?;
        progress.finish_and_clear();
        println!("{}", session.describe());
        Ok(session)
    })?;
    stages.run("check", || session.check())?;
    let outcomes = stages.run("samples", || {
        println!("submitting {} transcripts of docs/samples and waiting for their ends", samples.len());
        session.process(&samples)
    })?;

    let stand_in = session.ready().model_is_stand_in;
    let rows: Vec<_> = samples
        .iter()
        .zip(&outcomes)
        .map(|(sample, outcome)| (sample, outcome, judge(sample, outcome, stand_in)))
        .collect();
    println!("\n{}\n", outcome::render(&rows));
    println!("{}\n\n{}", session.artifacts(), outcome::render_keys(&rows));
    let log = session.log().display().to_string();
    session.stop()?;
    println!("\n{}", stages.summary());
    let faults: Vec<_> = rows
        .iter()
        .filter_map(|(sample, _, verdict)| Some(format!("{}: {}", sample.name, verdict.as_ref().err()?)))
        .collect();
    if !faults.is_empty() {
        bail!("not every sample ended as it had to; see {log}:\n  {}", faults.join("\n  "));
    }
    if stand_in {
        println!("Every sample ended as its name says.");
    } else {
        println!("Samples that need no model ended as their names say, and no other met a fault of the host.");
    }
    Ok(())
}

/// Returns a name for the schema that these migrations make, so that a cluster of older ones is left alone.
///
/// # Errors
/// If the migrations cannot be read.
fn schema(migrations: &Path) -> Result<String> {
    let list = fs::read_dir(migrations).with_context(|| format!("list {}", migrations.display()))?;
    let mut files = list.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    // Beside them lie a README, and those for the database of another program: none of the demo's.
    files.retain(|file| file.extension().is_some_and(|extension| extension == "sql"));
    files.sort();
    let mut hash = Sha256::new();
    for file in files {
        hash.update(fs::read(&file).with_context(|| format!("read {}", file.display()))?);
    }
    Ok(hex::encode(&hash.finalize()[..6]))
}

/// Returns whether a sample ended as it had to; if not, how it had to.
fn judge(sample: &Sample, outcome: &Outcome, stand_in: bool) -> Result<(), String> {
    let Some(state) = &outcome.status else {
        return Err(outcome.error.clone().unwrap_or_else(|| "it was not submitted".to_owned()));
    };
    let ending = state.ending();
    if stand_in || sample.expected.needs_no_model() {
        if ending == sample.expected {
            return Ok(());
        }
        return Err(format!("should have {}, but has {}", sample.expected, ending));
    }
    // A model may answer badly, refuse or be cut short; that is no fault of the host.
    if ending.may_be_the_models() { Ok(()) } else { Err(format!("has {ending}, which no answer of a model explains")) }
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use super::{
        expectation::Sample,
        judge,
        outcome::{Outcome, State},
        schema,
    };
    use crate::paths;

    fn judged(sample: &str, status: &str, code: Option<&str>, stand_in: bool) -> bool {
        let sample = Sample::parse(Path::new(sample)).unwrap();
        let state = State { status: status.to_owned(), error_code: code.map(str::to_owned), ..State::default() };
        judge(&sample, &Outcome { status: Some(state), error: None }, stand_in).is_ok()
    }

    #[test]
    fn a_cluster_is_named_after_the_migrations_and_nothing_beside_them() {
        assert_eq!(schema(&paths::root().join("migrations")).unwrap().len(), 12);
        let folder = tempfile::tempdir().unwrap();
        let name = || schema(folder.path()).unwrap();
        fs::write(folder.path().join("0001_files.up.sql"), "create table files ()").unwrap();
        let before = name();
        fs::create_dir(folder.path().join("adopted")).unwrap();
        fs::write(folder.path().join("README.md"), "Why there are two folders").unwrap();
        assert_eq!(name(), before);
        fs::write(folder.path().join("0002_jobs.up.sql"), "create table jobs ()").unwrap();
        assert_ne!(name(), before);
    }

    #[test]
    fn a_sample_ends_as_named_with_the_stand_in() {
        assert!(judged("a.succeeds.txt", "succeeded", None, true));
        assert!(!judged("a.succeeds.txt", "failed", Some("llm_refused"), true));
        assert!(judged("a.transcript_empty.txt", "failed", Some("transcript_empty"), true));
        assert!(!judged("a.transcript_empty.txt", "succeeded", None, true));
        assert!(!judged("a.transcript_empty.txt", "failed", Some("guest_trap"), true));
    }

    #[test]
    fn a_model_may_answer_badly_and_the_host_may_not_fail() {
        assert!(judged("a.succeeds.txt", "succeeded", None, false));
        assert!(judged("a.succeeds.txt", "failed", Some("schema_validation_failed"), false));
        assert!(judged("a.schema_validation_failed.txt", "succeeded", None, false));
        assert!(!judged("a.succeeds.txt", "failed", Some("guest_trap"), false));
        assert!(!judged("a.transcript_empty.txt", "succeeded", None, false));
    }

    #[test]
    fn a_sample_that_was_not_submitted_did_not_end() {
        let sample = Sample::parse(Path::new("a.succeeds.txt")).unwrap();
        let outcome = Outcome { status: None, error: Some("s3_write_failed".to_owned()) };
        assert_eq!(judge(&sample, &outcome, false), Err("s3_write_failed".to_owned()));
    }
}
