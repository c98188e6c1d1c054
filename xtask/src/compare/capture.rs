//! Everything of one revision that is compared, by the name of the item.

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::{
    artifacts,
    commands::{Kind, STEPS, SUBMIT},
    help,
    invoke::{Answer, Invoker},
    metrics, pages,
};
use crate::{
    demo::session::{Asked, Program, Session},
    guests::spinner,
    revision::built_revision::{BuiltRevision, ERRORS, VARIABLES},
};

/// Items by name.
pub type Capture = BTreeMap<String, Value>;

/// Names the worker as on every machine, and lets it see and show a change of releases within a second.
const SETTINGS: [(&str, &str); 3] = [("RELEASE_POLL_MS", "200"), ("WORKER_BEAT_MS", "500"), ("WORKER_ID", "worker")];
/// Longer than every wait of the samples for a rate limit.
const END_TIMEOUT: Duration = Duration::from_secs(120);
/// Longer than a worker takes to see and show a change of releases.
const SETTLE_DELAY: Duration = Duration::from_secs(2);
const SETTLE_TRIES: u32 = 15;
const POLL_DELAY: Duration = Duration::from_millis(200);

/// Runs a revision on empty services below `data`.
///
/// # Errors
/// Where the services do not come up, or a sample does not end. A command that fails is part of the answer.
pub fn of(revision: &BuiltRevision, data: &Path, known: Option<&Capture>) -> Result<Capture> {
    let mut capture = Capture::new();
    capture.insert("variables".to_owned(), pages::variables(&revision.page(VARIABLES)?));
    capture.insert("codes".to_owned(), pages::codes(&revision.page(ERRORS)?));
    let known = known.and_then(|known| known.get("help"));
    capture.insert("help".to_owned(), help::of(&revision.binary(), known)?);

    if data.exists() {
        fs::remove_dir_all(data).with_context(|| format!("remove {}", data.display()))?;
    }
    let progress = spinner(format!("{}: start", revision.name));
    let program = Program { binary: revision.binary(), guests: revision.guests() };
    let session = Session::start_program(program, data, Asked::StandIn, &SETTINGS)?;
    let mut invoker = Invoker::new(&session, revision, data.join("work"))?;
    progress.set_message(format!("{}: {}", revision.name, SUBMIT.name));
    let submitted = invoker.run(&SUBMIT, None)?;
    invoker.remember(&submitted)?;
    capture.insert(format!("command {}", SUBMIT.name), submitted.masked(&invoker.names(), SUBMIT.kind));
    for step in STEPS {
        progress.set_message(format!("{}: {}", revision.name, step.name));
        match step.kind {
            Kind::Wait => wait(&invoker, step.arguments)?,
            Kind::EachSample | Kind::EachDocument => {
                for sample in invoker.sample_names() {
                    let answer = invoker.run(step, Some(&sample))?.masked(&invoker.names(), step.kind);
                    capture.insert(format!("command {} {sample}", step.name), answer);
                }
            }
            Kind::Once | Kind::Unordered => {
                let answer = invoker.run(step, None)?.masked(&invoker.names(), step.kind);
                capture.insert(format!("command {}", step.name), answer);
            }
            Kind::Settled => {
                let answer = settled(|| Ok(invoker.run(step, None)?.masked(&invoker.names(), step.kind)))?;
                capture.insert(format!("command {}", step.name), answer);
            }
        }
    }
    capture.insert("health".to_owned(), metrics::health(&session.ready().admin)?);
    capture.insert("metrics".to_owned(), metrics::of(&session.ready().admin)?);
    capture.extend(artifacts::of(&session.ready().objects_folder, &invoker.names())?);
    session.stop()?;
    progress.finish_and_clear();
    Ok(capture)
}

fn wait(invoker: &Invoker<'_>, sample: &str) -> Result<()> {
    let until = Instant::now() + END_TIMEOUT;
    while Instant::now() < until {
        let Answer { stdout, .. } = invoker.words(&["status", &invoker.file(sample)?, "--json"])?;
        let state: Value = serde_json::from_str(&stdout).context("understand what assay status says")?;
        if matches!(state["status"].as_str(), Some("succeeded" | "failed")) {
            return Ok(());
        }
        sleep(POLL_DELAY);
    }
    bail!("{sample} has not ended within {} s", END_TIMEOUT.as_secs())
}

/// Returns the first answer that is given twice.
fn settled(ask: impl Fn() -> Result<Value>) -> Result<Value> {
    let mut answer = ask()?;
    for _ in 0..SETTLE_TRIES {
        sleep(SETTLE_DELAY);
        let earlier = std::mem::replace(&mut answer, ask()?);
        if earlier == answer {
            break;
        }
    }
    Ok(answer)
}
