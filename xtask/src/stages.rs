//! A command of several stages: which one runs, how long each took, and where it ended.

use std::{
    fmt::Write,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};

/// The stages of one command.
pub struct Stages {
    command: &'static str,
    total: usize,
    done: Vec<(&'static str, Duration)>,
}

impl Stages {
    /// A command of `total` stages.
    pub fn new(command: &'static str, total: usize) -> Self {
        Self { command, total, done: Vec::new() }
    }

    /// Announces a stage, runs it and tells how long it took.
    ///
    /// # Errors
    /// The stage's own, with its name.
    pub fn run<T>(&mut self, name: &'static str, stage: impl FnOnce() -> Result<T>) -> Result<T> {
        let number = self.done.len() + 1;
        println!("\n[{number}/{}] {name}", self.total);
        let started = Instant::now();
        let result = stage().with_context(|| format!("{}, stage {number} ({name})", self.command))?;
        self.done.push((name, started.elapsed()));
        println!("[{number}/{}] {name}: done in {}", self.total, seconds(started.elapsed()));
        Ok(result)
    }

    /// What each stage took, and all of them together.
    pub fn summary(&self) -> String {
        let width = self.done.iter().map(|(name, _)| name.chars().count()).max().unwrap_or_default();
        let mut text = String::new();
        for (name, time) in &self.done {
            // A string takes whatever is written to it.
            let _ = writeln!(text, "  {name:<width$}  {:>8}", seconds(*time));
        }
        let all: Duration = self.done.iter().map(|(_, time)| *time).sum();
        let _ = writeln!(text, "  {:<width$}  {:>8}", "together", seconds(all));
        text
    }
}

/// "0.4 s", "12 s", "3 min 5 s"
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
    }

    #[test]
    fn times_are_told_as_a_person_reads_them() {
        let told = [400, 12_300, 185_000].map(|millis| seconds(Duration::from_millis(millis)));
        assert_eq!(told, ["0.4 s", "12 s", "3 min 5 s"]);
    }
}
