//! Why a guest is not admitted: one variant per rule, each with its cure and without a word of the guest's.

use std::io;

use crate::fault::Fault;

/// Why a guest does not load.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LoadError {
    /// Bigger than `Limits::component_bytes`.
    #[error("admit the guest: its {bytes} bytes exceed the limit of {limit}; strip it, or raise the limit")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// WebAssembly text.
    #[error("admit the guest: it is WebAssembly text; give the binary component")]
    Text,
    /// A core module.
    #[error("admit the guest: it is a core module; componentize it for the world `report-guest`")]
    CoreModule,
    /// An ahead-of-time image: native code, which is never taken from outside.
    #[error("admit the guest: it is a precompiled image; give the component that it was made from")]
    Precompiled,
    /// Neither WebAssembly nor anything known.
    #[error("admit the guest: it is not WebAssembly; check the path and the download")]
    NotWasm,
    /// Truncated, or not valid under the features that guests may use.
    #[error(
        "admit the guest: it is not valid at byte {offset}; build or download it again, without threads, 64-bit or several memories, relaxed SIMD, exceptions or GC"
    )]
    Invalid {
        /// Where the parser stopped.
        offset: usize,
    },
    /// It imports WASI, and [`crate::Wasi::Off`] holds.
    #[error(
        "admit the guest: it imports WASI; build it for wasm32-unknown-unknown, without an adapter, or let it in with GUEST_WASI=deny-all"
    )]
    WasiImport,
    /// It imports something else than `assay:report/log` and the function-free `assay:report/types`.
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
    /// It needs more memories, tables or instances, or larger ones, than a call may have.
    #[error(
        "admit the guest: its memories, tables or instances exceed the limits; link it into one module, or raise the limits"
    )]
    TooManyResources,
    /// Compiling took longer than `Limits::compile`.
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
    /// The compiler refuses it.
    #[error("compile the guest: the compiler refuses it; it exceeds a limit of the compiler's own")]
    CompileRefused,
    /// The compile process would not start.
    #[error("compile the guest: the compiler does not start ({0}); check that the program is still in its place")]
    CompilerStart(io::ErrorKind),
    /// The compile process is of another build than this one, or left something else than an image.
    #[error("compile the guest: the compiler is of another version than this process; restart it after an upgrade")]
    CompilerMismatch,
    /// The cache folder cannot be read or written.
    #[error("cache the guest: the folder cannot be used ({0}); check its space and its owner")]
    Cache(io::ErrorKind),
    /// No generic guest was given to make verifiers from.
    #[error("make the verifier: there is no generic guest; build the guests first")]
    NoGeneric,
    /// The generic guest does not take the schema.
    #[error(
        "make the verifier: the schema is not accepted; it must be a valid JSON Schema 2020-12 with linear-time patterns and without remote references"
    )]
    SchemaRefused,
    /// Its `describe` failed.
    #[error("describe the guest: {0}")]
    Describe(Fault),
    /// Its manifest is not usable; the word names the field.
    #[error("describe the guest: its manifest has no usable {0}; correct it and build again")]
    Manifest(&'static str),
    /// The engine could not set the guest up, for want of memory.
    #[error("load the guest: the host has no room for it; give the process more memory")]
    Unavailable,
}

impl LoadError {
    /// A stable name for metrics and records.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "component_too_large",
            Self::Text => "component_is_text",
            Self::CoreModule => "component_is_core_module",
            Self::Precompiled => "component_is_precompiled",
            Self::NotWasm => "component_is_not_wasm",
            Self::Invalid { .. } => "component_invalid",
            Self::WasiImport => "import_of_wasi",
            Self::ForeignImport => "import_foreign",
            Self::MissingExport => "export_missing",
            Self::WrongTypes => "wrong_types",
            Self::TooManyResources => "too_many_resources",
            Self::CompileTimeout { .. } => "compile_timeout",
            Self::CompilerDied => "compiler_died",
            Self::CompileRefused => "compile_refused",
            Self::CompilerStart(_) => "compiler_start",
            Self::CompilerMismatch => "compiler_mismatch",
            Self::Cache(_) => "cache_unusable",
            Self::NoGeneric => "no_generic_guest",
            Self::SchemaRefused => "schema_refused",
            Self::Describe(_) => "describe_failed",
            Self::Manifest(_) => "manifest_invalid",
            Self::Unavailable => "load_unavailable",
        }
    }
}
