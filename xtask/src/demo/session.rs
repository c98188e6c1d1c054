//! `assay dev` as a child process, and the commands that are given to it.

use std::{
    collections::BTreeMap,
    env,
    fs::{self, File},
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Stdio},
    sync::mpsc,
    time::Duration,
};

use anyhow::{Context, Result, anyhow, bail};
use serde::Deserialize;

use super::{expectation::Sample, outcome::Outcome};
use crate::run;

/// How long all samples may take with the stand-in: some wait for a rate limit to pass.
const PATIENCE: Duration = Duration::from_secs(180);
/// How long they may take with a model, which may run on this very machine.
const PATIENCE_WITH_A_MODEL: Duration = Duration::from_secs(3600);
/// Waits before attempts 2, 3 and later, in milliseconds. With the stand-in they show the same in a thirtieth of the time.
const SHORT_BACKOFF_MS: &str = "1000,4000,16000";
/// Lines of the log that an error shows.
const LAST_LINES: usize = 15;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// The one that the environment names, and the stand-in where it names none.
    Named,
    /// The stand-in, whatever the environment names: a test buys nothing.
    StandIn,
}

/// What `assay dev --json` prints when it is ready.
#[derive(Debug, Deserialize)]
pub struct Ready {
    pub model_is_stand_in: bool,
    env_file: PathBuf,
    bucket: String,
    pub objects_folder: PathBuf,
    model: String,
    model_url: String,
    pub admin: String,
}

/// A binary, and the guests that its worker offers.
#[derive(Clone, Debug)]
pub struct Program {
    pub binary: PathBuf,
    pub guests: PathBuf,
}

impl Program {
    /// Returns what cargo built of this tree last.
    pub fn built() -> Self {
        Self { binary: run::assay(), guests: crate::paths::root().join("guest/dist") }
    }
}

/// The running services. They end with this value, and, because their input ends then, with this process.
pub struct Session {
    child: Child,
    program: Program,
    asked: Asked,
    log: PathBuf,
    ready: Ready,
    _stdout: BufReader<ChildStdout>,
}

impl Session {
    /// Starts the services, with these variables for the worker, and waits until that is at work.
    ///
    /// # Errors
    /// If they do not come up, with the last lines of their log.
    pub fn start(data: &Path, asked: Asked, variables: &[(&str, &str)]) -> Result<Self> {
        Self::start_program(Program::built(), data, asked, variables)
    }

