//! The sweep that workers do by themselves: once a day, one worker at a time.

use std::time::Duration;

use assay_core::env::Variables;
use tokio_util::sync::CancellationToken;

use super::{Plan, Sweep, Swept};

/// How often a worker looks whether a sweep is due, at most.
const LOOK: Duration = Duration::from_secs(60);
/// How long a sweep is its worker's without a sign of it.
const LEASE: Duration = Duration::from_secs(120);
/// How often it gives one.
const RENEW: Duration = Duration::from_secs(30);

/// Whether workers sweep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SweepMode {
    /// They do not.
    Off,
    /// They count what no row points at.
    Report,
    /// They delete it.
    Delete,
}

/// What the operator says about it.
#[derive(Clone, Debug)]
pub struct SweepConfig {
    /// Whether.
    pub mode: SweepMode,
    /// From the end of one to the next.
    pub every: Duration,
}

impl SweepConfig {
    /// Declares and reads its variables.
    pub fn load(vars: &mut Variables) -> Self {
        let text =
            vars.text("SWEEP", "off", "what workers do with objects that no row points at: off, report or delete");
        let mode = match text.as_str() {
            "off" => SweepMode::Off,
            "report" => SweepMode::Report,
            "delete" => SweepMode::Delete,
            _ => {
                vars.invalid("SWEEP", &text, "expected off, report or delete");
                SweepMode::Off
            }
        };
        let day = Duration::from_secs(24 * 3600);
        Self { mode, every: vars.millis("SWEEP_EVERY_MS", day, "time from one sweep of the workers to the next, ms") }
    }
}

/// The sweeps of one worker.
#[derive(Clone, Debug)]
pub struct Daily {
    /// What sweeps; its plan is the configuration's.
    pub sweep: Sweep,
    /// The worker's name.
    pub worker: String,
    /// When.
    pub config: SweepConfig,
}

impl Daily {
    /// Sweeps until `stop`. A sweep that is cut short is another worker's when its lease is over.
    pub async fn run(mut self, stop: CancellationToken) {
        if self.config.mode == SweepMode::Off {
            return;
        }
        self.sweep.plan = Plan { delete: self.config.mode == SweepMode::Delete, ..Plan::default() };
        loop {
            let pause = self.config.every.min(LOOK).mul_f64(rand::random_range(0.8..1.2));
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.look() => {}
            }
        }
    }

    /// Sweeps where it is due and nobody else does.
    async fn look(&self) {
        match self.sweep.database.begin_sweep(&self.worker, self.config.every, LEASE).await {
            Ok(true) => {}
            Ok(false) => return,
            Err(error) => return tracing::warn!(%error, "look whether a sweep is due"),
        }
        tokio::select! {
            swept = self.sweep.run(&|_| {}) => tell(swept),
            // What is under way is dropped: nothing is deleted any more by then.
            () = self.lost() => return tracing::warn!("stopped sweeping: another worker may sweep by now"),
        }
        if let Err(error) = self.sweep.database.end_sweep(&self.worker).await {
            tracing::warn!(%error, "write that a sweep ended");
        }
    }

    /// Renews the lease, and completes when it is lost or may be.
    async fn lost(&self) {
        let mut renewed = tokio::time::Instant::now();
        loop {
            tokio::time::sleep(RENEW).await;
            let asked = tokio::time::Instant::now();
            match self.sweep.database.renew_sweep(&self.worker, LEASE).await {
                Ok(true) => renewed = asked,
                Ok(false) => return,
                Err(_) if renewed.elapsed() + RENEW >= LEASE => return,
                Err(error) => tracing::debug!(%error, "renew a sweep"),
            }
        }
    }
}

/// Tells how a sweep ended.
fn tell(swept: Result<Swept, super::SweepError>) {
    match swept {
        Ok(Swept { found, deleted, failed, too_many }) => {
            tracing::info!(listed = found.listed, orphans = found.orphans(), deleted, failed, too_many, "bucket swept");
        }
        Err(error) => tracing::warn!(%error, "sweep the bucket"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_swept_unless_the_operator_says_so() {
        assert_eq!(SweepConfig::load(&mut Variables::default()).mode, SweepMode::Off);
        let mut vars = Variables::from_map([("SWEEP".to_owned(), "yes".to_owned())].into());
        assert_eq!(SweepConfig::load(&mut vars).mode, SweepMode::Off);
        let faults = vars.finish().unwrap_err();
        assert_eq!(faults[0].to_string(), "invalid SWEEP `yes`: expected off, report or delete");
    }
}
