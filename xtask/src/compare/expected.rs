//! Differences that are meant: `tests/compare/expected/ITEM.diff`. The first line is `# since COMMIT`, the rest the difference.
//!
//! A file counts where the other revision is an ancestor of its commit, or that commit: there the difference must be found.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

use crate::revision::git;

const SINCE: &str = "# since ";

/// Differences that are meant, by the name of their file.
#[derive(Default)]
pub struct Expected(BTreeMap<String, String>);

impl Expected {
    /// Reads those that count in a comparison with a revision.
    ///
    /// # Errors
    /// A file that cannot be read, or whose first line names no commit.
    pub fn read(folder: &Path, revision: &str) -> Result<Self> {
        let mut expected = BTreeMap::new();
        for (path, text) in texts(folder)? {
            let (since, difference) = parse(&text).with_context(|| format!("understand {}", path.display()))?;
            if git::is_ancestor(revision, since)? {
                let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                expected.insert(name, difference.to_owned());
            }
        }
        Ok(Self(expected))
    }

    /// Returns whether exactly this difference of an item is meant; uses the file up.
    pub fn takes(&mut self, item: &str, difference: &str) -> bool {
        let name = file_name(item);
        let is_meant = self.0.get(&name).is_some_and(|meant| meant.trim_end() == difference.trim_end());
        if is_meant {
            self.0.remove(&name);
        }
        is_meant
    }

    /// Returns the files whose difference was not found.
    pub fn stale(self) -> Vec<String> {
        self.0.into_keys().collect()
    }
}

/// Returns the newest commit that a file names; none where no file is there.
///
/// # Errors
/// As [`Expected::read`].
pub fn newest_since(folder: &Path) -> Result<Option<String>> {
    let mut newest: Option<String> = None;
    for (path, text) in texts(folder)? {
        let (since, _) = parse(&text).with_context(|| format!("understand {}", path.display()))?;
        let is_newer = match &newest {
            Some(known) => known != since && git::is_ancestor(known, since)?,
            None => true,
        };
        if is_newer {
            newest = Some(since.to_owned());
        }
    }
    Ok(newest)
}

/// Returns the path and the text of each file.
fn texts(folder: &Path) -> Result<Vec<(PathBuf, String)>> {
    let mut texts = Vec::new();
    if !folder.exists() {
        return Ok(texts);
    }
    for entry in fs::read_dir(folder).with_context(|| format!("list {}", folder.display()))? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "diff") {
            let text = fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
            texts.push((path, text));
        }
    }
    Ok(texts)
}

/// Returns the name of the file for an item's difference.
pub fn file_name(item: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '-' };
    format!("{}.diff", item.chars().map(plain).collect::<String>())
}

fn parse(text: &str) -> Result<(&str, &str)> {
    let (first, difference) = text.split_once('\n').unwrap_or((text, ""));
    let since = first.strip_prefix(SINCE).map(str::trim).filter(|since| !since.is_empty());
    Ok((since.with_context(|| format!("the first line is `{first}`: expected `{SINCE}COMMIT`"))?, difference))
}

#[cfg(test)]
mod tests {
    use super::{Expected, file_name, newest_since, parse};

    fn expected(item: &str, difference: &str) -> Expected {
        Expected([(file_name(item), difference.to_owned())].into())
    }

    #[test]
    fn exactly_the_meant_difference_is_accepted() {
        assert!(expected("command jobs list", "-a\n+b\n").takes("command jobs list", "-a\n+b\n"));
        assert!(!expected("command jobs list", "-a\n+b\n").takes("command jobs list", "-a\n+c\n"));
        assert!(!expected("command jobs list", "-a\n+b\n").takes("command jobs show", "-a\n+b\n"));
    }

    #[test]
    fn a_file_whose_difference_was_not_found_is_stale() {
        let mut both = expected("metrics", "-a\n");
        assert!(!both.takes("metrics", "-b\n"));
        assert_eq!(both.stale(), ["metrics.diff"]);
        let mut used = expected("metrics", "-a\n");
        assert!(used.takes("metrics", "-a\n"));
        assert!(used.stale().is_empty());
    }

    #[test]
    fn the_first_line_names_a_commit() {
        assert_eq!(parse("# since 3f8060d\n-a\n+b\n").unwrap(), ("3f8060d", "-a\n+b\n"));
        assert!(parse("-a\n+b\n").is_err());
        assert!(parse("# since \n-a\n").is_err());
    }

    #[test]
    fn the_files_name_the_revision_that_was_compared_last() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(newest_since(folder.path()).unwrap(), None);
        assert_eq!(newest_since(&folder.path().join("missing")).unwrap(), None);
        for name in ["help.diff", "metrics.diff"] {
            std::fs::write(folder.path().join(name), "# since 3f8060d\n-a\n+b\n").unwrap();
        }
        std::fs::write(folder.path().join("README.md"), "no difference").unwrap();
        assert_eq!(newest_since(folder.path()).unwrap().as_deref(), Some("3f8060d"));
    }

    #[test]
    fn a_file_is_named_after_its_item() {
        assert_eq!(
            file_name("artifact en-memo.succeeds.txt/report.json"),
            "artifact-en-memo.succeeds.txt-report.json.diff"
        );
    }
}
