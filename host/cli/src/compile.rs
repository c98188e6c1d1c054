//! The hidden command that compiles one guest in a process of its own: memory comes back, and a compile bomb dies alone.

use std::{ffi::OsString, process::ExitCode};

use assay_runtime::Compiler;

/// How the worker calls it.
pub const NAME: &str = "compile-guest";

/// Answers one request on standard input.
pub fn run() -> ExitCode {
    assay_runtime::compiler::child_main()
}

/// The compiler of this binary: itself.
///
/// # Errors
/// When the path of this executable cannot be found out.
pub fn child() -> std::io::Result<Compiler> {
    Ok(Compiler::Child { program: std::env::current_exe()?, args: vec![OsString::from(NAME)] })
}
