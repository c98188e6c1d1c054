//! The kinds of guests: a folder without code, a crate, or a finished component.

use std::{
    fmt,
    fs::File,
    io::Read,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail, ensure};
use assay_guest_build::GUEST_TOML;
use assay_guest_test::Fixture;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A folder with `guest.toml`.
    Folder(PathBuf),
    /// A folder with `Cargo.toml`.
    Crate(PathBuf),
    /// A `.wasm` file.
    Component(PathBuf),
}

const MAGIC: &[u8; 4] = b"\0asm";
const CARGO_TOML: &str = "Cargo.toml";

impl Source {
    /// Returns the kind of guest at a path.
    ///
    /// # Errors
    /// There is no guest at the path.
    pub fn at(path: &Path) -> anyhow::Result<Self> {
        let metadata = path.metadata().with_context(|| format!("read {}", path.display()))?;
        if metadata.is_file() {
            return Self::file(path);
        }
        ensure!(metadata.is_dir(), "{} is not a guest: it is neither a file nor a folder", path.display());
        match (path.join(GUEST_TOML).exists(), path.join(CARGO_TOML).exists()) {
            (true, false) => Ok(Self::Folder(path.to_owned())),
            (false, true) => Ok(Self::Crate(path.to_owned())),
            (true, true) => {
                bail!("{} has both guest.toml and Cargo.toml; delete the one that does not apply", path.display())
            }
            (false, false) => bail!(
                "{} is not a guest: it has neither guest.toml nor Cargo.toml; `assay guest new NAME` writes one",
                path.display()
            ),
        }
    }

    /// Accepts WebAssembly, and any file named `.wasm`: the rules of admission report what is wrong with it.
    fn file(path: &Path) -> anyhow::Result<Self> {
        let mut begin = Vec::new();
        let read = File::open(path).and_then(|file| file.take(MAGIC.len() as u64).read_to_end(&mut begin));
        read.with_context(|| format!("read {}", path.display()))?;
        if begin == MAGIC || path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("wasm")) {
            return Ok(Self::Component(path.to_owned()));
        }
        let folder = match path.parent() {
            Some(folder) if [GUEST_TOML, CARGO_TOML].iter().any(|name| path.ends_with(name)) => {
                let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
                format!("name the guest's folder, {}", folder.display())
            }
            _ => "name the folder of a guest, or a component".to_owned(),
        };
        bail!("{} is not a guest: it is not WebAssembly; {folder}", path.display())
    }

    pub fn path(&self) -> &Path {
        match self {
            Self::Folder(path) | Self::Crate(path) | Self::Component(path) => path,
        }
    }

    /// Returns the fixtures of the folder, or those inside a finished component.
    ///
    /// # Errors
    /// A fixture cannot be read.
    pub fn fixtures(&self, component: &[u8]) -> anyhow::Result<Vec<Fixture>> {
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
    fn a_folder_is_known_by_its_manifest() {
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
        let device = Source::at(Path::new("/dev/zero")).unwrap_err().to_string();
        assert_eq!(device, "/dev/zero is not a guest: it is neither a file nor a folder");
    }

    #[test]
    fn a_file_is_a_component_by_its_content_or_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str, bytes: &[u8]| {
            let file = folder.path().join(name);
            std::fs::write(&file, bytes).unwrap();
            Source::at(&file).map_err(|error| error.to_string())
        };
        assert!(at("release", b"\0asm\x0d\0\x01\0").is_ok());
        assert!(at("text.WASM", b"(component)").is_ok());
        let refused = at("guest.toml", b"prompt-version = 'a'").unwrap_err();
        assert!(refused.ends_with(&format!("; name the guest's folder, {}", folder.path().display())), "{refused}");
        let refused = at("prompt.md", b"").unwrap_err();
        assert!(refused.ends_with("; name the folder of a guest, or a component"), "{refused}");
    }
}
