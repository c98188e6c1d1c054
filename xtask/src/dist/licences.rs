//! The licences of all crates in the package, with their texts, each text once.

use std::{collections::BTreeMap, fmt::Write, fs, path::Path};

use anyhow::{Context, Result};

use super::crates::{Crate, Crates};

/// How files with a licence begin, in capitals.
const NAMES: [&str; 5] = ["LICENSE", "LICENCE", "COPYING", "NOTICE", "UNLICENSE"];

/// Returns the document: a line for each crate, then the texts.
///
/// # Errors
/// The folder of a crate cannot be read.
pub fn document(crates: &Crates) -> Result<String> {
    let mut texts: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut document = "The code of these crates is part of the package. Their licences follow.\n\n".to_owned();
    for ((name, version), found) in crates {
        let licence = found.package.license.as_deref().unwrap_or("see its text");
        writeln!(document, "{name} {version}: {licence}")?;
        for text in texts_of(found).with_context(|| format!("read the licences of {name}"))? {
            texts.entry(text).or_default().push(format!("{name} {version}"));
        }
    }
    for (text, crates) in texts {
        write!(document, "\n{}\n{}\n\n{}\n", "-".repeat(80), crates.join(", "), text.trim_end())?;
    }
    Ok(document)
}

fn texts_of(found: &Crate) -> Result<Vec<String>> {
    // Ours have the licences of the repository, which are files of their own in the package.
    if found.package.source.is_none() {
        return Ok(Vec::new());
    }
    let folder = found.package.manifest_path.parent().context("a manifest lies in a folder")?;
    let mut files: Vec<_> = fs::read_dir(folder)?.flatten().map(|entry| entry.path()).collect();
    files.retain(|path| path.is_file() && is_licence(path));
    files.sort();
    Ok(files
        .iter()
        .map(|path| fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
        .collect::<Result<_, _>>()?)
}

fn is_licence(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_uppercase();
    NAMES.iter().any(|known| name.starts_with(known))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn licences_are_known_by_their_names() {
        for name in ["LICENSE", "LICENSE-MIT", "license.txt", "LICENCE.md", "COPYING", "NOTICE", "UNLICENSE"] {
            assert!(is_licence(Path::new(name)), "{name}");
        }
        for name in ["README.md", "lib.rs", "Cargo.toml", "sublicense.md"] {
            assert!(!is_licence(Path::new(name)), "{name}");
        }
    }
}
