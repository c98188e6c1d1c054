//! The parts: how to see whether one is there, and how to get it.

use std::{
    fs,
    process::{Command, Stdio},
};

use anyhow::{Context, Result, ensure};

use super::tools;
use crate::{run, system};

const REQUIREMENTS: &str = include_str!("requirements.txt");
const PACKAGE_JSON: &str = include_str!("package.json");

/// Something that a corpus or a stage of the nightly runs.
pub struct Part {
    pub name: &'static str,
    source: Source,
}

enum Source {
    /// A package of Debian, and a command that only works with it.
    Debian {
        package: &'static str,
        works: &'static [&'static str],
    },
    PyPi,
    Npm,
}

pub const PARTS: [Part; 7] = [
    debian("psql", "postgresql-client", &["psql", "--version"]),
    debian("openssl", "openssl", &["openssl", "version"]),
    debian("PgBouncer", "pgbouncer", &["/usr/sbin/pgbouncer", "--version"]),
    debian("Python's venv", "python3-venv", &["python3", "-c", "import ensurepip"]),
    debian("npm", "npm", &["npm", "--version"]),
    Part { name: "moto (PyPI)", source: Source::PyPi },
    Part { name: "fauxqs (npm)", source: Source::Npm },
];

const fn debian(name: &'static str, package: &'static str, works: &'static [&'static str]) -> Part {
    Part { name, source: Source::Debian { package, works } }
}

impl Part {
    /// Installs the part where it is missing.
    ///
    /// # Errors
    /// It cannot be had here.
    pub fn ensure(&self) -> Result<()> {
        match self.source {
            Source::Debian { package, works } => {
                let is_there = || answers(Command::new(works[0]).args(&works[1..]));
                if !is_there() {
                    system::install(package)?;
                    ensure!(is_there(), "{package} was installed, but `{}` does not work", works.join(" "));
                }
                Ok(())
            }
            Source::PyPi => python(),
            Source::Npm => npm(),
        }
    }
}

fn python() -> Result<()> {
    let folder = tools()?.join("python");
    let pip = folder.join("bin/pip");
    if !pip.is_file() {
        run::run(Command::new("python3").args(["-m", "venv"]).arg(&folder))?;
    }
    let list = tools()?.join("requirements.txt");
    if fs::read_to_string(&list).is_ok_and(|installed| installed == REQUIREMENTS) {
        return Ok(());
    }
    let wanted = tools()?.join("requirements.new");
    fs::write(&wanted, REQUIREMENTS).context("write the list of packages")?;
    run::run(Command::new(pip).args(["install", "--quiet", "--disable-pip-version-check", "-r"]).arg(&wanted))?;
    // Only a finished installation has the list.
    fs::rename(wanted, list).context("keep the list of packages")
}

fn npm() -> Result<()> {
    let folder = tools()?;
    let list = folder.join("package.json");
    let is_current = fs::read_to_string(&list).is_ok_and(|installed| installed == PACKAGE_JSON);
    if is_current && folder.join("node_modules/.bin").is_dir() {
        return Ok(());
    }
    fs::create_dir_all(&folder).context("make the folder of the parts")?;
    fs::write(&list, PACKAGE_JSON).context("write the list of packages")?;
    let mut install = Command::new("npm");
    install.args(["install", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error", "--prefix"]);
    let installed = run::run(install.arg(&folder));
    if installed.is_err() {
        // The next run tries again.
        let _ = fs::remove_file(list);
    }
    installed
}

fn answers(command: &mut Command) -> bool {
    let quiet = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    quiet.status().is_ok_and(|status| status.success())
}
