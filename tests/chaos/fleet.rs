//! The workers of a stage: real processes that die, stop, go on and are replaced, and the logs that they leave.

#![expect(clippy::disallowed_methods, reason = "signals are compared with rows, whose database has the same clock")]

use std::{
    collections::BTreeMap,
    fs::File,
    io::{BufWriter, Write},
    path::{Path, PathBuf},
    process::ExitStatus,
};

use anyhow::{Context, bail, ensure};
use assay_tests::{AssayProcess, Signal};
use parking_lot::Mutex;
use time::OffsetDateTime;

use crate::{
    revision::Revision,
    services::{Services, worker_id},
    slot::Slot,
    step::Drain,
};

#[derive(Debug)]
pub struct Fleet {
    places: Vec<tokio::sync::Mutex<Place>>,
    logs: PathBuf,
    deaths: Mutex<Vec<Death>>,
    stalls: Mutex<Vec<Stall>>,
    /// The binary of the revision before, where workers of it play.
    before: Option<PathBuf>,
    /// The revision of each worker, by its id.
    revisions: Mutex<BTreeMap<String, Revision>>,
}

/// One worker at a time.
#[derive(Debug)]
struct Place {
    slot: Slot,
    process: Option<AssayProcess>,
    started: usize,
    /// Of the next worker.
    revision: Revision,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Death {
    pub slot: Slot,
    pub at: OffsetDateTime,
}

/// A worker that was stopped and went on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Stall {
    pub slot: Slot,
    pub from: OffsetDateTime,
    pub to: OffsetDateTime,
    /// Claims that it held, all of which were over before it went on.
    pub claims: usize,
}

impl Fleet {
    /// Makes empty places for workers whose logs go into a folder. The first workers are of the revision before, where there is its binary.
    ///
    /// # Errors
    /// If the folder cannot be made.
    pub fn new(logs: PathBuf, workers: usize, before: Option<PathBuf>) -> anyhow::Result<Self> {
        std::fs::create_dir_all(&logs).with_context(|| logs.display().to_string())?;
        let revision = if before.is_some() { Revision::Before } else { Revision::This };
        let place = |slot| tokio::sync::Mutex::new(Place { slot, process: None, started: 0, revision });
        let places = (1..=workers).map(place).collect();
        let (deaths, stalls, revisions) = (Mutex::default(), Mutex::default(), Mutex::default());
        Ok(Self { places, logs, deaths, stalls, before, revisions })
    }

    /// Returns the places.
    pub fn slots(&self) -> impl Iterator<Item = Slot> + use<> {
        1..=self.places.len()
    }

    /// Returns where the logs are.
    pub fn logs(&self) -> &Path {
        &self.logs
    }

    /// Returns the binary of the revision before, where workers of it play.
    pub fn before(&self) -> Option<&Path> {
        self.before.as_deref()
    }

    /// Returns every death so far.
    pub fn deaths(&self) -> Vec<Death> {
        self.deaths.lock().clone()
    }

    /// Returns the stalls that have ended.
    pub fn stalls(&self) -> Vec<Stall> {
        self.stalls.lock().clone()
    }

    /// Returns the revision of every worker so far, by its id.
    pub fn revisions(&self) -> BTreeMap<String, Revision> {
        self.revisions.lock().clone()
    }

    /// Starts a worker in every place where none is.
    pub async fn fill(&self, services: &Services) {
        futures::future::join_all(self.slots().map(|slot| self.start(slot, services))).await;
    }

    /// Starts a worker where none is.
    pub async fn start(&self, slot: Slot, services: &Services) {
        self.start_in(&mut *self.place(slot).lock().await, services);
    }

    fn start_in(&self, place: &mut Place, services: &Services) {
        if place.process.is_some() {
            return;
        }
        place.started += 1;
        self.revisions.lock().insert(worker_id(place.slot, place.started), place.revision);
        let program = match (place.revision, &self.before) {
            (Revision::Before, Some(before)) => before.clone(),
            _ => assay_tests::binary(),
        };
        let env = services.worker(place.slot, place.started);
        place.process = Some(AssayProcess::spawn_program(&program, &["worker"], &env));
    }

    /// Waits until every worker claims.
    pub async fn ready(&self) {
        for place in &self.places {
            if let Some(process) = &place.lock().await.process {
                process.wait_for_line("worker started").await;
            }
        }
    }

    /// Sends SIGKILL to the worker in this place.
    ///
    /// # Errors
    /// If its log cannot be kept.
    pub async fn kill(&self, slot: Slot) -> anyhow::Result<()> {
        let mut place = self.place(slot).lock().await;
        if let Some(mut process) = place.process.take() {
            self.alive(slot, &mut process)?;
            process.signal(Signal::KILL);
            let at = OffsetDateTime::now_utc();
            self.bury(&place, process).await?;
            self.deaths.lock().push(Death { slot, at });
        }
        Ok(())
    }

