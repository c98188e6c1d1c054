//! `cargo xtask bench guest`: what a guest's call costs in a sandbox of its own, beside the same work without one, and
//! whether the bounds hold. No test, and no part of CI.
//!
//! Arguments: `--ajv FOLDER`, where xtask installed Ajv, and `--generic [NAME=]FILE`, core modules of the generic guest;
//! the bounds are for the first, and the others are measured beside it. `--uninitialized FILE` is the core module of a guest for
//! the same schema that was not pre-initialized; with it, what that gives is measured too.

#[path = "../bounds.rs"]
#[expect(dead_code, reason = "the bench of the pipeline has bounds from below, too")]
mod bounds;
mod contest;
mod documents;
mod loads;
#[path = "../machine.rs"]
mod machine;
mod node;
mod spread;
mod transfer;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, Result, bail};
use assay_guest_build::{BuildLimits, Builder, componentize, strip};
use assay_runtime::Runtime;

use bounds::Bounds;
use contest::{Contender, Outcome, Turns};
use documents::Document;
use node::Ajv;
use spread::Spread;

/// Samples of each on the small document, and on the large one.
const TURNS: [Turns; 2] = [Turns { rounds: 200, calls: 20 }, Turns { rounds: 100, calls: 5 }];
/// Texts that go in and come out, in bytes, and how often.
const LENGTHS: [usize; 4] = [1 << 10, 64 << 10, 1 << 20, 4 << 20];
const TRANSFERS: usize = 100;

struct Args {
    ajv: PathBuf,
    generics: Vec<(String, PathBuf)>,
    uninitialized: Option<PathBuf>,
}

impl Args {
    fn parse() -> Result<Self> {
        let (mut ajv, mut generics, mut uninitialized) = (None, Vec::new(), None);
        let mut words = std::env::args().skip(1);
        while let Some(word) = words.next() {
            match word.as_str() {
                // Cargo says it to every bench.
                "--bench" => {}
                "--ajv" => ajv = words.next().map(PathBuf::from),
                "--uninitialized" => uninitialized = words.next().map(PathBuf::from),
                "--generic" => {
                    let given = words.next().context("--generic FILE")?;
                    let (name, path) = given.split_once('=').unwrap_or(("as built", &given));
                    generics.push((name.to_owned(), PathBuf::from(path)));
                }
                other => bail!("unknown argument {other}"),
            }
        }
        let ajv = ajv.context("--ajv FOLDER is missing; `cargo xtask bench guest` gives it")?;
        if generics.is_empty() {
            bail!("--generic FILE is missing; `cargo xtask bench guest` gives it");
        }
        Ok(Self { ajv, generics, uninitialized })
    }
}

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let args = Args::parse()?;
    let documents = [documents::small(), documents::large()];
    let folder = tempfile::tempdir()?;
    let cache = folder.path().join("cache");
    let (runtime, keeping) = (loads::runtime(&cache)?, loads::runtime(&cache)?);
    println!("{}", machine::machine());
    println!(
        "pooling: {}; schema report.v2; parse, validate, serialize; a fresh instance from instantiation to drop\n",
        runtime.is_pooling()
    );

    let mut bounds = Bounds::default();
    let mut guests = Vec::new();
    for (index, (name, path)) in args.generics.iter().enumerate() {
        let generic = std::fs::read(path).with_context(|| format!("read {}", path.display()))?;
        let build = loads::build(&generic).with_context(|| format!("build a guest of {name}"))?;
        if index == 0 {
            report_loads(&build, &loads::run(&build.component).await?, &mut bounds);
        }
        let guest = runtime.load(&build.component).await.with_context(|| format!("load {name}"))?;
        let kept = keeping.load(&build.component).await?;
        guests.push(Contender { name: name.clone(), guest, kept });
    }
    for transfer in transfer::run(&keeping, &LENGTHS, TRANSFERS).await? {
        report_transfer(&transfer);
    }
    let mut ajv = Ajv::start(&args.ajv, &documents)?;
    for (index, (document, turns)) in documents.iter().zip(TURNS).enumerate() {
        let outcome = tokio::task::block_in_place(|| contest::run(turns, index, document, &mut ajv, &guests))?;
        report(document, &ajv.name, &guests, &outcome, &mut bounds);
    }
    if let Some(core) = &args.uninitialized {
        report_measures(core, &args.generics[0].1, &runtime, &guests[0], &documents[0]).await?;
    }
    Ok(bounds.verdict())
}

