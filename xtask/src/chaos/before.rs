//! The revision before, which `upgrade` rolls from: the command takes a revision, the program takes its binary.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::{
    compare,
    revision::{built_revision::BuiltRevision, git},
};

const BEFORE: &str = "--before";
/// The scenario that needs it.
const UPGRADE: &str = "upgrade";
/// Options of the program that take a value.
const WITH_VALUE: [&str; 3] = ["--seed", "--minutes", "--side-by-side"];
/// Options with which nothing runs.
const RUNS_NOTHING: [&str; 3] = ["--plan", "--help", "-h"];

/// The arguments of the program, and the revision before apart from them.
#[derive(Debug, PartialEq, Eq)]
pub struct Arguments {
    pub program: Vec<String>,
    before: Option<String>,
}

impl Arguments {
    /// Takes the revision before out of the arguments of the command.
    ///
    /// # Errors
    /// The option has no value.
    pub fn split(arguments: &[String]) -> Result<Self> {
        let (mut program, mut before) = (Vec::new(), None);
        let mut rest = arguments.iter();
        while let Some(argument) = rest.next() {
            if argument == BEFORE {
                let revision = rest.next().with_context(|| format!("{BEFORE} has no value: expected {BEFORE} REV"))?;
                before = Some(revision.clone());
            } else if let Some(revision) = argument.strip_prefix("--before=") {
                before = Some(revision.to_owned());
            } else {
                program.push(argument.clone());
            }
        }
        Ok(Self { program, before })
    }

    /// Returns whether the run needs the revision before.
    pub fn needs_before(&self) -> bool {
        self.before.is_some() || self.plays_upgrade()
    }

    /// Returns the binary of the revision before, and builds it unless an earlier run did. A path of a binary is taken as it is, which
    /// is how a run names it in the command that repeats it.
    ///
    /// # Errors
    /// The revision is unknown or does not build.
    pub fn before(&self) -> Result<PathBuf> {
        let revision = self.before.clone().map_or_else(compare::revision_before, Ok)?;
        if Path::new(&revision).is_file() {
            return Ok(revision.into());
        }
        Ok(BuiltRevision::of(&git::commit(&revision)?)?.binary())
    }

    /// Returns whether the scenario is named, or runs because none is. A short run, which CI makes, plays it only by name.
    fn plays_upgrade(&self) -> bool {
        let has = |option: &str| self.program.iter().any(|argument| argument == option);
        let scenarios = self.scenarios();
        let plays = if scenarios.is_empty() { !has("--short") } else { scenarios.contains(&UPGRADE) };
        plays && !RUNS_NOTHING.into_iter().any(has)
    }

    fn scenarios(&self) -> Vec<&str> {
        let mut scenarios = Vec::new();
        let mut rest = self.program.iter().map(String::as_str);
        while let Some(argument) = rest.next() {
            if WITH_VALUE.contains(&argument) {
                rest.next();
            } else if !argument.starts_with('-') {
                scenarios.push(argument);
            }
        }
        scenarios
    }
}

#[cfg(test)]
mod tests {
    use super::Arguments;

    fn split(line: &str) -> Arguments {
        Arguments::split(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>()).unwrap()
    }

    #[test]
    fn the_revision_before_is_taken_out_of_the_programs_arguments() {
        for line in ["--seed 1 --before 3f8060d upgrade", "--before=3f8060d --seed 1 upgrade"] {
            let expected = Arguments {
                program: ["--seed", "1", "upgrade"].map(str::to_owned).into(),
                before: Some("3f8060d".to_owned()),
            };
            assert_eq!(split(line), expected);
        }
        assert!(Arguments::split(&["--before".to_owned()]).is_err());
    }

    #[test]
    fn a_run_that_plays_upgrade_needs_the_revision_before() {
        for line in ["", "--minutes 10", "--seed 7 kill upgrade", "--short upgrade", "--short --before HEAD"] {
            assert!(split(line).needs_before(), "{line}");
        }
        for line in ["--short", "--short --seed 1", "--plan", "--help", "--minutes 10 kill", "--seed 1 --minutes 2 old"]
        {
            assert!(!split(line).needs_before(), "{line}");
        }
    }

    #[test]
    fn a_binary_is_taken_as_it_is() {
        let binary = std::env::current_exe().unwrap();
        let arguments = Arguments { program: Vec::new(), before: Some(binary.display().to_string()) };
        assert_eq!(arguments.before().unwrap(), binary);
    }
}