    /// Sends SIGSTOP to the worker in this place; returns when.
    pub async fn stop(&self, slot: Slot) -> Option<OffsetDateTime> {
        let place = self.place(slot).lock().await;
        place.process.as_ref()?.signal(Signal::STOP);
        Some(OffsetDateTime::now_utc())
    }

    /// Sends SIGCONT to a worker that was stopped at `from` with so many claims.
    pub async fn go_on(&self, slot: Slot, from: OffsetDateTime, claims: usize) {
        let place = self.place(slot).lock().await;
        if let Some(process) = &place.process {
            // Before the signal: what it does from here on, it does as one that was stalled.
            self.stalls.lock().push(Stall { slot, from, to: OffsetDateTime::now_utc(), claims });
            process.signal(Signal::CONT);
        }
    }

    /// Ends a worker as an orchestrator does, and starts another one in its place.
    ///
    /// # Errors
    /// If its log cannot be kept.
    pub async fn restart(&self, slot: Slot, drain: Drain, services: &Services) -> anyhow::Result<()> {
        let mut place = self.place(slot).lock().await;
        self.end_in(&mut place, drain, services).await?;
        self.start_in(&mut place, services);
        Ok(())
    }

    /// As [`Self::restart`], and the other one is of this revision.
    ///
    /// # Errors
    /// If its log cannot be kept.
    pub async fn roll(&self, slot: Slot, drain: Drain, to: Revision, services: &Services) -> anyhow::Result<()> {
        let mut place = self.place(slot).lock().await;
        self.end_in(&mut place, drain, services).await?;
        place.revision = to;
        self.start_in(&mut place, services);
        Ok(())
    }

    /// Ends every worker, with time to drain.
    ///
    /// # Errors
    /// If a log cannot be kept.
    pub async fn end_all(&self, services: &Services) -> anyhow::Result<()> {
        let ends = self.slots().map(|slot| self.end(slot, Drain::Whole, services));
        futures::future::try_join_all(ends).await.map(drop)
    }

    async fn end(&self, slot: Slot, drain: Drain, services: &Services) -> anyhow::Result<()> {
        self.end_in(&mut *self.place(slot).lock().await, drain, services).await
    }

    async fn end_in(&self, place: &mut Place, drain: Drain, services: &Services) -> anyhow::Result<()> {
        let Some(mut process) = place.process.take() else { return Ok(()) };
        let slot = place.slot;
        self.alive(slot, &mut process)?;
        if drain != Drain::Cut {
            // A process that does not listen to signals yet just dies of one.
            process.wait_for_line_or_end("worker started").await;
        }
        process.signal(Signal::TERM);
        // A worker that has hardly begun may end at once.
        if drain == Drain::GiveBack && process.wait_for_line_or_end("draining").await {
            process.signal(Signal::TERM);
        }
        if drain == Drain::Cut {
            // What the orchestrator's patience is, not a wait for anything.
            tokio::time::sleep(services.times.answer / 4).await;
            let at = OffsetDateTime::now_utc();
            process.signal(Signal::KILL);
            self.deaths.lock().push(Death { slot, at });
        }
        let status = self.bury(place, process).await?;
        // A worker that had the time to end exits with 0, with or without jobs in hand.
        ensure!(drain == Drain::Cut || status.success(), "w{slot} ended with {status} when it was asked to");
        Ok(())
    }

    /// Checks that the worker has not ended by itself.
    fn alive(&self, slot: Slot, process: &mut AssayProcess) -> anyhow::Result<()> {
        if process.has_ended() {
            self.keep(&format!("w{slot}-that-ended"), process)?;
            bail!("w{slot} has ended by itself: {:?}", process.stderr().last());
        }
        Ok(())
    }

    /// Keeps what a process has written.
    ///
    /// # Errors
    /// If that cannot be kept.
    pub fn keep(&self, name: &str, process: &AssayProcess) -> anyhow::Result<()> {
        let path = self.logs.join(name).with_extension("log");
        let mut log = BufWriter::new(File::create(&path).with_context(|| path.display().to_string())?);
        for line in process.stdout().iter().chain(&process.stderr()) {
            writeln!(log, "{line}")?;
        }
        Ok(log.flush()?)
    }

    /// Waits for the end and keeps the log.
    async fn bury(&self, place: &Place, mut process: AssayProcess) -> anyhow::Result<ExitStatus> {
        let status = process.wait().await;
        self.keep(&format!("w{}-{}", place.slot, place.started), &process)?;
        Ok(status)
    }

    fn place(&self, slot: Slot) -> &tokio::sync::Mutex<Place> {
        &self.places[slot - 1]
    }
}
