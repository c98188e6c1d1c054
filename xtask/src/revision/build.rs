//! Builds one revision: its guests, then its binary, each by its own sources.
//!
//! Revisions share the target folder, so that third-party crates are compiled once. Cargo does not tell the same package of
//! two checkouts apart, and judges by file times alone: it would take the one's code for the other's. A wrapper of the
//! compiler at another path makes it tell them apart.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::run;

/// Tries to copy a binary before a build of another checkout replaces it.
const COPY_TRIES: u32 = 5;

/// One line of `cargo build --message-format=json`.
#[derive(Deserialize)]
struct Message {
    executable: Option<PathBuf>,
    target: Option<Target>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
}

/// Builds the guests of the checkout at `root`, and copies them to `folder/dist`.
pub fn guests(root: &Path, folder: &Path) -> Result<()> {
    let xtask = folder.join("xtask");
    package(root, folder, "xtask", &xtask)?;
    let mut command = Command::new(&xtask);
    // By this variable it finds the checkout.
    command.arg("guests").current_dir(root).env("CARGO_MANIFEST_DIR", root.join("xtask"));
    run::run(command.env("CARGO_TARGET_DIR", run::target()))?;
    let dist = folder.join("dist");
    if dist.exists() {
        fs::remove_dir_all(&dist).with_context(|| format!("remove {}", dist.display()))?;
    }
    copy(&root.join("guest/dist"), &dist)
}

/// Builds a package of the checkout at `root`, and copies its binary to `to`.
pub fn package(root: &Path, folder: &Path, package: &str, to: &Path) -> Result<()> {
    let wrapper = wrapper(folder)?;
    for _ in 0..COPY_TRIES {
        let mut cargo = run::cargo(&["build", "--package", package, "--message-format=json-render-diagnostics"]);
        cargo.current_dir(root).env("CARGO_TARGET_DIR", run::target()).env("RUSTC_WORKSPACE_WRAPPER", &wrapper);
        println!("$ {}", run::line(&cargo));
        let output = cargo.stderr(Stdio::inherit()).output().context("run cargo")?;
        if !output.status.success() {
            bail!("{package} of {} does not build; the reason is above", root.display());
        }
        let built = executable(&String::from_utf8_lossy(&output.stdout), package)?;
        // A new file: the earlier one may still run.
        let new = to.with_extension("new");
        fs::copy(&built, &new).with_context(|| format!("copy {}", built.display()))?;
        if is_of(&built, root) {
            return fs::rename(&new, to).with_context(|| format!("write {}", to.display()));
        }
    }
    bail!("another build replaced {package} {COPY_TRIES} times: run it when no other checkout is built")
}

fn executable(messages: &str, package: &str) -> Result<PathBuf> {
    let messages = messages.lines().filter_map(|line| serde_json::from_str::<Message>(line).ok());
    let mut built = messages.filter(|message| message.target.as_ref().is_some_and(|target| target.name == package));
    built.find_map(|message| message.executable).with_context(|| format!("cargo names no binary of {package}"))
}

/// Returns whether the last build of a binary was that of a checkout: beside it, cargo lists the sources.
fn is_of(binary: &Path, root: &Path) -> bool {
    let sources = fs::read_to_string(binary.with_extension("d")).unwrap_or_default();
    // A checkout may lie below another one.
    sources.contains(&format!(" {}/xtask/src/", root.display()))
        || sources.contains(&format!(" {}/host/", root.display()))
}

fn wrapper(folder: &Path) -> Result<PathBuf> {
    let path = folder.join("rustc");
    if !path.exists() {
        fs::write(&path, "#!/bin/sh\nexec \"$@\"\n").with_context(|| format!("write {}", path.display()))?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
    }
    Ok(path)
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to).with_context(|| format!("make {}", to.display()))?;
    for entry in fs::read_dir(from).with_context(|| format!("list {}", from.display()))? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), &target).with_context(|| format!("copy {}", entry.path().display()))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use super::{executable, is_of};

    #[test]
    fn the_binary_is_named_by_cargo() {
        let messages = r#"{"reason":"compiler-artifact","target":{"name":"assay-dev"},"executable":null}
{"reason":"compiler-artifact","target":{"name":"assay"},"executable":null}
{"reason":"compiler-artifact","target":{"name":"assay"},"executable":"/t/debug/assay"}
{"reason":"build-finished","success":true}
"#;
        assert_eq!(executable(messages, "assay").unwrap(), Path::new("/t/debug/assay"));
        assert!(executable(messages, "xtask").is_err());
    }

    #[test]
    fn a_binary_of_another_checkout_is_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        let binary = folder.path().join("assay");
        fs::write(binary.with_extension("d"), "/t/debug/assay: /here/target/compare/1/tree/host/src/main.rs").unwrap();
        assert!(is_of(&binary, Path::new("/here/target/compare/1/tree")));
        assert!(!is_of(&binary, Path::new("/here")));
        assert!(!is_of(&binary, Path::new("/elsewhere")));
    }
}
