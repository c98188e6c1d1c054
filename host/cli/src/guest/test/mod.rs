//! `assay guest test`.

mod bench;
mod fixture_result;
mod junit;
mod render;

use std::{io::IsTerminal, path::PathBuf, process::ExitCode};

use anyhow::Context;
use assay_core::env::Variables;
use assay_guest_build::toolchain;
use assay_guest_test::{Fixture, Fuel};

use crate::{
    exit::Failure,
    guest::{guest_builder::GuestBuilder, source::Source, test::bench::Bench},
    output,
};

/// Run a guest's fixtures in the sandbox, under a worker's limits.
///
/// Each fixture runs twice. Both runs must take the expected steps, with at most 10 % more fuel than the budget for this
/// compiler. Exits with 0 if all pass, else with 1.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  assay guest test                         the guest in this folder
  assay guest test minutes-v1 asks         only fixtures with `asks` in their name
  assay guest test minutes-v1 --accept     store its current results as expected
  assay guest test minutes-v1.wasm --junit results.xml")]
pub struct Arguments {
    /// Folder of the guest, or a component with its fixtures
    #[arg(value_name = "DIR|FILE.wasm", default_value = ".")]
    path: PathBuf,
    /// Only fixtures with this in their name
    #[arg(value_name = "FILTER")]
    filter: Option<String>,
    /// Show the changes, then write them into the fixtures
    #[arg(long)]
    accept: bool,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
    /// Write the results as JUnit XML, for CI
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
}

pub async fn run(arguments: &Arguments, vars: Variables) -> Result<ExitCode, Failure> {
    let source = Source::at(&arguments.path)?;
    if arguments.accept && matches!(source, Source::Component(_)) {
        return Err(anyhow::anyhow!("{source} is already built; use --accept on the folder of its sources").into());
    }
    let builder = GuestBuilder::new(vars)?;
    let built = builder.build(&source).await.with_context(|| format!("build {source}"))?;
    let runtime = builder.runtime()?;
    let guest = runtime.load(&built.bytes).await.map_err(anyhow::Error::from)?;
    let verifier = runtime.verifier(&guest.manifest().schema).await.map_err(anyhow::Error::from)?;
    let all = source.fixtures(&built.bytes)?;
    if all.is_empty() {
        return Err(without_fixtures(&source).into());
    }
    let wanted = |fixture: &&Fixture| arguments.filter.as_ref().is_none_or(|part| fixture.name.contains(part.as_str()));
    let fixtures: Vec<&Fixture> = all.iter().filter(wanted).collect();
    let toolchain = toolchain(&built.bytes).unwrap_or_else(|| "unknown".to_owned());
    let mut bench = Bench {
        guest,
        verifier,
        limits: builder.job_limits().clone(),
        source,
        toolchain,
        fuel: Fuel::of(&all),
        accept: arguments.accept,
        accepted: Vec::new(),
    };
    let results = bench.run(&fixtures, all.len()).await;
    if arguments.json {
        output::print_json(&results)?;
    } else {
        output::print(&render::text(&results, std::io::stdout().is_terminal()))?;
    }
    // Written after the output, so that an interrupt keeps the old fixtures.
    if arguments.accept {
        bench.write_accepted(&all)?;
    }
    if let Some(path) = &arguments.junit {
        let xml = junit::xml(&results).context("write the results as XML")?;
        std::fs::write(path, xml).with_context(|| format!("write {}", path.display()))?;
    }
    Ok(if results.ok { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn without_fixtures(source: &Source) -> anyhow::Error {
    match source {
        Source::Component(_) => anyhow::anyhow!(
            "{source} has no fixtures; record one into the folder of its sources, and build it again: `assay guest try DIR TRANSCRIPT --record NAME`"
        ),
        Source::Folder(_) | Source::Crate(_) => {
            anyhow::anyhow!("{source} has no fixtures; `assay guest try {source} TRANSCRIPT --record NAME` writes one")
        }
    }
}
