//! A revision that was built: where its binary, its guests and its pages lie.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

use crate::{
    paths,
    revision::{build, git},
    run,
};

/// Pages of a revision that are kept beside its binary.
pub const VARIABLES: &str = ".env.example";
pub const ERRORS: &str = "docs/errors.md";

/// A revision that was built.
pub struct BuiltRevision {
    /// For a person: `3f8060d1a2b3`, or `this tree`.
    pub name: String,
    /// Holds what was built, apart from the target folder's own place for it.
    pub folder: PathBuf,
}

impl BuiltRevision {
    /// Builds a commit in a checkout of its own, unless an earlier run did.
    pub fn of(commit: &str) -> Result<Self> {
        let revision = Self { name: commit[..12].to_owned(), folder: run::target().join("compare").join(commit) };
        if revision.binary().exists() {
            eprintln!("{} was built by an earlier run: {}", revision.name, revision.folder.display());
            return Ok(revision);
        }
        fs::create_dir_all(&revision.folder).with_context(|| format!("make {}", revision.folder.display()))?;
        let tree = revision.folder.join("tree");
        git::check_out(commit, &tree)?;
        revision.build(&tree)?;
        git::remove(&tree)?;
        Ok(revision)
    }

    /// Builds this tree, with what is not committed.
    pub fn here() -> Result<Self> {
        // Checkouts may share a target folder.
        let path = Sha256::digest(paths::root().as_os_str().as_encoded_bytes());
        let folder = run::target().join("compare").join(format!("here-{}", hex::encode(&path[..4])));
        fs::create_dir_all(&folder).with_context(|| format!("make {}", folder.display()))?;
        let revision = Self { name: "this tree".to_owned(), folder };
        revision.build(paths::root())?;
        Ok(revision)
    }

    pub fn binary(&self) -> PathBuf {
        self.folder.join("assay")
    }

    pub fn guests(&self) -> PathBuf {
        self.folder.join("dist")
    }

    /// Returns the text of a page.
    pub fn page(&self, page: &str) -> Result<String> {
        let path = self.folder.join(file_name(page));
        fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))
    }

    fn build(&self, root: &Path) -> Result<()> {
        build::guests(root, &self.folder)?;
        for page in [VARIABLES, ERRORS] {
            let (from, to) = (root.join(page), self.folder.join(file_name(page)));
            fs::copy(&from, to).with_context(|| format!("copy {}", from.display()))?;
        }
        // Last: a folder with a binary is complete.
        build::package(root, &self.folder, "assay", &self.binary())
    }
}

fn file_name(page: &str) -> &str {
    page.rsplit('/').next().unwrap_or(page)
}
