//! Packages of this machine. The Postgres server must be there; a C compiler is, or xtask could not have been linked.

use std::process::{Command, Stdio};

use anyhow::{Result, bail};
use assay_dev::Postgres;

use crate::run;

/// The package of Debian and its relatives.
const PACKAGE: &str = "postgresql";

/// Installs the Postgres server where it is missing, or says in one line what to install.
///
/// # Errors
/// If it is missing and cannot be installed from here.
pub fn ensure_postgres() -> Result<()> {
    if Postgres::is_installed() {
        println!("Postgres is installed.");
        return Ok(());
    }
    println!("Postgres is missing; installing it.");
    install(PACKAGE).map_err(|error| error.context("Postgres is missing"))?;
    if !Postgres::is_installed() {
        bail!("{PACKAGE} was installed, but its server is not where it is looked for");
    }
    Ok(())
}

/// Installs a package of Debian and its relatives, or says in one line what to install.
///
/// # Errors
/// If it cannot be installed from here.
pub fn install(package: &str) -> Result<()> {
    if !works(Command::new("apt-get").arg("--version")) {
        bail!("this system has no apt-get: install what Debian calls {package}");
    }
    let prefix = if rustix::process::geteuid().is_root() {
        Vec::new()
    } else if works(Command::new("sudo").args(["-n", "true"])) {
        vec!["sudo", "-n"]
    } else {
        bail!("sudo apt-get install -y {package}");
    };
    let apt = |arguments: &[&str]| {
        let mut words = prefix.clone();
        words.extend(["env", "DEBIAN_FRONTEND=noninteractive", "apt-get"]);
        words.extend(arguments);
        let mut command = Command::new(words[0]);
        command.args(&words[1..]);
        run::run(&mut command)
    };
    let install = ["install", "-y", "--no-install-recommends", package];
    // Lists may be missing, as in fresh containers, or name packages that are gone.
    if apt(&install).is_err() {
        apt(&["update"])?;
        apt(&install)?;
    }
    Ok(())
}

fn works(command: &mut Command) -> bool {
    let quiet = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    quiet.status().is_ok_and(|status| status.success())
}
