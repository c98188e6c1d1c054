//! The account that runs the server. Postgres refuses root, so root steps down to `postgres`, or to `nobody` if that is missing.

use std::{
    fs::Metadata,
    os::unix::fs::{self, MetadataExt},
    path::Path,
    process::Command,
};

use anyhow::{Context, Result, bail};

/// Accounts to step down to, the best first.
const UNPRIVILEGED: [&str; 2] = ["postgres", "nobody"];

/// The account that owns the data folder and runs the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Account {
    /// This process is not root: the server runs under the same account.
    Own { uid: u32 },
    /// This process is root and steps down.
    Other { uid: u32, gid: u32 },
}

impl Account {
    pub(super) fn choose() -> Result<Self> {
        let own = rustix::process::geteuid();
        if !own.is_root() {
            return Ok(Self::Own { uid: own.as_raw() });
        }
        UNPRIVILEGED
            .iter()
            .find_map(|name| Some(Self::Other { uid: id("-u", name)?, gid: id("-g", name)? }))
            .context("Postgres refuses to run as root, and neither the account `postgres` nor `nobody` exists; create one of them")
    }

    pub(super) fn uid(self) -> u32 {
        match self {
            Self::Own { uid } | Self::Other { uid, .. } => uid,
        }
    }

    /// Returns a command that runs `program` under this account. When the thread that started it ends, the kernel sends it SIGQUIT, on
    /// which Postgres ends at once. Without `setpriv` (not Linux), `Drop` alone stops the server.
    pub(super) fn command(self, program: &Path) -> Result<Command> {
        let setpriv = ["/usr/bin/setpriv", "/bin/setpriv"].into_iter().find(|path| Path::new(path).is_file());
        let Some(setpriv) = setpriv else {
            return match self {
                Self::Own { .. } => Ok(Command::new(program)),
                Self::Other { .. } => bail!("stepping down from root needs `setpriv`; install the package util-linux"),
            };
        };
        let mut command = Command::new(setpriv);
        if let Self::Other { uid, gid } = self {
            command.arg("--reuid").arg(uid.to_string()).arg("--regid").arg(gid.to_string()).arg("--clear-groups");
        }
        command.args(["--pdeathsig", "QUIT", "--"]).arg(program);
        Ok(command)
    }

    /// Gives a file or folder to the account.
    pub(super) fn own(self, path: &Path) -> Result<()> {
        match self {
            Self::Own { .. } => Ok(()),
            Self::Other { uid, gid } => {
                fs::chown(path, Some(uid), Some(gid)).with_context(|| format!("give {} to user {uid}", path.display()))
            }
        }
    }

    /// Returns whether the account can enter every folder above `path`.
    pub(super) fn reaches(self, path: &Path) -> bool {
        match self {
            Self::Own { .. } => true,
            Self::Other { uid, gid } => path.ancestors().skip(1).filter(|p| !p.as_os_str().is_empty()).all(|folder| {
                // A folder that does not exist yet is made by this process, with its umask: enterable.
                folder.metadata().map_or(true, |metadata| may_enter(&metadata, uid, gid))
            }),
        }
    }
}

fn may_enter(metadata: &Metadata, uid: u32, gid: u32) -> bool {
    let mode = metadata.mode();
    if metadata.uid() == uid {
        mode & 0o100 != 0
    } else if metadata.gid() == gid {
        mode & 0o010 != 0
    } else {
        mode & 0o001 != 0
    }
}

/// Asks `id`, because `/etc/passwd` is only one source of accounts.
fn id(flag: &str, name: &str) -> Option<u32> {
    let output = Command::new("id").args([flag, name]).output().ok()?;
    if !output.status.success() {
        return None;
    }
    String::from_utf8(output.stdout).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use std::{
        fs::{Permissions, create_dir, set_permissions},
        os::unix::fs::PermissionsExt,
    };

    use super::*;

    #[test]
    fn an_account_does_not_reach_below_a_closed_folder() {
        let root = tempfile::tempdir().unwrap();
        let closed = root.path().join("closed");
        create_dir(&closed).unwrap();
        let other = Account::Other { uid: 65_533, gid: 65_533 };
        set_permissions(root.path(), Permissions::from_mode(0o755)).unwrap();
        set_permissions(&closed, Permissions::from_mode(0o755)).unwrap();
        assert!(other.reaches(&closed.join("cluster")));
        set_permissions(&closed, Permissions::from_mode(0o700)).unwrap();
        assert!(!other.reaches(&closed.join("cluster")));
    }
}
