//! Why a guest does not load: one variant per rule, each with a fix and without a word of the guest.

use std::io;

use crate::fault::Fault;

/// Why a guest does not load.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LoadError {
    /// Larger than [`crate::Limits::component_bytes`].
    #[error("admit the guest: its {bytes} bytes exceed the limit of {limit}; strip it, or raise the limit")]
    TooLarge {
        /// Size of the component, in bytes.
        bytes: usize,
        /// The limit, in bytes.
        limit: usize,
    },
    /// WebAssembly text.
    #[error("admit the guest: it is WebAssembly text; give the binary component")]
    Text,
    /// A core module.
    #[error("admit the guest: it is a core module; componentize it for the world `report-guest`")]
    CoreModule,
    /// An ahead-of-time image: native code, which is never accepted from outside.
    #[error("admit the guest: it is a precompiled image; give the component that it was made from")]
    Precompiled,
    /// Not WebAssembly.
    #[error("admit the guest: it is not WebAssembly; check the path and the download")]
    NotWasm,
    /// Truncated, or not valid under the features that guests may use.
    #[error(
        "admit the guest: it is not valid at byte {offset}; build or download it again, without threads, 64-bit or several memories, relaxed SIMD, exceptions or GC"
    )]
    Invalid {
        /// Offset at which the parser stopped, in bytes.
        offset: usize,
    },
    /// It imports WASI, under [`crate::Wasi::Off`].
    #[error(
        "admit the guest: it imports WASI; build it for wasm32-unknown-unknown, without an adapter, or admit it with GUEST_WASI=deny-all"
    )]
    WasiImport,
    /// It imports another interface than `assay:report/log` and the function-free `assay:report/types`.
    #[error("admit the guest: it imports an interface that the world `report-guest` does not have; remove the import")]
    ForeignImport,
    /// It does not export `assay:report/guest`.
    #[error("admit the guest: it does not export `assay:report/guest@0.1.0`; build it against wit/report.wit")]
    MissingExport,
    /// It has the right names with other types.
    #[error(
        "admit the guest: its functions have other types than `assay:report@0.1.0`; build it against wit/report.wit"
    )]
    WrongTypes,
    /// It needs more or larger memories, tables or instances than a call may have.
    #[error(
        "admit the guest: its memories, tables or instances exceed the limits; link it into one module, or raise the limits"
    )]
    TooManyResources,
    /// Compiling took longer than [`crate::Limits::compile`].
    #[error("compile the guest: it took longer than {seconds} s; make its functions smaller, or raise the limit")]
    CompileTimeout {
        /// The limit in whole seconds.
        seconds: u64,
    },
    /// The compile process ended without an answer: out of memory, or killed.
    #[error(
        "compile the guest: the compiler died, most likely out of memory; make the guest smaller, or raise the limit"
    )]
    CompilerDied,
    /// The compiler refused it.
    #[error("compile the guest: the compiler refuses it; it exceeds a limit of the compiler")]
    CompileRefused,
    /// The compile process does not start.
    #[error("compile the guest: the compiler does not start ({0}); check that the program is still in its place")]
    CompilerStart(io::ErrorKind),
    /// The compile process is of another build than this one, or its output is not an image.
    #[error("compile the guest: the compiler is of another version than this process; restart it after an upgrade")]
    CompilerMismatch,
    /// The cache folder cannot be read or written.
    #[error("cache the guest: the folder cannot be used ({0}); check its space and its owner")]
    Cache(io::ErrorKind),
    /// [`crate::Options::generic`] is empty, so there are no verifiers.
    #[error("make the verifier: there is no generic guest; build the guests first")]
    NoGeneric,
    /// The generic guest refused the schema.
    #[error(
        "make the verifier: the schema is not accepted; it must be a valid JSON Schema 2020-12 with linear-time patterns and without remote references"
    )]
    SchemaRefused,
    /// Its `describe` failed.
    #[error("describe the guest: {0}")]
    Describe(Fault),
    /// Its manifest is not usable. The text names the field.
    #[error("describe the guest: its manifest has no usable {0}; correct it and build again")]
    Manifest(&'static str),
    /// The host had too little memory to load the guest.
    #[error("load the guest: the host has too little memory for it; give the process more memory")]
    Unavailable,
}

/// A row of docs/errors.md.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LoadErrorRow {
    /// Stable name in metrics, records and `/readyz`.
    pub code: &'static str,
    /// What happened, as a sentence about the guest.
    pub happened: &'static str,
    /// What an operator or the guest's author can do.
    pub fix: &'static str,
}