/// What two of the measures give that no other build of the generic guest can show.
async fn report_measures(
    core: &Path,
    generic: &Path,
    runtime: &Runtime,
    shipped: &Contender,
    document: &Document,
) -> Result<()> {
    let core = std::fs::read(core).with_context(|| format!("read {}", core.display()))?;
    let uninitialized =
        runtime.load(&componentize(&strip(&core)?)?).await.context("load the guest as it is compiled")?;
    let builder = Builder::new(BuildLimits::default())?;
    let anything = builder.specialize(&std::fs::read(generic)?, &loads::parts("{}"))?.bytes;
    let anything = runtime.load(&anything).await.context("load a guest for any document")?;
    let turns = Turns { rounds: 40, calls: 10 };
    let all = [&shipped.guest, &anything, &uninitialized];
    let spreads = tokio::task::block_in_place(|| contest::checks(turns, document, &all))?;
    println!("{} document, check in a fresh instance, us:  p50 and p99", document.name);
    line("as shipped", &spreads[0]);
    line("a schema that takes anything: parse alone", &spreads[1]);
    line("not pre-initialized", &spreads[2]);
    Ok(())
}

fn line(name: &str, spread: &Spread) {
    println!("  {name:<44} {:>9.1} {:>9.1}", spread.p50(), spread.p99());
}

fn report_loads(build: &loads::Build, loads: &loads::Loads, bounds: &mut Bounds) {
    println!(
        "a guest without code, {:.1} MB; its image {:.1} MB",
        loads.component_bytes as f64 / 1e6,
        loads.image_bytes as f64 / 1e6
    );
    println!("  {:<44} {:>9.2}", "build, ms", build.first.as_secs_f64() * 1e3);
    println!("  {:<44} {:>9.2}", "build again in the same process, ms", build.second.as_secs_f64() * 1e3);
    println!("  {:<44} {:>9.2}", "compile and load, ms", loads.compile.as_secs_f64() * 1e3);
    println!("  {:<44} {:>9.2}", "first load in a process, cached, ms", loads.first.as_secs_f64() * 1e3);
    bounds.at_most("later load, cached, ms", loads.later.p50() / 1e3, 2.0, None);
    println!("  {:<44} {:>9.2}", "later load, cached, p99, ms", loads.later.p99() / 1e3);
    println!("  {:<44} {:>9.2}", "later load with the guest's bytes, ms", loads.later_with_bytes.p50() / 1e3);
}

fn report_transfer(transfer: &transfer::Transfer) {
    let gigabytes = |spread: &Spread| 2.0 * transfer.bytes as f64 / spread.p50() / 1e3;
    println!(
        "  {:>4} KB in and out: p50 {:>8.1} us, p99 {:>8.1}, {:>5.2} GB/s; in a fresh instance {:>8.1} us, {:>8.1}, {:>5.2} GB/s",
        transfer.bytes >> 10,
        transfer.warm.p50(),
        transfer.warm.p99(),
        gigabytes(&transfer.warm),
        transfer.fresh.p50(),
        transfer.fresh.p99(),
        gigabytes(&transfer.fresh)
    );
}

fn report(document: &Document, ajv: &str, guests: &[Contender], outcome: &Outcome, bounds: &mut Bounds) {
    println!(
        "{} document ({} bytes), {} calls of each, us:  p50 and p99",
        document.name,
        document.text.len(),
        outcome.native.count()
    );
    line("jsonschema, native", &outcome.native);
    line(ajv, &outcome.ajv);
    line(&format!("{ajv}, bytes to bytes"), &outcome.ajv_bytes);
    for (index, (contender, measured)) in guests.iter().zip(&outcome.guests).enumerate() {
        println!("guest, {}, {:.1} MB of memory", contender.name, measured.peak_memory as f64 / 1e6);
        line("a kept instance, advance", &measured.warm);
        line("a fresh instance, advance", &measured.fresh);
        line("the same, thread and back", &measured.called);
        line("a fresh instance, check (no serializing)", &measured.check);
        line("instantiate and drop", &measured.instantiate);
        let times = measured.fresh.p50() / outcome.ajv.p50();
        if index == 0 {
            bounds.at_most("a fresh call, times Ajv", times, 2.0, Some(1.0));
            bounds.at_most("instantiate and drop, us", measured.instantiate.p50(), 30.0, None);
        } else {
            println!("  {:<44} {times:>9.2}", "a fresh call, times Ajv");
        }
    }
}
