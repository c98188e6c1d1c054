//! The hidden command that compiles one guest in a child process, which returns its memory and can crash alone.

use std::{ffi::OsString, process::ExitCode};

use assay_runtime::Compiler;

pub const NAME: &str = "compile-guest";

/// Answers one request on standard input.
pub fn run() -> ExitCode {
    assay_runtime::compiler::child_main()
}

/// Returns the compiler that starts this binary as a child.
///
/// # Errors
/// The path of this executable cannot be read.
pub fn child() -> std::io::Result<Compiler> {
    Ok(Compiler::Child { program: std::env::current_exe()?, args: vec![OsString::from(NAME)] })
}
