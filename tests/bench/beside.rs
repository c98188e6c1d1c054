//! Two revisions in turn, so that other load on the machine hits both.

use std::path::Path;

use anyhow::Context;

use crate::stage::Stage;

pub const ROUNDS: usize = 6;
const JOBS: usize = 3000;
const SLOTS: usize = 64;
const IN_FLIGHT: usize = 1000;

/// What is compared: a name, and which of the figures below.
const FIGURES: [&str; 4] = [
    "CPU of the worker per job, ms",
    "CPU of Postgres per job, ms",
    "jobs per second",
    "memory per call in flight, KB",
];

impl Stage {
    /// Measures both builds, and prints each figure and its ratio.
    ///
    /// # Errors
    /// When not every job succeeds in time.
    pub async fn beside(&self, before: &Path, now: &Path) -> anyhow::Result<()> {
        let (mut of_before, mut of_now) = (Vec::new(), Vec::new());
        for round in 0..ROUNDS {
            // Each goes first as often as the other, on tables that are as empty.
            for is_now in [round % 2 == 1, round % 2 == 0] {
                let (build, figures) = if is_now { (now, &mut of_now) } else { (before, &mut of_before) };
                self.forget_files().await.context("empty the tables")?;
                figures.push(self.figures(build).await.with_context(|| format!("measure {}", build.display()))?);
            }
        }
        println!("  {:<44} {:>9} {:>9} {:>9}", "", "before", "now", "ratio");
        for (at, name) in FIGURES.into_iter().enumerate() {
            let [before, now] = [&of_before, &of_now].map(|rounds| median(rounds.iter().map(|round| round[at])));
            println!("  {name:<44} {before:>9.2} {now:>9.2} {:>9.2}", now / before);
        }
        Ok(())
    }

    async fn figures(&self, build: &Path) -> anyhow::Result<[f64; FIGURES.len()]> {
        let run = self.throughput(build, JOBS, SLOTS).await?;
        let crowd = self.crowd(build, IN_FLIGHT, None).await?;
        Ok([run.cpu_ms_per_job, run.database_ms_per_job, run.jobs_per_second, crowd.kb_per_call])
    }
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<_> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}
