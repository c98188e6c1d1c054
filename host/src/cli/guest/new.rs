//! `assay guest new`.

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, bail, ensure};

use super::template::{self, Kind};
use crate::cli::{exit::Failure, output};

/// Longest name, in bytes: a prompt version is in every job and every report.
const MAX_NAME: usize = 64;

/// Write a new guest that passes its tests at once.
///
/// Without --rust it is a prompt and a schema, which is what most guests are. With it, a crate that brings the SDK, the
/// contract and the lock file along.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  assay guest new minutes-v1 && assay guest test minutes-v1
  assay guest new minutes-v2 --rust
  assay guest new minutes-v1 --dir guests/minutes")]
pub struct Arguments {
    /// The prompt version: what jobs name
    #[arg(value_name = "NAME")]
    name: String,
    /// Write a crate
    #[arg(long)]
    rust: bool,
    /// Where to [default: a folder of the guest's name]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

/// Writes the files.
pub fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let Arguments { name, rust, dir } = arguments;
    check_name(name, *rust)?;
    let folder = dir.clone().unwrap_or_else(|| PathBuf::from(name));
    let kind = if *rust { Kind::Crate } else { Kind::Folder };
    let files = template::files(kind, name)?;
    let written = write(&folder, &files)?;
    output::print(&told(&folder, &written))?;
    Ok(ExitCode::SUCCESS)
}

/// A name is a prompt version, a file, and for a crate the crate.
fn check_name(name: &str, rust: bool) -> anyhow::Result<()> {
    let letters = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_".contains(c) || (c == '.' && !rust);
    let fits =
        name.len() <= MAX_NAME && name.chars().all(letters) && name.starts_with(|c: char| c.is_ascii_lowercase());
    let dot = if rust { "" } else { ", `.`" };
    ensure!(
        fits && !name.ends_with('.'),
        "{name:?} is no name for a guest: a lower-case letter, then lower-case letters, digits, `-`, `_`{dot}; at most {MAX_NAME}"
    );
    Ok(())
}

/// Writes into a folder that is not there, or is empty.
fn write(folder: &Path, files: &[(PathBuf, Vec<u8>)]) -> anyhow::Result<Vec<PathBuf>> {
    let taken = fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some());
    if taken || folder.is_file() {
        bail!("{} is there already; take another name, or --dir", folder.display());
    }
    let mut written = Vec::new();
    for (name, content) in files {
        let path = folder.join(name);
        let parent = path.parent().context("a file lies in a folder")?;
        fs::create_dir_all(parent).with_context(|| format!("make {}", parent.display()))?;
        fs::write(&path, content).with_context(|| format!("write {}", path.display()))?;
        written.push(path);
    }
    Ok(written)
}

fn told(folder: &Path, written: &[PathBuf]) -> String {
    let vendored = |path: &&PathBuf| path.starts_with(folder.join("vendor"));
    let own = written.iter().filter(|path| !vendored(path));
    let mut text: String = own.map(|path| format!("wrote {}\n", path.display())).collect();
    let vendored = written.iter().filter(vendored).count();
    if vendored > 0 {
        text.push_str(&format!("wrote {} ({vendored} files: the SDK)\n", folder.join("vendor").display()));
    }
    text.push_str(&format!("\nNext: assay guest test {}\n", folder.display()));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_no_job_could_use_is_refused() {
        for name in ["minutes-v1", "a", "a_b.c-1"] {
            check_name(name, false).unwrap();
        }
        check_name("minutes-v1", true).unwrap();
        for name in ["", "1a", "A", "a b", "a/b", "..", "a.", &"a".repeat(65)] {
            assert!(check_name(name, false).is_err(), "{name}");
        }
        assert!(check_name("a.b", true).is_err());
    }

    #[test]
    fn what_is_there_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("new");
        let files = [(PathBuf::from("a/b"), b"x".to_vec())];
        assert_eq!(write(&target, &files).unwrap(), [target.join("a/b")]);
        assert!(write(&target, &files).unwrap_err().to_string().contains("there already"));
    }
}
