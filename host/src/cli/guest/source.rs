//! What a path on the command line is: a guest without code, a crate, or a finished component.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use assay_guest_test::Fixture;
use assay_runtime::build::GUEST_TOML;

/// Where a guest comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Source {
    /// A folder with `guest.toml`.
    Folder(PathBuf),
    /// A folder with `Cargo.toml`.
    Crate(PathBuf),
    /// A `.wasm` file.
    Component(PathBuf),
}

impl Source {
    /// Looks at what is there.
    ///
    /// # Errors
    /// Nothing is there, or nothing that is a guest.
    pub(super) fn at(path: &Path) -> anyhow::Result<Self> {
        let metadata = path.metadata().with_context(|| format!("read {}", path.display()))?;
        if metadata.is_file() {
            return Ok(Self::Component(path.to_owned()));
        }
        match (path.join(GUEST_TOML).exists(), path.join("Cargo.toml").exists()) {
            (true, false) => Ok(Self::Folder(path.to_owned())),
            (false, true) => Ok(Self::Crate(path.to_owned())),
            (true, true) => bail!("{} has guest.toml and Cargo.toml; delete the one that it is not", path.display()),
            (false, false) => bail!(
                "{} is no guest: it has neither guest.toml nor Cargo.toml; `assay guest new NAME` writes one",
                path.display()
            ),
        }
    }

    /// The path that was named.
    pub(super) fn path(&self) -> &Path {
        match self {
            Self::Folder(path) | Self::Crate(path) | Self::Component(path) => path,
        }
    }

    /// The fixtures of the folder, or those that a finished component carries.
    ///
    /// # Errors
    /// A fixture that cannot be read.
    pub(super) fn fixtures(&self, component: &[u8]) -> anyhow::Result<Vec<Fixture>> {
        match self {
            Self::Folder(path) | Self::Crate(path) => Ok(Fixture::of(path)?),
            Self::Component(_) => Ok(Fixture::carried_by(component)?),
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.path().display().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_what_lies_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        assert!(Source::at(path).unwrap_err().to_string().contains("neither guest.toml nor Cargo.toml"));
        std::fs::write(path.join("guest.toml"), "").unwrap();
        assert_eq!(Source::at(path).unwrap(), Source::Folder(path.to_owned()));
        std::fs::write(path.join("Cargo.toml"), "").unwrap();
        assert!(Source::at(path).unwrap_err().to_string().contains("delete the one"));
        std::fs::remove_file(path.join("guest.toml")).unwrap();
        assert_eq!(Source::at(path).unwrap(), Source::Crate(path.to_owned()));
        let file = path.join("x.wasm");
        std::fs::write(&file, "").unwrap();
        assert_eq!(Source::at(&file).unwrap(), Source::Component(file));
        assert!(Source::at(&path.join("nowhere")).is_err());
    }
}
