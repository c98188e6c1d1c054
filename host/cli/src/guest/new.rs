//! `assay guest new`.

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, bail, ensure};
use assay_guest_build::is_name;

use crate::{
    exit::Failure,
    guest::template::{self, Kind},
    output,
};

/// Names that a prompt version may have, but a crate may not.
const RESERVED_CRATE_NAMES: [&str; 12] =
    ["test", "core", "std", "alloc", "self", "crate", "fn", "mod", "use", "type", "match", "assay-guest"];

/// Write a new guest that passes its tests at once.
///
/// Without --rust, it has a prompt and a schema and no code, like most guests. With --rust, it is a crate that contains the SDK,
/// the contract and a lock file.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  assay guest new minutes-v1 && assay guest test minutes-v1
  assay guest new minutes-v2 --rust
  assay guest new minutes-v1 --dir guests/minutes")]
pub struct Arguments {
    /// Prompt version that jobs name
    #[arg(value_name = "NAME")]
    name: String,
    /// Write a crate
    #[arg(long)]
    rust: bool,
    /// Folder to write [default: the name of the guest]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

pub fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let Arguments { name, rust, dir } = arguments;
    check_name(name, *rust)?;
    let folder = dir.clone().unwrap_or_else(|| PathBuf::from(name));
    let kind = if *rust { Kind::Crate } else { Kind::Folder };
    let files = template::files(kind, name)?;
    let written = write(&folder, &files)?;
    output::print(&render(&folder, &written))?;
    Ok(ExitCode::SUCCESS)
}

/// A name is a prompt version and a file name; with --rust also a crate name.
fn check_name(name: &str, rust: bool) -> anyhow::Result<()> {
    let inner = if rust { "`-`, `_`" } else { "`-`, `_`, `.`" };
    let rule = format!(
        "a lower-case letter, then lower-case letters, digits, {inner}, and a letter or digit at the end; at most 60"
    );
    let begins = name.starts_with(|c: char| c.is_ascii_lowercase());
    ensure!(is_name(name) && begins, "{name:?} is not a valid name of a guest: {rule}");
    if rust {
        ensure!(!name.contains('.'), "{name:?} is not a valid name of a crate: {rule}");
        let taken = RESERVED_CRATE_NAMES.contains(&name)
            || template::dependencies().iter().any(|dependency| dependency == name);
        ensure!(!taken, "{name:?} already has a meaning in Rust; add a version, as in {name}-v1");
    }
    Ok(())
}

/// Writes into a new or an empty folder.
fn write(folder: &Path, files: &[(PathBuf, Vec<u8>)]) -> anyhow::Result<Vec<PathBuf>> {
    let taken = fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some());
    if taken || folder.is_file() {
        bail!("{} is there already; choose another name, or --dir", folder.display());
    }
    // All files or none: after a failure the folder is empty, and the next try can use it.
    fs::create_dir_all(folder).with_context(|| format!("make {}", folder.display()))?;
    let unfinished = tempfile::Builder::new().prefix(".new-").tempdir_in(folder);
    let unfinished = unfinished.with_context(|| format!("write {}", folder.display()))?;
    for (name, content) in files {
        let path = unfinished.path().join(name);
        let parent = path.parent().context("a file has a folder")?;
        let written = fs::create_dir_all(parent).and_then(|()| fs::write(&path, content));
        written.with_context(|| format!("write {}", folder.join(name).display()))?;
    }
    for entry in fs::read_dir(unfinished.path()).context("list what was written")? {
        let entry = entry.context("list what was written")?;
        let place = folder.join(entry.file_name());
        fs::rename(entry.path(), &place).with_context(|| format!("write {}", place.display()))?;
    }
    Ok(files.iter().map(|(name, _)| folder.join(name)).collect())
}

fn render(folder: &Path, written: &[PathBuf]) -> String {
    let vendored = |path: &&PathBuf| path.starts_with(folder.join("vendor"));
    let own = written.iter().filter(|path| !vendored(path));
    let shown = |path: &Path| output::plain(&path.display().to_string());
    let mut text: String = own.map(|path| format!("wrote {}\n", shown(path))).collect();
    let vendored = written.iter().filter(vendored).count();
    if vendored > 0 {
        text.push_str(&format!("wrote {} ({vendored} files: the SDK)\n", shown(&folder.join("vendor"))));
    }
    text.push_str(&format!("\nNext: assay guest test {}\n", shown(folder)));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_no_job_can_use_is_refused() {
        for name in ["minutes-v1", "a", "a_b.c-1"] {
            check_name(name, false).unwrap();
        }
        check_name("minutes-v1", true).unwrap();
        check_name(&"a".repeat(60), true).unwrap();
        for name in ["", "1a", "A", "a b", "a/b", "..", "a.", &"a".repeat(61)] {
            assert!(check_name(name, false).is_err(), "{name}");
        }
        for name in ["a.b", "test", "serde_json", "assay-guest"] {
            assert!(check_name(name, true).is_err(), "{name}");
        }
    }

    #[test]
    fn a_name_is_refused_with_the_whole_rule() {
        let refusal = |name, rust| check_name(name, rust).unwrap_err().to_string();
        assert!(
            refusal("a-", false).contains("`-`, `_`, `.`, and a letter or digit at the end"),
            "{}",
            refusal("a-", false)
        );
        assert!(refusal("a-", true).contains("`-`, `_`, and a letter or digit at the end"), "{}", refusal("a-", true));
    }

    #[test]
    fn existing_files_are_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("new");
        let files = [(PathBuf::from("a/b"), b"x".to_vec())];
        assert_eq!(write(&target, &files).unwrap(), [target.join("a/b")]);
        assert!(write(&target, &files).unwrap_err().to_string().contains("there already"));
    }

    #[test]
    fn a_failed_write_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("new");
        // A file where a folder should be.
        let files = ["a", "a/b"].map(|name| (PathBuf::from(name), b"x".to_vec()));
        let error = write(&target, &files).unwrap_err().to_string();
        assert!(error.starts_with("write ") && error.ends_with("new/a/b"), "{error}");
        assert_eq!(fs::read_dir(&target).unwrap().count(), 0);
        assert_eq!(write(&target, &files[..1]).unwrap(), [target.join("a")]);
        assert_eq!(fs::read_dir(&target).unwrap().count(), 1);
    }
}
