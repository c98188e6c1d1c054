//! Which step of a build failed, and why. No message has a word of the guest.

use std::{fmt, time::Duration};

/// The steps of a build, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BuildStep {
    Engine,
    /// Reads the core module and prepares it for a snapshot.
    Read,
    Compile,
    /// Compares its imports with the world.
    Imports,
    /// Instantiates it; start functions run here.
    Instantiate,
    /// Writes the parts into its memory.
    Inject,
    /// Runs `wizer-initialize`.
    Initialize,
    Snapshot,
    Componentize,
    /// Adds name, version and origin.
    Stamp,
}

impl fmt::Display for BuildStep {
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

/// Why a step failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BuildReason {
    /// Over a size limit, in bytes.
    #[error("{actual} bytes are over the limit of {limit}")]
    TooLarge { actual: usize, limit: usize },
    /// Stopped at its time limit.
    #[error("stopped after {0:?}")]
    TimedOut(Duration),
    /// Over the limit of memory, in bytes, or of table elements.
    #[error("out of memory: the limit is {0} bytes")]
    OutOfMemory(usize),
    /// Ended in a trap, with Wasmtime's name of it.
    #[error("trapped: {0}")]
    Trapped(String),
    /// Has an import that no guest gets.
    #[error("asks for {0}, which no guest gets")]
    ForeignImport(String),
    /// Lacks an export, or has it with another type.
    #[error("has no export {0} of the right type")]
    MissingExport(&'static str),
    /// Refused room for this many bytes of parts.
    #[error("the guest refused {0} bytes")]
    Refused(usize),
    /// The message of the tool for the step: about the module's structure, never its data.
    #[error("{0}")]
    Invalid(String),
}

/// A row of docs/errors.md.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReasonRow {
    pub code: &'static str,
    pub happened: &'static str,
    pub fix: &'static str,
}

/// Writes the one table of reasons twice: as a list for pages, and as a match that the compiler checks for completeness.
macro_rules! rows {
    ($($pattern:pat => $code:literal, $happened:literal, $fix:literal;)*) => {
        impl BuildReason {
            /// One row per variant, in the order of docs/errors.md.
            pub const ROWS: &'static [ReasonRow] = &[$(ReasonRow { code: $code, happened: $happened, fix: $fix }),*];

            /// Returns the variant's row.
            pub const fn row(&self) -> ReasonRow {
                match self {
                    $($pattern => ReasonRow { code: $code, happened: $happened, fix: $fix },)*
                }
            }
        }
    };
}

rows! {
    Self::TooLarge { .. } => "build_too_large",
        "The module or the component is over its limit.",
        "Strip it.";
    Self::TimedOut(_) => "build_timeout",
        "The start function or the initializer ran longer than the limit.",
        "Fix the initializer.";
    Self::OutOfMemory(_) => "build_out_of_memory",
        "It needed more memory or table space than the limit.",
        "Keep less in the initializer.";
    Self::Trapped(_) => "build_trap",
        "It trapped: a panic, a bad access, or no stack left. The guest's last words are only for its author.",
        "Fix the initializer. For a guest without code, fix its prompt or schema.";
    Self::ForeignImport(_) => "build_foreign_import",
        "It imports another interface than `assay:report/log`. The message names it.",
        "Build it for wasm32-unknown-unknown, without an adapter.";
    Self::MissingExport(_) => "build_missing_export",
        "It lacks an export, or the export has another type. The message names it.",
        "Export the guest with the SDK's macro.";
    Self::Refused(_) => "build_parts_refused",
        "It has no room for its prompt and schema.",
        "Make them smaller.";
    Self::Invalid(_) => "build_invalid",
        "A step refuses the module's structure. The message says which step and why.",
        "Build it again with the SDK and toolchain of this version.";
}

/// A failed build, with its step. [`Self::said`] has the guest's own words: for its author, never for a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuildError {
    step: BuildStep,
    reason: BuildReason,
    said: Option<String>,
}

impl BuildError {
    pub(super) fn new(step: BuildStep, reason: BuildReason) -> Self {
        Self { step, reason, said: None }
    }

    pub(super) fn invalid(step: BuildStep, error: impl fmt::Display) -> Self {
        Self::new(step, BuildReason::Invalid(error.to_string()))
    }

    pub(super) fn with_said(mut self, said: Option<String>) -> Self {
        self.said = said;
        self
    }

    /// Returns the step that failed.
    pub fn step(&self) -> BuildStep {
        self.step
    }

    /// Returns why the step failed.
    pub fn reason(&self) -> &BuildReason {
        &self.reason
    }

    /// Returns the code of the reason, stable for records; see [`BuildReason::ROWS`].
    pub const fn code(&self) -> &'static str {
        self.reason.row().code
    }

    /// Returns the guest's last log line: "unknown placeholder {{transkript}}". At most 4 KiB, control characters replaced.
    /// Content: it may quote prompt and schema. Show it to the author, never log it.
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
