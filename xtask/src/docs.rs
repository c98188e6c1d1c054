//! `cargo xtask docs`: writes the generated parts of pages: docs/configuration.md, docs/errors.md, `.env.example`.
//!
//! The tests of package `assay` that compare these pages with the code write them when they are asked to.

use anyhow::Result;

use crate::run;

/// Runs the command.
///
/// # Errors
/// A page cannot be written, or lacks its markers.
pub fn run() -> Result<()> {
    let mut cargo = run::cargo(&["test", "--package", "assay", "documented"]);
    run::run(cargo.env("ASSAY_WRITE_DOCS", "1"))
}
