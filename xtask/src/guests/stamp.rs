//! Remembers what `guest/dist` was made of, so that a run without changes takes no time.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

use crate::guests::guest::GUESTS;

const FILE: &str = ".stamp";

/// Digest of the core modules, of what no compiler reads, and of the program that finishes them.
#[derive(Debug, PartialEq)]
pub struct Stamp {
    inputs: String,
}

impl Stamp {
    /// Returns what the guests in `guest/dist` should be made of.
    pub fn of(cores: &[(&str, PathBuf)], uncompiled: &[Vec<u8>]) -> Result<Self> {
        let mut hash = Sha256::new();
        // The builder is part of this program: a new program may make other bytes.
        hash.update(Sha256::digest(fs::read(env::current_exe()?).context("read this program")?));
        for (_, core) in cores {
            hash.update(Sha256::digest(fs::read(core).with_context(|| format!("read {}", core.display()))?));
        }
        for part in uncompiled {
            hash.update(Sha256::digest(part));
        }
        Ok(Self { inputs: hex::encode(hash.finalize()) })
    }

    /// Returns whether `dist` was made of that, and is still what was made.
    pub fn matches(&self, dist: &Path) -> Result<bool> {
        match fs::read_to_string(dist.join(FILE)) {
            Ok(written) => Ok(outputs(dist).is_ok_and(|outputs| written == self.line(&outputs))),
            Err(_) => Ok(false),
        }
    }

    /// Remembers it.
    pub fn write(&self, dist: &Path) -> Result<()> {
        fs::write(dist.join(FILE), self.line(&outputs(dist)?)).context("write guest/dist/.stamp")
    }

    fn line(&self, outputs: &str) -> String {
        format!("{} {outputs}\n", self.inputs)
    }
}

fn outputs(dist: &Path) -> Result<String> {
    let mut hash = Sha256::new();
    for guest in &GUESTS {
        hash.update(Sha256::digest(fs::read(dist.join(guest.file)).with_context(|| format!("read {}", guest.file))?));
    }
    Ok(hex::encode(hash.finalize()))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::Stamp;
    use crate::guests::guest::GUESTS;

    #[test]
    fn a_changed_input_or_output_is_noticed() {
        let folder = tempfile::tempdir().expect("a folder");
        let core = folder.path().join("core.wasm");
        fs::write(&core, b"core").expect("writes");
        let dist = folder.path().join("dist");
        for guest in &GUESTS {
            let path = dist.join(guest.file);
            fs::create_dir_all(path.parent().expect("has one")).expect("makes it");
            fs::write(path, b"guest").expect("writes");
        }
        let cores = [("guest", core.clone())];
        let stamp = Stamp::of(&cores, &[]).expect("reads");
        assert!(!stamp.matches(&dist).expect("reads"), "nothing was written yet");
        stamp.write(&dist).expect("writes");
        assert!(stamp.matches(&dist).expect("reads"));
        fs::write(dist.join(GUESTS[1].file), b"touched").expect("writes");
        assert!(!stamp.matches(&dist).expect("reads"), "an output changed");
        stamp.write(&dist).expect("writes");
        fs::write(&core, b"other").expect("writes");
        assert!(!Stamp::of(&cores, &[]).expect("reads").matches(&dist).expect("reads"), "an input changed");
    }
}
