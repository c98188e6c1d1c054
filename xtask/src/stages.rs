//! The stages of a command: announces each, measures it, and names the one that fails.

use std::{
    fmt::Write,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};

pub struct Stages {
    command: &'static str,
    total: usize,
    started: usize,
    done: Vec<(&'static str, Duration)>,
}

impl Stages {
    pub fn new(command: &'static str, total: usize) -> Self {
        Self { command, total, started: 0, done: Vec::new() }
    }

    /// Announces a stage, runs it and prints how long it took.
    ///
    /// # Errors
    /// The error of the stage, with its name.
    pub fn run<T>(&mut self, name: &'static str, stage: impl FnOnce() -> Result<T>) -> Result<T> {
        self.started += 1;
        let number = self.started;
        println!("\n[{number}/{}] {name}", self.total);
        let started = Instant::now();
        let result = stage().with_context(|| format!("{}, stage {number} ({name})", self.command))?;
        self.done.push((name, started.elapsed()));
        println!("[{number}/{}] {name}: done in {}", self.total, seconds(started.elapsed()));
        Ok(result)
    }

    /// Returns the times of the stages that succeeded, and their sum.
    pub fn summary(&self) -> String {
        let width = self.done.iter().map(|(name, _)| name.chars().count()).max().unwrap_or_default();
        let mut text = String::new();
        for (name, time) in &self.done {
            // Writing to a string does not fail.
            let _ = writeln!(text, "  {name:<width$}  {:>8}", seconds(*time));
        }
        let all: Duration = self.done.iter().map(|(_, time)| *time).sum();
        let _ = writeln!(text, "  {:<width$}  {:>8}", "together", seconds(all));
        text
    }
}

/// Formats a time as "0.4 s", "12 s" or "3 min 5 s".
pub fn seconds(time: Duration) -> String {
    match time.as_secs() {
        0..10 => format!("{:.1} s", time.as_secs_f64()),
        whole @ 10..60 => format!("{whole} s"),
        whole => format!("{} min {} s", whole / 60, whole % 60),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Stages, seconds};

    #[test]
    fn a_stage_that_fails_is_named_with_its_number() {
        let mut stages = Stages::new("cargo xtask test", 2);
        stages.run("first", || Ok(())).unwrap();
        let error = stages.run("second", || -> anyhow::Result<()> { anyhow::bail!("no luck") }).unwrap_err();
        assert_eq!(format!("{error:#}"), "cargo xtask test, stage 2 (second): no luck");
        assert!(stages.summary().contains("first") && !stages.summary().contains("second"));
        stages.run("third", || Ok(())).unwrap();
        let error = stages.run("fourth", || -> anyhow::Result<()> { anyhow::bail!("no luck") }).unwrap_err();
        assert!(format!("{error:#}").contains("stage 4 (fourth)"), "a stage that failed keeps its number");
    }

    #[test]
    fn a_time_is_shown_in_the_unit_that_fits() {
        let shown = [400, 12_300, 185_000].map(|millis| seconds(Duration::from_millis(millis)));
        assert_eq!(shown, ["0.4 s", "12 s", "3 min 5 s"]);
    }
}
