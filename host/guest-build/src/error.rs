//! Which step of a build did not work, and why. Nothing that the guest says is in a message.

use std::{fmt, time::Duration};

/// The steps of a build, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Set up the engine.
    Engine,
    /// Read the core module and prepare it for a snapshot.
    Read,
    /// Compile it.
    Compile,
    /// Hold its imports against the world.
    Imports,
    /// Instantiate it; start functions run here.
    Instantiate,
    /// Write the parts into its memory.
    Inject,
    /// Run `wizer-initialize`.
    Initialize,
    /// Keep the memory.
    Snapshot,
    /// Make it a component.
    Componentize,
    /// Write down what it is and where it comes from.
    Stamp,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Engine => "set up the build engine",
            Self::Read => "read the core module",
            Self::Compile => "compile the core module",
            Self::Imports => "check the imports",
            Self::Instantiate => "instantiate the core module",
            Self::Inject => "inject the parts",
            Self::Initialize => "run the initializer",
            Self::Snapshot => "take the snapshot",
            Self::Componentize => "make the component",
            Self::Stamp => "stamp the component",
        })
    }
}

/// Why a step did not work.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// Over a size limit, in bytes.
    #[error("{actual} bytes are over the limit of {limit}")]
    TooLarge {
        /// What it has.
        actual: usize,
        /// What it may have.
        limit: usize,
    },
    /// Not stopped by itself.
    #[error("stopped after {0:?}")]
    TimedOut(Duration),
    /// Wanted more than the limit.
    #[error("out of memory: the limit is {0} bytes")]
    OutOfMemory(usize),
    /// Ended in a trap; its name in Wasmtime.
    #[error("trapped: {0}")]
    Trapped(String),
    /// Asks for something that no guest gets.
    #[error("asks for {0}, which no guest gets")]
    ForeignImport(String),
    /// Lacks an export, or has it with another type.
    #[error("has no export {0} of the right type")]
    MissingExport(&'static str),
    /// The guest refused the room for its parts.
    #[error("the guest refused {0} bytes")]
    Refused(usize),
    /// The tool that did the step says so; about the module's structure, never its data.
    #[error("{0}")]
    Invalid(String),
}

/// A build that ended, with its step. [`Self::said`] holds the guest's own words, for its author and for nobody's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuildError {
    step: Step,
    reason: Reason,
    said: Option<String>,
}

impl BuildError {
    pub(super) fn new(step: Step, reason: Reason) -> Self {
        Self { step, reason, said: None }
    }

    pub(super) fn invalid(step: Step, error: impl fmt::Display) -> Self {
        Self::new(step, Reason::Invalid(error.to_string()))
    }

    pub(super) fn with_said(mut self, said: Option<String>) -> Self {
        self.said = said;
        self
    }

    /// The step that did not work.
    pub fn step(&self) -> Step {
        self.step
    }

    /// Why not.
    pub fn reason(&self) -> &Reason {
        &self.reason
    }

    /// A stable name for records, by the reason alone; docs/errors.md has a row for each.
    pub fn code(&self) -> &'static str {
        match self.reason {
            Reason::TooLarge { .. } => "build_too_large",
            Reason::TimedOut(_) => "build_timeout",
            Reason::OutOfMemory(_) => "build_out_of_memory",
            Reason::Trapped(_) => "build_trap",
            Reason::ForeignImport(_) => "build_foreign_import",
            Reason::MissingExport(_) => "build_missing_export",
            Reason::Refused(_) => "build_parts_refused",
            Reason::Invalid(_) => "build_invalid",
        }
    }

    /// What the guest sent to its log before it stopped: "unknown placeholder {{transkript}}". At most 4 KiB, control characters replaced.
    /// It may quote prompt and schema: show it to the author, never log it.
    pub fn said(&self) -> Option<&str> {
        self.said.as_deref()
    }
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.step, self.reason)
    }
}

impl std::error::Error for BuildError {}
