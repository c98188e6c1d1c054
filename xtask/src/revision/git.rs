//! The few questions that are put to git.

use std::{path::Path, process::Command};

use anyhow::{Context, Result, ensure};

use crate::paths;

/// Returns the commit that a revision names.
pub fn commit(revision: &str) -> Result<String> {
    let output = git(&["rev-parse", "--verify", "--quiet", "--end-of-options", &format!("{revision}^{{commit}}")])?;
    let commit = String::from_utf8(output.stdout).context("read what git says")?.trim().to_owned();
    ensure!(output.status.success() && !commit.is_empty(), "`{revision}` names no commit: `git log` shows them");
    Ok(commit)
}

/// Returns whether `earlier` is `later`, or comes before it.
pub fn is_ancestor(earlier: &str, later: &str) -> Result<bool> {
    let later = commit(later)?;
    let output = git(&["merge-base", "--is-ancestor", earlier, &later])?;
    let code = output.status.code();
    ensure!(matches!(code, Some(0 | 1)), "git merge-base: {}", String::from_utf8_lossy(&output.stderr).trim());
    Ok(code == Some(0))
}

/// Checks a commit out into a folder of its own.
pub fn check_out(commit: &str, folder: &Path) -> Result<()> {
    remove(folder)?;
    let output = git(&["worktree", "add", "--force", "--detach", &folder.to_string_lossy(), commit])?;
    ensure!(output.status.success(), "git worktree add: {}", String::from_utf8_lossy(&output.stderr).trim());
    Ok(())
}

/// Removes such a folder, where there is one.
pub fn remove(folder: &Path) -> Result<()> {
    if folder.exists() {
        // A folder of a command that was killed is not always known to git.
        let _unknown_to_git = git(&["worktree", "remove", "--force", &folder.to_string_lossy()])?;
        if folder.exists() {
            std::fs::remove_dir_all(folder).with_context(|| format!("remove {}", folder.display()))?;
        }
    }
    Ok(())
}

fn git(arguments: &[&str]) -> Result<std::process::Output> {
    Command::new("git").args(arguments).current_dir(paths::root()).output().context("run git")
}
