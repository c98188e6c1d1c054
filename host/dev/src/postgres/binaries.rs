//! Finds the Postgres programs of this machine: on `PATH`, then where Debian, Red Hat and Homebrew put them, newest first.

use std::{
    cmp::Reverse,
    env, fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail};

/// Folders with one subfolder per major version, and where the programs lie in it.
const VERSIONED_FOLDERS: [(&str, &str); 2] = [("/usr/lib/postgresql", "bin"), ("/opt/homebrew/opt", "bin")];

/// Folders that hold one version.
const UNVERSIONED_FOLDERS: [&str; 3] = ["/usr/pgsql/bin", "/usr/local/pgsql/bin", "/usr/local/bin"];

/// The folder that holds `initdb`, `postgres` and `psql`.
#[derive(Debug, Clone)]
pub(super) struct Binaries {
    folder: PathBuf,
}

impl Binaries {
    #[expect(clippy::disallowed_methods, reason = "finds the programs of Postgres; no configuration of a deployment")]
    pub(super) fn find() -> Result<Self> {
        let on_path = env::var_os("PATH").map(|path| env::split_paths(&path).collect::<Vec<_>>()).unwrap_or_default();
        on_path
            .into_iter()
            .chain(VERSIONED_FOLDERS.iter().flat_map(|(root, tail)| newest_first(Path::new(root), tail)))
            .chain(UNVERSIONED_FOLDERS.iter().map(PathBuf::from))
            .find(|folder| is_installation(folder))
            .map(|folder| Self { folder })
            .context("Postgres server not found: install it (Debian, Ubuntu: apt-get install postgresql; Fedora: dnf install postgresql-server; macOS: brew install postgresql)")
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(super) fn program(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Runs a script through `psql`. The password travels in the environment, which other users cannot read.
    pub(super) fn run_script(&self, url: &str, script: &str) -> Result<()> {
        let (head, rest) = url.split_once("://").context("the URL has no scheme")?;
        let (credentials, address) = rest.rsplit_once('@').context("the URL has no user")?;
        let (user, password) = credentials.split_once(':').context("the URL has no password")?;
        let mut child = Command::new(self.program("psql"))
            .args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-d"])
            .arg(format!("{head}://{user}@{address}"))
            .env("PGPASSWORD", password)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .context("run psql")?;
        child.stdin.take().context("psql has no input")?.write_all(script.as_bytes()).context("write to psql")?;
        let output = child.wait_with_output().context("wait for psql")?;
        if !output.status.success() {
            bail!("psql ended with {}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(())
    }
}

fn is_installation(folder: &Path) -> bool {
    ["initdb", "postgres", "psql"].iter().all(|name| folder.join(name).is_file())
}

/// Lists `root/VERSION/tail`, the highest version first.
fn newest_first(root: &Path, tail: &str) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(root) else { return Vec::new() };
    let mut versions: Vec<(u32, PathBuf)> = entries
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let digits: String = name.chars().filter(char::is_ascii_digit).collect();
            let postgres = name.starts_with("postgresql") || name.starts_with(|c: char| c.is_ascii_digit());
            postgres.then(|| (digits.parse().unwrap_or(u32::MAX), entry.path().join(tail)))
        })
        .collect();
    versions.sort_by_key(|(version, _)| Reverse(*version));
    versions.into_iter().map(|(_, path)| path).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_version_comes_first() {
        let root = tempfile::tempdir().unwrap();
        for name in ["9", "15", "17", "readme"] {
            fs::create_dir(root.path().join(name)).unwrap();
        }
        let found = newest_first(root.path(), "bin");
        let expected: Vec<_> = ["17", "15", "9"].iter().map(|v| root.path().join(v).join("bin")).collect();
        assert_eq!(found, expected);
    }
}
