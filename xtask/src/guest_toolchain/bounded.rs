//! Runs a program with a time limit, showing what it does; its output appears only when it ends badly.

use std::{
    fs,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

use crate::guests::spinner;

const POLL_PERIOD: Duration = Duration::from_millis(50);

/// Runs to the end and returns what it printed.
pub fn run(what: &str, command: &mut Command, limit: Duration) -> Result<String> {
    let program = command.get_program().to_string_lossy().into_owned();
    // Files, not pipes: a full pipe would stop the writer.
    let (out, err) = (tempfile::NamedTempFile::new()?, tempfile::NamedTempFile::new()?);
    command.stdin(Stdio::null()).stdout(out.reopen()?).stderr(err.reopen()?);
    let bar = spinner(what.to_owned());
    let started = Instant::now();
    let mut child = command.spawn().with_context(|| format!("run {program}"))?;
    let status = loop {
        if let Some(status) = child.try_wait().with_context(|| format!("wait for {program}"))? {
            break status;
        }
        if started.elapsed() > limit {
            child.kill().with_context(|| format!("stop {program}"))?;
            child.wait().with_context(|| format!("wait for {program}"))?;
            bail!("{what}: {program} took longer than {} s", limit.as_secs());
        }
        thread::sleep(POLL_PERIOD);
    };
    bar.finish_and_clear();
    if !status.success() {
        let said = fs::read_to_string(err.path()).unwrap_or_default();
        bail!("{what}: {program} ended with {status}\n{}", last_lines(&said, 12));
    }
    Ok(String::from_utf8_lossy(&fs::read(out.path())?).into_owned())
}

fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}

#[cfg(test)]
mod tests {
    use std::{
        process::Command,
        time::{Duration, Instant},
    };

    use super::{last_lines, run};

    #[test]
    fn a_program_that_hangs_is_stopped() {
        let started = Instant::now();
        let error =
            run("wait", Command::new("sleep").arg("600"), Duration::from_millis(200)).expect_err("must be stopped");
        assert!(error.to_string().contains("longer than"), "{error}");
        assert!(started.elapsed() < Duration::from_secs(30));
    }

    #[test]
    fn a_program_that_fails_says_why() {
        let error =
            run("list", Command::new("ls").arg("/no/such/folder"), Duration::from_secs(30)).expect_err("must fail");
        assert!(error.to_string().contains("/no/such/folder"), "{error}");
        assert!(run("run", &mut Command::new("/no/such/program"), Duration::from_secs(30)).is_err());
    }

    #[test]
    fn of_a_long_output_the_end_is_kept() {
        assert_eq!(last_lines("1\n\n2\n3\n", 2), "2\n3");
    }
}