/// Writes the one table of errors twice: as a list for pages, and as a match that the compiler checks for completeness.
macro_rules! rows {
    ($($pattern:pat => $code:literal, $happened:literal, $fix:literal;)*) => {
        impl LoadError {
            /// One row per variant, in the order of docs/errors.md.
            pub const ROWS: &'static [LoadErrorRow] = &[$(LoadErrorRow { code: $code, happened: $happened, fix: $fix }),*];

            /// Returns the variant's row.
            pub const fn row(&self) -> LoadErrorRow {
                match self {
                    $($pattern => LoadErrorRow { code: $code, happened: $happened, fix: $fix },)*
                }
            }
        }
    };
}

rows! {
    Self::TooLarge { .. } => "component_too_large",
        "It is larger than `GUEST_COMPONENT_BYTES`. It is not read.",
        "Strip it, or raise the limit.";
    Self::Text => "component_is_text",
        "It is WebAssembly text.",
        "Use the binary component.";
    Self::CoreModule => "component_is_core_module",
        "It is a core module.",
        "Componentize it for the world `report-guest`.";
    Self::Precompiled => "component_is_precompiled",
        "It is an ahead-of-time image: native code, which is never accepted from outside.",
        "Use the component that the image was made from.";
    Self::NotWasm => "component_is_not_wasm",
        "It is empty, or not WebAssembly.",
        "Check the path and the download.";
    Self::Invalid { .. } => "component_invalid",
        "It is truncated, or uses a forbidden feature: threads, 64-bit or several memories, relaxed SIMD, exceptions or GC.",
        "Build or download it again.";
    Self::WasiImport => "import_of_wasi",
        "It imports WASI.",
        "Build it for wasm32-unknown-unknown, without an adapter.";
    Self::ForeignImport => "import_foreign",
        "It imports another interface than `assay:report/log` and the function-free `assay:report/types`.",
        "Remove the import.";
    Self::MissingExport => "export_missing",
        "It does not export `assay:report/guest@0.1.0`.",
        "Build it against `wit/report.wit`.";
    Self::WrongTypes => "wrong_types",
        "Its functions have the right names and other types.",
        "Build it against `wit/report.wit`.";
    Self::TooManyResources => "too_many_resources",
        "Its memories, tables or instances exceed the limits of a call.",
        "Link it into one module, or raise `GUEST_MEMORY_BYTES` or `GUEST_TABLE_ELEMENTS`.";
    Self::CompileTimeout { .. } => "compile_timeout",
        "Compiling took longer than two minutes.",
        "Make its functions smaller.";
    Self::CompilerDied => "compiler_died",
        "The compile process ended without an answer, most likely out of memory.",
        "Make the guest smaller.";
    Self::CompileRefused => "compile_refused",
        "The compiler refuses it.",
        "Make the guest smaller: it exceeds a limit of the compiler.";
    Self::CompilerStart(_) => "compiler_start",
        "The compile process does not start.",
        "Check that the binary is still in its place.";
    Self::CompilerMismatch => "compiler_mismatch",
        "The compile process is of another build than the worker.",
        "Restart the worker after an upgrade.";
    Self::Cache(_) => "cache_unusable",
        "The cache folder cannot be read or written.",
        "Check its space and its owner; see `GUEST_CACHE_DIR`.";
    Self::NoGeneric => "no_generic_guest",
        "There is no generic guest to build the second check from.",
        "Build the guests first.";
    Self::SchemaRefused => "schema_refused",
        "The second check does not accept its schema.",
        "Use a valid JSON Schema 2020-12 with linear-time patterns and without remote references.";
    Self::Describe(_) => "describe_failed",
        "Its `describe` or its start function failed: time, memory, a trap, or a value outside the contract.",
        "Fix the guest.";
    Self::Manifest(_) => "manifest_invalid",
        "A field of its manifest is not usable. The message names it.",
        "Use versions of letters, digits, `.`, `_` and `-`, at most 64 bytes; a schema that is an object of at most 1 MiB; at most 64 `x-assay-codes` of `a-z`, `0-9`, `.`, `_` and `-`, each of at most 64 bytes; a description of at most 4 KiB without control characters.";
    Self::Unavailable => "load_unavailable",
        "The engine had too little memory to set it up.",
        "Give the worker more memory.";
}

impl LoadError {
    /// Returns a stable name for metrics and records; see [`Self::ROWS`].
    pub const fn code(&self) -> &'static str {
        self.row().code
    }
}
