//! What is in the package.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};
use sha2::{Digest, Sha256};

use super::{archive::Entry, crates, glibc, licences, sbom};
use crate::{demo::session, paths, run};

/// The processors of the images: nearly every server's.
const IMAGE_CPU: &str = "x86-64-v2";
const SHELLS: [(&str, &str); 3] = [("bash", "assay.bash"), ("fish", "assay.fish"), ("zsh", "_assay")];
/// Files of the repository, and their places in the package.
const COPIED: [(&str, &str); 6] = [
    ("LICENSE-MIT", "LICENSE-MIT"),
    ("LICENSE-APACHE", "LICENSE-APACHE"),
    ("CHANGELOG.md", "CHANGELOG.md"),
    (".env.example", "systemd/assay.env"),
    ("docs/deploy/assay-worker.service", "systemd/assay-worker.service"),
    ("docs/samples/README.md", "samples/README.md"),
];
const READ_ME: &str = include_str!("INSTALL.md");

/// Collects every file. `scratch` is an empty folder.
///
/// # Errors
/// A file is missing, or a program fails.
pub fn collect(binary: &Path, scratch: &Path) -> Result<Vec<Entry>> {
    let program = stripped(binary, scratch)?;
    let bytes = read(&program)?;
    let glibc = glibc::newest_needed(&bytes).context("the binary needs no glibc: package one for Linux with glibc")?;
    let mut entries = vec![Entry::file("README.md", READ_ME.replace("{glibc}", &glibc))];
    entries.push(Entry::program("assay", bytes));
    for (from, to) in COPIED {
        entries.push(Entry::file(to, read(&paths::root().join(from))?));
    }
    let guests = files(&paths::root().join("guest/dist"), "wasm")?;
    ensure!(!guests.is_empty(), "guest/dist has no guest");
    for guest in &guests {
        entries.push(Entry::file(format!("guests/{}", name(guest)?), read(guest)?));
    }
    let images = scratch.join("images");
    precompile(&program, &guests, &images)?;
    for image in files(&images, "image")? {
        entries.push(Entry::file(format!("images/{}", name(&image)?), read(&image)?));
    }
    for kind in ["txt", "vtt"] {
        for sample in files(&paths::root().join("docs/samples"), kind)? {
            entries.push(Entry::file(format!("samples/{}", name(&sample)?), read(&sample)?));
        }
    }
    for (shell, file) in SHELLS {
        entries.push(Entry::file(format!("completions/{file}"), output(assay(&program).args(["completions", shell]))?));
    }
    let crates = crates::of_the_binary_and_its_guests()?;
    entries.push(Entry::file("sbom.cdx.json", sbom::document(&crates)?));
    entries.push(Entry::file("THIRD-PARTY.txt", licences::document(&crates)?));
    entries.sort();
    entries.push(Entry::file("SHA256SUMS", sums(&entries)));
    Ok(entries)
}

/// Copies the binary without its symbols, which are a fifth of it and not needed to run it.
fn stripped(binary: &Path, scratch: &Path) -> Result<PathBuf> {
    let program = scratch.join("assay");
    run::run(Command::new("strip").arg("--strip-all").arg("-o").arg(&program).arg(binary))?;
    Ok(program)
}

fn precompile(program: &Path, guests: &[PathBuf], images: &Path) -> Result<()> {
    let mut command = assay(program);
    command.args(["guest", "precompile", "--cpu", IMAGE_CPU, "--out"]).arg(images).args(guests);
    output(&mut command)?;
    Ok(())
}

/// Returns the program with nothing that configures it.
fn assay(program: &Path) -> Command {
    let mut command = Command::new(program);
    session::read_by_assay().for_each(|name| _ = command.env_remove(name));
    command
}

fn output(command: &mut Command) -> Result<Vec<u8>> {
    let line = run::line(command);
    let output = command.output().with_context(|| format!("run `{line}`"))?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "`{line}` ended with {}: {}", output.status, errors.trim());
    Ok(output.stdout)
}

/// Returns the files of a kind in a folder, by name.
fn files(folder: &Path, kind: &str) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).with_context(|| format!("list {}", folder.display()))?;
    let paths = entries.flatten().map(|entry| entry.path());
    let mut files: Vec<_> = paths.filter(|path| path.extension().is_some_and(|found| found == kind)).collect();
    files.sort();
    Ok(files)
}

fn name(path: &Path) -> Result<&str> {
    path.file_name().and_then(|name| name.to_str()).with_context(|| format!("{} has no name", path.display()))
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("read {}", path.display()))
}

/// Returns what `sha256sum --check` reads.
fn sums(entries: &[Entry]) -> String {
    let line = |entry: &Entry| format!("{}  {}\n", hex::encode(Sha256::digest(&entry.bytes)), entry.path);
    entries.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_those_that_sha256sum_checks() {
        let folder = tempfile::tempdir().unwrap();
        let entries = [Entry::file("a", *b"one"), Entry::file("b", *b"two")];
        for entry in &entries {
            fs::write(folder.path().join(&entry.path), &entry.bytes).unwrap();
        }
        fs::write(folder.path().join("SHA256SUMS"), sums(&entries)).unwrap();
        let check = |expected: bool| {
            let mut command = Command::new("sha256sum");
            let checked =
                command.args(["--check", "--quiet", "SHA256SUMS"]).current_dir(folder.path()).output().unwrap();
            assert_eq!(checked.status.success(), expected);
        };
        check(true);
        fs::write(folder.path().join("b"), b"three").unwrap();
        check(false);
    }

    #[test]
    fn everything_that_is_copied_is_there() {
        for (from, _) in COPIED {
            assert!(paths::root().join(from).is_file(), "{from}");
        }
    }
}
