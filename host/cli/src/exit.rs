//! Failures of commands, and their exit codes.

use std::process::ExitCode;

use assay_core::{env::VariableFault, job_error::JobError};
use assay_db::DbError;

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
                eprintln!("error: the configuration has {} {plural}", faults.len());
                for fault in faults {
                    eprintln!("  {fault}");
                }
                eprintln!("docs/configuration.md lists every variable; .env.example is a template.");
                ExitCode::from(USAGE)
            }
            Self::Other(error) => {
                eprintln!("error: {error:#}");
                ExitCode::FAILURE
            }
        }
    }
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
