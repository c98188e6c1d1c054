//! `cargo xtask page`: follows docs/guests.md word by word, so that what a newcomer reads is what happens.
//!
//! Every block ```` ```console ```` of the page is a dialogue: a line that begins with `$ ` is a command, `> ` continues it, and what
//! follows is its output. All commands run in one new folder, in the page's order. Numbers and digests may differ; every word must
//! be the same.

mod dialogue;

use crate::{guests, paths, run};
use anyhow::{Context, Result, ensure};
use dialogue::{Dialogue, Piece, alike};
use std::env;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

const PAGE: &str = "docs/guests.md";

/// Options of `cargo xtask page`.
#[derive(clap::Args, Default)]
pub struct Args {
    /// Write what the commands print into the page
    #[arg(long)]
    write: bool,
}

/// Runs every command of the page.
///
/// # Errors
/// A command that prints something else than the page says.
pub fn run(args: &Args) -> Result<()> {
    run::run(&mut run::cargo(&["build", "--package", "assay"]))?;
    let page = paths::root().join(PAGE);
    let text = fs::read_to_string(&page).with_context(|| format!("read {PAGE}"))?;
    let folder = tempfile::Builder::new().prefix("assay-page-").tempdir().context("make a folder")?;
    let mut pieces = dialogue::parse(&text);
    let (mut commands, mut differing) = (0, Vec::new());
    for piece in &mut pieces {
        let Piece::Dialogue(Dialogue { command, output }) = piece else { continue };
        let progress = guests::spinner(command.lines().next().unwrap_or_default().to_owned());
        let printed = answer(command, folder.path())?;
        progress.finish_and_clear();
        commands += 1;
        if !alike(output, &printed) {
            differing.push(format!("$ {command}\n{printed}"));
            *output = printed;
        }
    }
    if args.write && !differing.is_empty() {
        fs::write(&page, dialogue::written(&pieces)).with_context(|| format!("write {PAGE}"))?;
        println!("{PAGE}: {} of {commands} commands have other output now.", differing.len());
        return Ok(());
    }
    ensure!(
        differing.is_empty(),
        "{PAGE} does not say what these print; `cargo xtask page --write` writes it down:\n\n{}",
        differing.join("\n")
    );
    println!("{PAGE}: {commands} commands print what it says.");
    Ok(())
}

/// What a command prints, on both streams. How it ends is part of what the page says, and no error here.
fn answer(command: &str, folder: &Path) -> Result<String> {
    let mut path = run::assay().parent().context("assay lies in a folder")?.as_os_str().to_owned();
    path.push(":");
    path.push(env::var_os("PATH").unwrap_or_default());
    let mut shell = Command::new("bash");
    // On one stream, so that the order is as on a terminal.
    shell.args(["-c", &format!("exec 2>&1\n{command}")]).current_dir(folder).stdin(Stdio::null()).env("PATH", path);
    shell.env("CARGO_TARGET_DIR", paths::guest_target().join("page")).env("RUSTUP_TOOLCHAIN", toolchain());
    for (name, _) in env::vars_os() {
        let name = name.to_string_lossy();
        let ours = ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_PROFILE_", "LLM_", "GUEST_"];
        if ours.iter().any(|prefix| name.starts_with(prefix)) {
            shell.env_remove(&*name);
        }
    }
    let output = shell.output().context("run bash")?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The repository's own, which has the guests' target; a folder elsewhere has none of its own.
fn toolchain() -> String {
    env::var("RUSTUP_TOOLCHAIN").unwrap_or_else(|_| "1.95.0".to_owned())
}
