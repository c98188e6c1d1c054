//! Ajv in a process of Node's, which times its own calls; see `ajv/validate.mjs`.

use std::{
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, ensure};

use crate::documents::{Document, SCHEMA};

/// The running process. It ends when its input does.
pub struct Ajv {
    process: Child,
    ask: ChildStdin,
    answers: BufReader<ChildStdout>,
    /// "Ajv 8.20.0 in Node v20.20.2"
    pub name: String,
}

/// What a call takes and gives.
#[derive(Clone, Copy)]
pub enum Form {
    Text,
    /// UTF-8, decoded and encoded.
    Bytes,
}

impl Ajv {
    /// Starts Node in the folder where xtask installed Ajv, and waits until it has warmed up.
    ///
    /// # Errors
    /// Node does not start, or Ajv refuses a document.
    pub fn start(folder: &Path, documents: &[Document]) -> Result<Self> {
        let inputs = tempfile::tempdir()?;
        let write = |name: String, text: &str| -> Result<_> {
            let path = inputs.path().join(name);
            std::fs::write(&path, text)?;
            Ok(path)
        };
        let mut command = Command::new("node");
        command.arg(folder.join("validate.mjs")).arg(write("schema.json".to_owned(), SCHEMA)?);
        for (index, document) in documents.iter().enumerate() {
            command.arg(write(format!("{index}.json"), &document.text)?);
        }
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().context("start node")?;
        let ask = process.stdin.take().context("node has no input")?;
        let answers = BufReader::new(process.stdout.take().context("node has no output")?);
        let version =
            std::fs::read_to_string(folder.join("node_modules/ajv/package.json")).context("read Ajv's version")?;
        let version: serde_json::Value = serde_json::from_str(&version)?;
        let mut ajv = Self { process, ask, answers, name: String::new() };
        let ready = ajv.line()?;
        let node = ready.strip_prefix("ready ").with_context(|| format!("node said {ready:?}"))?;
        ajv.name = format!("Ajv {} in Node {node}", version["version"].as_str().unwrap_or_default());
        Ok(ajv)
    }

    /// Runs some calls on one document.
    ///
    /// # Errors
    /// Node ended.
    pub fn calls(&mut self, document: usize, calls: usize, form: Form) -> Result<Vec<Duration>> {
        let form = match form {
            Form::Text => "text",
            Form::Bytes => "bytes",
        };
        writeln!(self.ask, "{document} {calls} {form}")?;
        let line = self.line()?;
        let times = line.split(' ').map(|nanos| Ok(Duration::from_nanos(nanos.parse()?)));
        times.collect::<Result<Vec<_>>>().with_context(|| format!("node said {line:?}"))
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        ensure!(line.ends_with('\n'), "node ended; what it said is above");
        Ok(line.trim_end().to_owned())
    }
}

impl Drop for Ajv {
    fn drop(&mut self) {
        // It waits for input and would end by itself; nothing of it is worth waiting for.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
