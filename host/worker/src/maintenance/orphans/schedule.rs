//! The sweeps of the workers: once a day, by one worker at a time.

use std::time::Duration;

use assay_core::env::Variables;
use tokio_util::sync::CancellationToken;

use crate::maintenance::{
    every::every,
    orphans::{
        error::SweepError,
        sweep::{Sweep, SweepOptions, SweepSummary},
    },
};

/// Longest time between two checks whether a sweep is due.
const MAX_CHECK_PERIOD: Duration = Duration::from_secs(60);
/// Time after which another worker may sweep, if the lease was not renewed.
const SWEEP_LEASE: Duration = Duration::from_secs(120);
/// Time between two renewals of the lease.
const SWEEP_RENEW_PERIOD: Duration = Duration::from_secs(30);

/// What workers do about orphans.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SweepMode {
    Off,
    /// Count orphans.
    Report,
    /// Count and delete orphans.
    Delete,
}

/// Whether and how often workers sweep.
#[derive(Clone, Debug)]
pub struct SweepConfig {
    pub mode: SweepMode,
    /// Time from the end of one sweep to the start of the next.
    pub period: Duration,
}

impl SweepConfig {
    /// Declares and reads the variables of the sweep.
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
        Self { mode, period: vars.millis("SWEEP_EVERY_MS", day, "time from one sweep of the workers to the next, ms") }
    }
}

/// Sweeps when a sweep is due.
#[derive(Clone, Debug)]
pub struct SweepSchedule {
    /// Sweeps with the options of `config`, not with its own.
    pub sweep: Sweep,
    /// The name of this worker.
    pub worker: String,
    pub config: SweepConfig,
}

impl SweepSchedule {
    /// Sweeps until `stop`. After a sweep that is cut short, another worker may sweep when the lease ends.
    pub async fn run(mut self, stop: CancellationToken) {
        if self.config.mode == SweepMode::Off {
            return;
        }
        let delete = self.config.mode == SweepMode::Delete;
        self.sweep.options = SweepOptions { delete, ..SweepOptions::default() };
        let mut rounds = every(self.config.period.min(MAX_CHECK_PERIOD), &stop);
        while rounds.next().await {
            rounds.run(self.sweep_if_due()).await;
        }
    }

    async fn sweep_if_due(&self) {
        match self.sweep.database.begin_sweep(&self.worker, self.config.period, SWEEP_LEASE).await {
            Ok(true) => {}
            Ok(false) => return,
            Err(error) => return tracing::warn!(%error, "check for a due sweep failed"),
        }
        tokio::select! {
            result = self.sweep.run(&|_| {}) => log_result(result),
            // Drops the sweep, so nothing more is deleted.
            () = self.lease_lost() => return tracing::warn!("stopped sweeping: another worker may sweep by now"),
        }
        if let Err(error) = self.sweep.database.end_sweep(&self.worker).await {
            tracing::warn!(%error, "end of a sweep was not recorded");
        }
    }

    /// Renews the lease. Completes when the lease is lost, or may be.
    async fn lease_lost(&self) {
        let mut renewed = tokio::time::Instant::now();
        loop {
            tokio::time::sleep(SWEEP_RENEW_PERIOD).await;
            let asked = tokio::time::Instant::now();
            match self.sweep.database.renew_sweep(&self.worker, SWEEP_LEASE).await {
                Ok(true) => renewed = asked,
                Ok(false) => return,
                Err(_) if renewed.elapsed() + SWEEP_RENEW_PERIOD >= SWEEP_LEASE => return,
                Err(error) => tracing::debug!(%error, "renewal of the sweep lease failed"),
            }
        }
    }
}

fn log_result(result: Result<SweepSummary, SweepError>) {
    match result {
        Ok(SweepSummary { found, deleted, failed, too_many }) => {
            tracing::info!(listed = found.listed, orphans = found.orphans(), deleted, failed, too_many, "bucket swept");
        }
        Err(error) => tracing::warn!(%error, "sweep failed"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_swept_by_default() {
        assert_eq!(SweepConfig::load(&mut Variables::default()).mode, SweepMode::Off);
        let mut vars = Variables::from_map([("SWEEP".to_owned(), "yes".to_owned())].into());
        assert_eq!(SweepConfig::load(&mut vars).mode, SweepMode::Off);
        let faults = vars.finish().unwrap_err();
        assert_eq!(faults[0].to_string(), "invalid SWEEP `yes`: expected off, report or delete");
    }
}
