//! The workers of a stage: real processes that die, stop, go on and are replaced, and the logs that they leave.

use std::{
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
    plan::{Drain, Slot},
    stage::Stage,
};

/// The workers.
#[derive(Debug)]
pub struct Fleet {
    places: Vec<tokio::sync::Mutex<Place>>,
    logs: PathBuf,
    deaths: Mutex<Vec<Death>>,
    stalls: Mutex<Vec<Stall>>,
}

/// Where one worker at a time is.
#[derive(Debug)]
struct Place {
    slot: Slot,
    process: Option<AssayProcess>,
    started: usize,
}

/// A worker that died with whatever it held.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Death {
    /// Its place.
    pub slot: Slot,
    /// When it was dead.
    pub at: OffsetDateTime,
}

/// A worker that was stopped and went on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Stall {
    /// Its place.
    pub slot: Slot,
    /// SIGSTOP.
    pub from: OffsetDateTime,
    /// SIGCONT.
    pub to: OffsetDateTime,
    /// Claims that it held, all of which were over before it went on.
    pub claims: usize,
}

impl Place {
    /// Starts a worker where none is.
    fn start(&mut self, stage: &Stage) {
        if self.process.is_none() {
            self.started += 1;
            self.process = Some(AssayProcess::spawn(&["worker"], &stage.worker(self.slot, self.started)));
        }
    }
}

impl Fleet {
    /// Empty places for workers whose logs are kept in a folder.
    ///
    /// # Errors
    /// Where the folder cannot be made.
    pub fn new(logs: PathBuf, workers: usize) -> anyhow::Result<Self> {
        std::fs::create_dir_all(&logs).with_context(|| logs.display().to_string())?;
        let place = |slot| tokio::sync::Mutex::new(Place { slot, process: None, started: 0 });
        let places = (1..=workers).map(place).collect();
        Ok(Self { places, logs, deaths: Mutex::default(), stalls: Mutex::default() })
    }

    /// The places.
    pub fn slots(&self) -> impl Iterator<Item = Slot> + use<> {
        1..=self.places.len()
    }

    /// Where the logs are.
    pub fn logs(&self) -> &Path {
        &self.logs
    }

    /// Every death so far.
    pub fn deaths(&self) -> Vec<Death> {
        self.deaths.lock().clone()
    }

    /// Every stall so far that has ended.
    pub fn stalls(&self) -> Vec<Stall> {
        self.stalls.lock().clone()
    }

    /// Starts a worker in every place where none is.
    pub async fn fill(&self, stage: &Stage) {
        futures::future::join_all(self.slots().map(|slot| self.start(slot, stage))).await;
    }

    /// Starts a worker where none is.
    pub async fn start(&self, slot: Slot, stage: &Stage) {
        self.place(slot).lock().await.start(stage);
    }

    /// Waits until every worker claims.
    pub async fn ready(&self) {
        for place in &self.places {
            if let Some(process) = &place.lock().await.process {
                process.wait_for_line("worker started").await;
            }
        }
    }

    /// SIGKILL, where a worker is.
    ///
    /// # Errors
    /// Where its log cannot be kept.
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

    /// SIGSTOP, where a worker is; tells when.
    pub async fn stop(&self, slot: Slot) -> Option<OffsetDateTime> {
        let place = self.place(slot).lock().await;
        place.process.as_ref()?.signal(Signal::STOP);
        Some(OffsetDateTime::now_utc())
    }

    /// SIGCONT for who was stopped `from` then and held so many claims.
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
    /// Where its log cannot be kept.
    pub async fn restart(&self, slot: Slot, drain: Drain, stage: &Stage) -> anyhow::Result<()> {
        let mut place = self.place(slot).lock().await;
        self.end_in(&mut place, drain, stage).await?;
        place.start(stage);
        Ok(())
    }

    /// Ends every worker, with time to drain.
    ///
    /// # Errors
    /// Where a log cannot be kept.
    pub async fn end_all(&self, stage: &Stage) -> anyhow::Result<()> {
        let ends = self.slots().map(|slot| self.end(slot, Drain::Whole, stage));
        futures::future::try_join_all(ends).await.map(drop)
    }

    async fn end(&self, slot: Slot, drain: Drain, stage: &Stage) -> anyhow::Result<()> {
        self.end_in(&mut *self.place(slot).lock().await, drain, stage).await
    }

    async fn end_in(&self, place: &mut Place, drain: Drain, stage: &Stage) -> anyhow::Result<()> {
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
            tokio::time::sleep(stage.times.answer / 4).await;
            let at = OffsetDateTime::now_utc();
            process.signal(Signal::KILL);
            self.deaths.lock().push(Death { slot, at });
        }
        let status = self.bury(place, process).await?;
        // Whoever had the time to end has ended well, with or without jobs in hand.
        ensure!(drain == Drain::Cut || status.success(), "w{slot} ended with {status} when it was asked to");
        Ok(())
    }

    /// Whatever is broken around it, no worker ends by itself.
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
    /// Where that cannot be kept.
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
