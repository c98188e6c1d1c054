//! The files of a new guest: template, SDK, contract and lock file. All are part of this binary.

mod lock;
mod manifest;

use std::path::{Path, PathBuf};

use include_dir::{Dir, include_dir};

static TEMPLATE: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../../guest/template");
static SDK: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../../guest/sdk");
static CONTRACT: &str = include_str!("../../../../../wit/report.wit");
static WORKSPACE: &str = include_str!("../../../../../guest/Cargo.toml");
static LOCK: &str = include_str!("../../../../../guest/Cargo.lock");

/// The bindings of the SDK expect the contract two folders above.
const VENDORED: &str = "vendor/assay-guest";
/// Placeholders in the templates.
const NAME: &str = "__name__";
const SCHEMA_VERSION: &str = "__schema_version__";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Without code.
    Folder,
    /// A crate.
    Crate,
}

/// Returns names and contents.
///
/// # Errors
/// A user cannot cause one: the files are part of the binary, and a test writes them all.
pub fn files(kind: Kind, name: &str) -> anyhow::Result<Vec<(PathBuf, Vec<u8>)>> {
    let folder = match kind {
        Kind::Folder => "folder",
        Kind::Crate => "crate",
    };
    let mut files = Vec::new();
    collect(&TEMPLATE, &mut |path, content| {
        let shared = path.starts_with("fixtures") || path == Path::new("schema.json");
        let own = path.strip_prefix(folder).ok();
        if let Some(path) = own.or(shared.then_some(path)) {
            files.push((named(path), filled(content, name)));
        }
    });
    if kind == Kind::Crate {
        files.push(("wit/report.wit".into(), CONTRACT.into()));
        files.push(("Cargo.lock".into(), lock::of_a_guest(LOCK, name)?.into_bytes()));
        collect(&SDK, &mut |path, content| {
            if path != Path::new("Cargo.toml") {
                files.push((Path::new(VENDORED).join(path), content.to_vec()));
            }
        });
        let sdk = SDK.get_file("Cargo.toml").and_then(|file| file.contents_utf8()).unwrap_or_default();
        files.push((Path::new(VENDORED).join("Cargo.toml"), manifest::without_workspace(sdk, WORKSPACE)?.into_bytes()));
    }
    files.sort();
    Ok(files)
}

/// Returns the names of all packages that a new crate may depend on.
pub fn dependencies() -> Vec<String> {
    lock::packages(LOCK).unwrap_or_default()
}

fn collect(dir: &Dir<'_>, each: &mut impl FnMut(&Path, &[u8])) {
    for file in dir.files() {
        each(file.path(), file.contents());
    }
    for dir in dir.dirs() {
        collect(dir, each);
    }
}

/// The template calls it `gitignore`, because git would apply a `.gitignore` to the template.
fn named(path: &Path) -> PathBuf {
    if path == Path::new("gitignore") { ".gitignore".into() } else { path.to_owned() }
}

fn filled(content: &[u8], name: &str) -> Vec<u8> {
    let Ok(text) = str::from_utf8(content) else { return content.to_vec() };
    text.replace(NAME, name).replace(SCHEMA_VERSION, &schema_version(name)).into_bytes()
}

/// Returns "minutes.v1" for "minutes-v2": a prompt changes more often than its schema.
fn schema_version(name: &str) -> String {
    let numbered = name.rsplit_once("-v").filter(|(_, number)| number.chars().all(|c| c.is_ascii_digit()));
    format!("{}.v1", numbered.map_or(name, |(stem, _)| stem))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(kind: Kind) -> Vec<String> {
        files(kind, "minutes-v1").unwrap().iter().map(|(path, _)| path.display().to_string()).collect()
    }

    #[test]
    fn a_guest_without_code_is_a_prompt_a_schema_and_three_fixtures() {
        let names = names(Kind::Folder);
        for name in ["guest.toml", "prompt.md", "schema.json", "README.md", "fixtures/good/expected.json"] {
            assert!(names.iter().any(|there| there == name), "{name} of {names:?}");
        }
        assert_eq!(names.iter().filter(|name| name.ends_with("transcript.txt")).count(), 3);
    }

    #[test]
    fn a_crate_contains_sdk_contract_and_lock_file() {
        let names = names(Kind::Crate);
        let expected = ["src/lib.rs", "Cargo.lock", ".gitignore", ".cargo/config.toml", "wit/report.wit"];
        for name in expected.into_iter().chain(["vendor/assay-guest/Cargo.toml", "vendor/assay-guest/src/lib.rs"]) {
            assert!(names.iter().any(|there| there == name), "{name} of {names:?}");
        }
    }

    #[test]
    fn no_placeholder_is_left() {
        for kind in [Kind::Folder, Kind::Crate] {
            for (path, content) in files(kind, "minutes-v1").unwrap() {
                let text = String::from_utf8(content).unwrap();
                assert!(!text.contains(NAME) && !text.contains(SCHEMA_VERSION), "{}", path.display());
            }
        }
    }

    #[test]
    fn a_schema_has_a_version_of_its_own() {
        assert_eq!(schema_version("minutes-v2"), "minutes.v1");
        assert_eq!(schema_version("a-very-good-one"), "a-very-good-one.v1");
    }
}