    /// Starts the services of a program, as `start` does.
    ///
    /// # Errors
    /// Where they do not come up, with the last lines of their log.
    pub fn start_program(program: Program, data: &Path, asked: Asked, variables: &[(&str, &str)]) -> Result<Self> {
        fs::create_dir_all(data).with_context(|| format!("make {}", data.display()))?;
        let log = data.join("log");
        let mut command = assay(&program.binary, asked);
        command.args(["dev", "--json", "--stop-with-stdin", "--data"]).arg(data);
        command.arg("--guests").arg(&program.guests).env("ADMIN_ADDR", "127.0.0.1:0");
        command.envs(variables.iter().copied());
        if !has_model(asked) {
            command.env("JOB_BACKOFF_MS", SHORT_BACKOFF_MS);
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        command.stderr(File::create(&log).with_context(|| format!("make {}", log.display()))?);
        let mut child = command.spawn().context("run assay dev")?;
        let mut stdout = BufReader::new(child.stdout.take().context("assay dev has no output")?);
        let mut line = String::new();
        stdout.read_line(&mut line).context("read what assay dev says")?;
        if line.is_empty() {
            let status = child.wait().context("wait for assay dev")?;
            bail!("assay dev ended with {status}; the end of {}:\n{}", log.display(), last_lines(&log));
        }
        let ready = serde_json::from_str(&line).context("understand what assay dev says")?;
        Ok(Self { child, program, asked, log, ready, _stdout: stdout })
    }

    pub fn ready(&self) -> &Ready {
        &self.ready
    }

    /// Returns what other commands need to know, by name.
    ///
    /// # Errors
    /// If the services have not written it.
    pub fn variables(&self) -> Result<BTreeMap<String, String>> {
        let file = &self.ready.env_file;
        let text = fs::read_to_string(file).with_context(|| format!("read {}", file.display()))?;
        let pairs = text.lines().filter_map(|line| line.split_once('='));
        Ok(pairs.map(|(name, value)| (name.to_owned(), value.trim_matches(['\'', '"']).to_owned())).collect())
    }

    pub fn describe(&self) -> String {
        let Ready { model, model_url, admin, .. } = &self.ready;
        let model = if self.ready.model_is_stand_in {
            format!(
                "a stand-in at {model_url}: no model, its answers are made out of the transcript\n\
                 waits    {SHORT_BACKOFF_MS} ms between attempts, a thirtieth of the usual"
            )
        } else {
            format!("{model} at {model_url}")
        };
        format!("model    {model}\nworker   http://{admin}/metrics\nlog      {}", self.log.display())
    }

    pub fn log(&self) -> &Path {
        &self.log
    }

    /// Returns where the artifacts of the samples lie.
    pub fn artifacts(&self) -> String {
        format!(
            "The artifacts lie under these keys of bucket {}, on disk below {}:",
            self.ready.bucket,
            self.ready.objects_folder.display()
        )
    }

    /// Runs `assay check`, which names a wrong key of a model before jobs wait for it.
    ///
    /// # Errors
    /// If a check fails; its cure was printed.
    pub fn check(&self) -> Result<()> {
        let status = self.assay().arg("check").status().context("run assay check")?;
        if !status.success() {
            bail!("assay check ended with {status}; what to do about it stands above");
        }
        Ok(())
    }

    /// Submits the samples and waits until each has ended.
    ///
    /// # Errors
    /// If they take too long, with the state of the queue and the end of the log.
    pub fn process(&self, samples: &[Sample]) -> Result<Vec<Outcome>> {
        let mut command = self.assay();
        command.args(["submit", "--wait", "--json"]).args(samples.iter().map(|sample| &sample.path));
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().context("run assay submit")?;
        let patience = if self.ready.model_is_stand_in { PATIENCE } else { PATIENCE_WITH_A_MODEL };
        let answer = self.answer(&mut child, patience);
        // After a full answer it ends by itself; after none it must not outlive us.
        if answer.is_err() {
            let _already_ended = child.kill();
        }
        child.wait().context("wait for assay submit")?;
        let outcomes: Vec<Outcome> = serde_json::from_str(&answer?).context("understand what assay submit says")?;
        if outcomes.len() != samples.len() {
            bail!("{} samples were submitted, but assay submit reported {}", samples.len(), outcomes.len());
        }
        Ok(outcomes)
    }

    /// Returns the whole output of a child, within a time.
    fn answer(&self, child: &mut Child, patience: Duration) -> Result<String> {
        let mut stdout = child.stdout.take().context("assay submit has no output")?;
        let (sender, receiver) = mpsc::channel();
        std::thread::spawn(move || {
            let mut text = String::new();
            // The receiver may have given up.
            let _sent = sender.send(stdout.read_to_string(&mut text).map(|_| text));
        });
        let answer = receiver.recv_timeout(patience).map_err(|_| {
            let _shown = run::run(self.assay().arg("status"));
            let log = last_lines(&self.log);
            anyhow!(
                "the samples have not ended within {}; the end of {}:\n{log}",
                crate::stages::seconds(patience),
                self.log.display()
            )
        })?;
        answer.context("read what assay submit says")
    }

    /// Ends the services in order.
    ///
    /// # Errors
    /// If they do not end well.
    pub fn stop(mut self) -> Result<()> {
        drop(self.child.stdin.take());
        let status = self.child.wait().context("wait for assay dev")?;
        if !status.success() {
            bail!("assay dev ended with {status}; the end of {}:\n{}", self.log.display(), last_lines(&self.log));
        }
        Ok(())
    }

    fn assay(&self) -> Command {
        let mut command = assay(&self.program.binary, self.asked);
        command.arg("--env-file").arg(&self.ready.env_file);
        command
    }

    /// Returns the program without what it needs to know of the services.
    pub fn bare(&self) -> Command {
        assay(&self.program.binary, self.asked)
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _status = self.child.wait();
    }
}

/// Returns whether a model is asked, and not the stand-in.
fn has_model(asked: Asked) -> bool {
    asked == Asked::Named && env::var_os("LLM_BASE_URL").is_some_and(|url| !url.is_empty())
}

/// Returns a command of the binary without variables of another deployment, but for a model that is to be asked.
fn assay(binary: &Path, asked: Asked) -> Command {
    let mut command = Command::new(binary);
    for name in read_by_assay() {
        if !(name.starts_with("LLM_") && has_model(asked)) {
            command.env_remove(name);
        }
    }
    command
}

/// Returns every variable that Assay reads: `.env.example` has them all, as a test of the host holds it to.
pub fn read_by_assay() -> impl Iterator<Item = &'static str> {
    let lines = include_str!("../../../.env.example").lines();
    let names = lines.filter_map(|line| Some(line.trim_start_matches("# ").split_once('=')?.0));
    // What explains a variable may have the sign, too.
    names.filter(|name| name.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_'))
}

fn last_lines(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(LAST_LINES)..].join("\n")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{Asked, assay};

    #[test]
    fn the_demo_hears_of_no_variable_of_another_deployment() {
        let command = assay(Path::new("assay"), Asked::StandIn);
        let removed: Vec<_> = command.get_envs().filter(|(_, value)| value.is_none()).map(|(name, _)| name).collect();
        for name in ["DATABASE_URL", "SWEEP", "BREAKER_PROBE_MS", "VERSION_PATIENCE_MS", "LLM_BASE_URL", "LLM_API_KEY"]
        {
            assert!(removed.contains(&name.as_ref()), "{name}: {removed:?}");
        }
    }
}
