//! Failures of commands, and their exit codes.

use std::{ffi::OsString, process::ExitCode};

use assay_core::{env::VariableFault, job_error::JobError};
use assay_db::DbError;

use crate::terminal;

/// `EX_USAGE` of sysexits.h: the configuration is wrong, so a restart does not help.
pub const USAGE: u8 = 64;

#[derive(Debug)]
pub enum Failure {
    /// Every fault of the configuration.
    Configuration(Vec<VariableFault>),
    Other(anyhow::Error),
}

impl Failure {
    /// Prints it to standard error.
    pub fn report(&self) -> ExitCode {
        match self {
            Self::Configuration(faults) => {
                let plural = if faults.len() == 1 { "fault" } else { "faults" };
                terminal::error(format_args!("the configuration has {} {plural}", faults.len()));
                for fault in faults {
                    terminal::note(format_args!("  {fault}"));
                }
                terminal::note("docs/configuration.md lists every variable; .env.example is a template.");
                ExitCode::from(USAGE)
            }
            Self::Other(error) => {
                terminal::error(format_args!("{error:#}"));
                ExitCode::FAILURE
            }
        }
    }
}

/// Prints help, the version, or what is wrong with the arguments, which it quotes.
pub fn report_usage(error: &clap::Error) -> ExitCode {
    let is_plain = |argument: OsString| argument.to_str().is_some_and(|text| terminal::plain(text) == text);
    if std::env::args_os().all(is_plain) {
        // With colours on a terminal: the filter would also remove them from our own text. A closed pipe is not an error.
        let _ = error.print();
    } else {
        terminal::note(error.render().to_string().trim_end());
    }
    ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(USAGE))
}

impl From<Vec<VariableFault>> for Failure {
    fn from(faults: Vec<VariableFault>) -> Self {
        Self::Configuration(faults)
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::Other(error)
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::Other(error.into())
    }
}

impl From<DbError> for Failure {
    fn from(error: DbError) -> Self {
        Self::Other(error.into())
    }
}

impl From<JobError> for Failure {
    fn from(error: JobError) -> Self {
        Self::Other(error.into())
    }
}
