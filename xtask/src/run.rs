//! Running other programs: the command is shown as it could be typed, and shown again where it fails.

use std::{env, ffi::OsStr, path::PathBuf, process::Command};

use anyhow::{Context, Result, bail};

use crate::paths;

/// Cargo in the repository's root.
pub fn cargo(arguments: &[&str]) -> Command {
    let mut command = Command::new("cargo");
    command.args(arguments).current_dir(paths::root());
    // Cargo sets these about xtask itself; they would change the build that starts here.
    for (name, _) in env::vars_os() {
        let name = name.to_string_lossy();
        if name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") || name.starts_with("CARGO_PROFILE_") {
            command.env_remove(&*name);
        }
    }
    command
}

/// Prints a command and runs it.
///
/// # Errors
/// If it cannot be started or does not succeed, with the line to run it again.
pub fn run(command: &mut Command) -> Result<()> {
    let line = line(command);
    println!("$ {line}");
    let status = command.status().with_context(|| format!("run `{line}`"))?;
    if !status.success() {
        bail!("it ended with {status}; to run it again: {line}");
    }
    Ok(())
}

/// Returns the folder of what cargo builds for the host.
pub fn target() -> PathBuf {
    let folder = env::var_os("CARGO_TARGET_DIR").map_or_else(|| PathBuf::from("target"), PathBuf::from);
    // A relative one is relative to where cargo runs.
    paths::root().join(folder)
}

/// Returns the binary that `cargo build -p assay` makes.
pub fn assay() -> PathBuf {
    target().join("debug/assay")
}

/// Formats a command as a person would type it in the repository's root.
pub fn line(command: &Command) -> String {
    let variables = command.get_envs().filter_map(|(name, value)| {
        let value = value?;
        Some(format!("{}={}", name.to_string_lossy(), quoted(value)))
    });
    let words = std::iter::once(command.get_program()).chain(command.get_args()).map(quoted);
    variables.chain(words).collect::<Vec<_>>().join(" ")
}

fn quoted(word: &OsStr) -> String {
    let word = word.to_string_lossy();
    let plain = |c: char| c.is_alphanumeric() || "_-./:@%+,=".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.into_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::{line, run};

    #[test]
    fn a_failure_says_how_to_run_the_command_again() {
        let mut command = Command::new("sh");
        command.args(["-c", "exit 7"]).env("A", "b c");
        assert_eq!(line(&command), "A='b c' sh -c 'exit 7'");
        let error = format!("{:#}", run(&mut command).unwrap_err());
        assert!(error.ends_with("to run it again: A='b c' sh -c 'exit 7'"), "{error}");
    }
}
