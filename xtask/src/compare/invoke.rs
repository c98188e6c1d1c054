//! Runs one command of the table against a session.

use std::{
    fs::{self, File},
    path::PathBuf,
    process::{Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use super::{
    commands::{Kind, Step, Variables},
    mask,
};
use crate::{demo::session::Session, paths, revision::built_revision::BuiltRevision};

/// No row has it.
const UNKNOWN: &str = "00000000-0000-4000-8000-000000000000";
/// Longer than all samples take with the stand-in.
const TIMEOUT: Duration = Duration::from_secs(300);
const POLL_DELAY: Duration = Duration::from_millis(5);

/// How a command ended.
pub struct Answer {
    pub code: Option<i32>,
    pub stdout: String,
}

impl Answer {
    /// Returns what is compared: names in place of ids and paths of this run, the rest masked.
    pub fn masked(&self, names: &[(String, String)], kind: Kind) -> Value {
        let mut text = self.stdout.clone();
        for (value, name) in names {
            text = text.replace(value, name);
        }
        let stdout = match serde_json::from_str::<Value>(&text) {
            Ok(_) if kind == Kind::EachDocument => mask::document(&text).into(),
            Ok(mut document) => {
                if let (Kind::Unordered, Value::Array(rows)) = (kind, &mut document) {
                    rows.sort_by_key(|row| row["file_id"].to_string());
                }
                mask::json(&mut document);
                document
            }
            // Words for people may change.
            Err(_) => if text.trim().is_empty() { "nothing" } else { "text" }.into(),
        };
        json!({"exit": self.code, "stdout": stdout})
    }
}

/// A file of the session.
struct Submitted {
    sample: String,
    file: String,
    job: String,
}

/// Knows what stands for the words in braces.
pub struct Invoker<'a> {
    session: &'a Session,
    guests: PathBuf,
    folders: Vec<(PathBuf, &'static str)>,
    work: PathBuf,
    samples: Vec<(String, PathBuf)>,
    submitted: Vec<Submitted>,
}

impl<'a> Invoker<'a> {
    /// Makes the folder that the commands run in.
    pub fn new(session: &'a Session, revision: &BuiltRevision, work: PathBuf) -> Result<Self> {
        fs::create_dir_all(&work).with_context(|| format!("make {}", work.display()))?;
        fs::write(work.join("bad.pdf"), b"%PDF-1.7 \xff\xfe").context("write bad.pdf")?;
        fs::write(work.join("answer.json"), "{\"title\": 1}").context("write answer.json")?;
        let mut samples = Vec::new();
        for entry in fs::read_dir(paths::root().join("docs/samples")).context("list docs/samples")? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "txt" || extension == "vtt") {
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                samples.push((name.split('.').next().unwrap_or_default().to_owned(), path));
            }
        }
        samples.sort();
        let data = work.parent().unwrap_or(&work).to_owned();
        // The longer path first: one lies in the other.
        let folders = vec![
            (work.clone(), "<work>"),
            (data, "<data>"),
            (revision.folder.clone(), "<built>"),
            (paths::root().to_owned(), "<repository>"),
        ];
        Ok(Self { session, guests: revision.guests(), folders, work, samples, submitted: Vec::new() })
    }

    /// Takes the ids of the samples out of the answer to their submission.
    pub fn remember(&mut self, answer: &Answer) -> Result<()> {
        let rows: Vec<Value> = serde_json::from_str(&answer.stdout).context("understand what assay submit says")?;
        for (row, (sample, _)) in rows.iter().zip(&self.samples) {
            let id =
                |name: &str| row[name].as_str().map(str::to_owned).with_context(|| format!("{sample} has no {name}"));
            self.submitted.push(Submitted { sample: sample.clone(), file: id("file_id")?, job: id("job_id")? });
        }
        Ok(())
    }

    pub fn sample_names(&self) -> Vec<String> {
        self.samples.iter().map(|(name, _)| name.clone()).collect()
    }

    /// Returns the id of a sample's file.
    pub fn file(&self, sample: &str) -> Result<String> {
        Ok(self.submitted(sample)?.file.clone())
    }

    /// Returns ids and paths of this run, each with the name that stands for it.
    pub fn names(&self) -> Vec<(String, String)> {
        let files = self.submitted.iter().map(|one| (one.file.clone(), format!("<file {}>", one.sample)));
        let jobs = self.submitted.iter().map(|one| (one.job.clone(), format!("<job {}>", one.sample)));
        let folders = self.folders.iter().map(|(path, name)| (path.display().to_string(), (*name).to_owned()));
        files.chain(jobs).chain(folders).collect()
    }

    /// Runs a command of the table, for a sample where it is one for each.
    pub fn run(&self, step: &Step, sample: Option<&str>) -> Result<Answer> {
        let mut words = Vec::new();
        for word in step.arguments.split_whitespace() {
            if word == "{samples}" {
                words.extend(self.samples.iter().map(|(_, path)| path.display().to_string()));
            } else {
                words.push(self.replaced(word, sample).with_context(|| format!("command {}", step.name))?);
            }
        }
        let mut command = self.session.bare();
        if let Variables::Session(more) = step.variables {
            // A variable of the file wins over one of the environment.
            let mut variables = self.session.variables()?;
            variables.extend(more.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
            command.envs(variables);
        }
        self.answer(command.args(words)).with_context(|| format!("command {}", step.name))
    }

    /// Runs a command with the variables of the session.
    pub fn words(&self, words: &[&str]) -> Result<Answer> {
        self.answer(self.session.bare().envs(self.session.variables()?).args(words))
    }

    fn answer(&self, command: &mut Command) -> Result<Answer> {
        let path = self.work.join("stdout");
        let file = File::create(&path).with_context(|| format!("make {}", path.display()))?;
        let command = command.current_dir(&self.work).env("USER", "anna");
        let mut child = command.stdin(Stdio::null()).stdout(file).stderr(Stdio::null()).spawn().context("run it")?;
        let until = Instant::now() + TIMEOUT;
        loop {
            if let Some(status) = child.try_wait().context("wait for it")? {
                let stdout = fs::read(&path).with_context(|| format!("read {}", path.display()))?;
                return Ok(Answer { code: status.code(), stdout: String::from_utf8_lossy(&stdout).into_owned() });
            }
            if Instant::now() >= until {
                let _already_ended = child.kill();
                child.wait().context("wait for it")?;
                bail!("not ended within {} s: {command:?}", TIMEOUT.as_secs());
            }
            sleep(POLL_DELAY);
        }
    }

    fn replaced(&self, word: &str, sample: Option<&str>) -> Result<String> {
        let Some((before, (inner, after))) =
            word.split_once('{').and_then(|(before, rest)| Some((before, rest.split_once('}')?)))
        else {
            return Ok(word.to_owned());
        };
        let (kind, name) = inner.split_once(':').map_or((inner, sample), |(kind, name)| (kind, Some(name)));
        let name = || name.with_context(|| format!("`{word}` names no sample"));
        let value = match kind {
            "dist" => self.guests.display().to_string(),
            "work" => self.work.display().to_string(),
            "unknown" => UNKNOWN.to_owned(),
            "file" => self.file(name()?)?,
            "job" => self.submitted(name()?)?.job.clone(),
            "sample" => {
                let sample = self.samples.iter().find(|(sample, _)| Some(sample.as_str()) == name().ok());
                sample.with_context(|| format!("`{word}` names no sample"))?.1.display().to_string()
            }
            other => bail!("`{other}` stands for nothing"),
        };
        Ok(format!("{before}{value}{after}"))
    }

    fn submitted(&self, sample: &str) -> Result<&Submitted> {
        self.submitted.iter().find(|one| one.sample == sample).with_context(|| format!("there is no sample {sample}"))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Answer, Kind};

    fn masked(stdout: &str, kind: Kind) -> serde_json::Value {
        let names = [("0198c2a4-7f3e-7d21-9c55-0a1b2c3d4e5f".to_owned(), "<file a>".to_owned())];
        Answer { code: Some(1), stdout: stdout.to_owned() }.masked(&names, kind)
    }

    #[test]
    fn words_for_people_are_not_compared() {
        assert_eq!(masked("no such file\n", Kind::Once), json!({"exit": 1, "stdout": "text"}));
        assert_eq!(masked("\n", Kind::Once), json!({"exit": 1, "stdout": "nothing"}));
    }

    #[test]
    fn a_document_is_kept_as_it_is_and_an_answer_as_json() {
        let text = "{\"b\": 1,\"a\":\"0198c2a4-7f3e-7d21-9c55-0a1b2c3d4e5f\"}";
        assert_eq!(masked(text, Kind::EachDocument)["stdout"], "{\"b\": 1,\"a\":\"<file a>\"}");
        assert_eq!(masked(text, Kind::Once)["stdout"], json!({"a": "<file a>", "b": 1}));
    }

    #[test]
    fn only_lists_whose_order_depends_on_timing_are_sorted() {
        let text = r#"[{"file_id": "b"}, {"file_id": "a"}]"#;
        assert_eq!(masked(text, Kind::Unordered)["stdout"], json!([{"file_id": "a"}, {"file_id": "b"}]));
        assert_eq!(masked(text, Kind::Once)["stdout"], json!([{"file_id": "b"}, {"file_id": "a"}]));
    }
}
