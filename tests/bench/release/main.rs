//! `cargo xtask bench release`: releases are exchanged under load, and the bounds hold. No test, and no part of CI.
//!
//! First a replay of stored answers, alone. Then one worker (the release binary, a process of its own), Postgres with `synchronous_commit=on`, and in this process an S3 server
//! that keeps its objects in memory and a model that takes a second; everything on loopback and on one machine. Releases are
//! built, published and activated by the commands. Every time is the database's: from the row of the audit to the first claim.
//!
//! Arguments: `--swaps N`, how often a release that the worker has is activated; 50 where not given.

#[path = "../bounds.rs"]
mod bounds;
mod flow;
mod guests;
#[path = "../machine.rs"]
mod machine;
mod model;
mod purity;
mod replay;
#[path = "../stage.rs"]
#[expect(dead_code, reason = "the bench of the pipeline empties tables, too")]
mod stage;
#[path = "../store.rs"]
mod store;
mod swaps;
#[path = "../talk.rs"]
mod talk;
#[path = "../usage.rs"]
#[expect(dead_code, reason = "the bench of the pipeline measures CPU, too")]
mod usage;

use std::process::ExitCode;

use anyhow::{Context, bail};

use bounds::Bounds;
use stage::Stage;

const SWAPS: usize = 50;

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    if std::env::args().any(|word| word == replay::ALONE) {
        replay::alone().await?;
        return Ok(ExitCode::SUCCESS);
    }
    let swaps = swaps_wanted()?;
    let folder = tempfile::tempdir()?;
    println!("{}", machine::machine());
    println!("one worker, synchronous_commit=on, S3 server (in memory) and model in one other process\n");
    let mut bounds = Bounds::default();
    replay::run(&mut bounds).context("measure a replay")?;
    // Only now: what it runs would take a share of the cores.
    let stage = Stage::set_up().await.context("set the stage")?;
    swaps::run(stage, swaps, folder.path(), &mut bounds).await.context("measure swaps")?;
    Ok(bounds.verdict())
}

fn swaps_wanted() -> anyhow::Result<usize> {
    let mut swaps = SWAPS;
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        match word.as_str() {
            // Cargo says it to every bench.
            "--bench" => {}
            "--swaps" => swaps = words.next().context("--swaps N")?.parse().context("--swaps N")?,
            other => bail!("unknown argument {other}"),
        }
    }
    Ok(swaps)
}
