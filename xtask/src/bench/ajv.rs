//! Ajv for Node, at the versions of a committed lock file, in the user's cache folder.

use std::{fs, path::PathBuf, process::Command};

use anyhow::{Context, Result, bail};

use crate::{paths, run};

/// The oldest major version of Node that Ajv is measured in.
const NODE: u32 = 18;
/// What is installed and what runs it, in `tests/bench/guest/ajv`.
const FILES: [&str; 3] = ["package.json", "package-lock.json", "validate.mjs"];

/// Installs Ajv where it is missing, and says where it is.
///
/// # Errors
/// Node is missing or too old, with the way to get it; or npm does not install.
pub fn ensure() -> Result<PathBuf> {
    let node = node()?;
    let folder = paths::cache().context("neither XDG_CACHE_HOME nor HOME is set")?.join("bench-ajv");
    let lock = fs::read(source().join("package-lock.json")).context("read tests/bench/guest/ajv/package-lock.json")?;
    let installed = fs::read(folder.join("package-lock.json")).is_ok_and(|there| there == lock)
        // npm writes it last.
        && folder.join("node_modules/.package-lock.json").is_file();
    fs::create_dir_all(&folder).with_context(|| format!("make {}", folder.display()))?;
    for file in FILES {
        fs::copy(source().join(file), folder.join(file)).with_context(|| format!("copy {file}"))?;
    }
    if installed {
        println!("Node {node}; Ajv is installed in {}.", folder.display());
        return Ok(folder);
    }
    println!("Node {node}; installing Ajv into {}.", folder.display());
    let mut npm = Command::new("npm");
    // The lock file names each package's hash; nothing of theirs runs while they are installed.
    npm.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]).current_dir(&folder);
    run::run(&mut npm).context("install Ajv; npm comes with Node")?;
    Ok(folder)
}

fn source() -> PathBuf {
    paths::root().join("tests/bench/guest/ajv")
}

/// Node's version: "20.20.2".
fn node() -> Result<String> {
    let by_hand = format!(
        "install Node {NODE} or newer with npm (Debian: sudo apt-get install -y nodejs npm; others: https://nodejs.org)"
    );
    let Ok(output) = Command::new("node").arg("--version").output() else {
        bail!("Node is missing, and the guest is measured beside Ajv in it: {by_hand}");
    };
    let version = String::from_utf8_lossy(&output.stdout).trim().trim_start_matches('v').to_owned();
    match major(&version) {
        Some(major) if major >= NODE => Ok(version),
        _ => bail!("Node is at {version:?}, which is too old: {by_hand}"),
    }
}

fn major(version: &str) -> Option<u32> {
    version.split('.').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use serde_json::Value;

    use super::{FILES, major, source};

    #[test]
    fn the_major_version_of_node_is_read() {
        assert_eq!(major("20.20.2"), Some(20));
        assert_eq!(major(""), None);
    }

    #[test]
    fn the_lock_file_holds_each_package_to_its_hash_and_names_no_server() {
        let files = FILES.map(|file| fs::read_to_string(source().join(file)).unwrap());
        let package: Value = serde_json::from_str(&files[0]).unwrap();
        let lock: Value = serde_json::from_str(&files[1]).unwrap();
        let packages = lock["packages"].as_object().unwrap();
        assert_eq!(packages[""]["dependencies"], package["dependencies"]);
        for (name, locked) in packages.iter().filter(|(name, _)| !name.is_empty()) {
            assert!(locked["integrity"].as_str().is_some_and(|hash| hash.starts_with("sha512-")), "{name}");
            assert!(locked.get("resolved").is_none(), "{name}");
        }
    }
}
