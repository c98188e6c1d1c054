//! `assay guest try`.

mod answering;
mod story;
mod told;

use std::{
    collections::BTreeMap,
    io::IsTerminal,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

use anyhow::{Context, anyhow, bail, ensure};
use assay_conversation::{ConversationEnd, ConversationError, run as converse};
use assay_core::env::Variables;
use assay_guest_build::toolchain;
use assay_guest_test::{Fixture, step_json};
use assay_runtime::{Guest, Step, Transcript};
use assay_worker::pipeline::PipelineConfig;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use self::{
    answering::{Answering, TrialAnswers},
    story::Story,
};
use super::{
    make::{Made, Maker},
    source::Source,
    watch::Watch,
};
use crate::{exit::Failure, output};

/// Try a guest on a transcript: the questions, the answers, the step, and what it all took.
///
/// The answers come from the model of LLM_BASE_URL and LLM_MODEL, from the stand-in of this binary, or from files. No
/// database and no bucket. Exits 0 where the guest accepts a report that its schema allows, else 1.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  assay guest try minutes-v1 call.vtt --stand-in
  assay --env-file env guest try minutes-v1 call.vtt --record first-call
  assay guest try minutes-v1 call.vtt --answer answer.json --watch
  assay guest try minutes-v1 call.vtt --stand-in --json | jq .step")]
pub struct Arguments {
    /// The guest's folder, or a finished component
    #[arg(value_name = "DIR|FILE.wasm")]
    path: PathBuf,
    /// The document: .txt or .vtt
    #[arg(value_name = "TRANSCRIPT")]
    transcript: PathBuf,
    /// Let the stand-in answer: no model, but answers that fit the schema
    #[cfg(feature = "dev")]
    #[arg(long, conflicts_with = "answers")]
    stand_in: bool,
    /// Take the answer from a file; once per question, in their order
    #[arg(long = "answer", value_name = "FILE")]
    answers: Vec<PathBuf>,
    /// Save transcript, answers and step as a fixture of the guest
    #[arg(long, value_name = "NAME")]
    record: Option<String>,
    /// Run again whenever a file of the guest or the transcript changes
    #[arg(long, conflicts_with = "record")]
    watch: bool,
    /// The guest's clock, RFC 3339 in UTC [default: now]
    #[arg(long, value_name = "TIME", value_parser = received_at)]
    received_at: Option<String>,
    /// A fact about the file, as the application attaches it
    #[arg(long = "attribute", value_name = "NAME=VALUE", value_parser = attribute)]
    attributes: Vec<(String, String)>,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

fn received_at(text: &str) -> Result<String, String> {
    let time = OffsetDateTime::parse(text, &Rfc3339).map_err(|error| error.to_string())?;
    time.to_offset(time::UtcOffset::UTC).format(&Rfc3339).map_err(|error| error.to_string())
}

fn attribute(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("write NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

/// Runs once, or after every change.
pub async fn run(arguments: Arguments, values: BTreeMap<String, String>) -> Result<ExitCode, Failure> {
    let source = Source::at(&arguments.path)?;
    if arguments.record.is_some() && matches!(source, Source::Component(_)) {
        return Err(anyhow!("{source} is built already; record into the folder of its sources").into());
    }
    if let Some(name) = &arguments.record {
        // Before anything is paid for.
        Fixture::check_name(source.path(), name).map_err(anyhow::Error::from)?;
    }
    let mut vars = Variables::from_map(values.clone());
    let transcript_bytes = PipelineConfig::load(&mut vars).transcript_bytes;
    vars.finish()?;
    let answering = Answering::new(&arguments, Variables::from_map(values.clone())).await?;
    let maker = Maker::new(Variables::from_map(values))?;
    let received_at = match &arguments.received_at {
        Some(time) => time.clone(),
        None => now().context("tell the time")?,
    };
    let runtime = maker.runtime()?;
    let trial = Trial { runtime, arguments, source, answering, maker, received_at, transcript_bytes };
    if trial.arguments.watch {
        return Ok(trial.watch().await?);
    }
    let made = trial.make().await?;
    let story = trial.once(&made).await?;
    trial.tell(&story)?;
    Ok(if story.ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

struct Trial {
    arguments: Arguments,
    source: Source,
    answering: Answering,
    maker: Maker,
    runtime: assay_runtime::Runtime,
    /// The same in every run of a process: with another clock a guest may ask something else, which costs another answer.
    received_at: String,
    /// What a worker takes of a transcript.
    transcript_bytes: usize,
}

impl Trial {
    async fn watch(&self) -> anyhow::Result<ExitCode> {
        // Watched before anything is read, so that no change falls between.
        let mut files = vec![self.arguments.transcript.clone(), self.source.path().to_owned()];
        files.extend(self.arguments.answers.iter().cloned());
        let mut watch = Watch::new(&files)?;
        loop {
            let tried = async {
                let made = self.make().await?;
                watch.add(&made.files)?;
                self.tell(&self.once(&made).await?)
            };
            // What is wrong in this version is what the next one mends.
            if let Err(error) = tried.await {
                eprintln!("error: {error:#}");
            }
            eprintln!("watching; Ctrl-C ends");
            watch.changed().await?;
        }
    }

    async fn make(&self) -> anyhow::Result<Made> {
        self.maker.make(&self.source).await.with_context(|| format!("build {}", self.source))
    }

    /// Everything that a worker does with the guest, with nothing around it. What goes wrong on the way is part of the story: the
    /// answers before it were paid for.
    async fn once(&self, made: &Made) -> anyhow::Result<Story> {
        let guest = self.runtime.load(&made.bytes).await?;
        let transcript = Arc::new(self.transcript()?);
        let mut story = Story::new(&guest, toolchain(&made.bytes), made.warnings.clone());
        if let Err(error) = self.play(&guest, &transcript, &mut story).await {
            story.error = Some(format!("{error:#}"));
        }
        Ok(story.summed())
    }

    async fn play(&self, guest: &Guest, transcript: &Arc<Transcript>, story: &mut Story) -> anyhow::Result<()> {
        let limits = self.maker.job_limits();
        let mut source = TrialAnswers::new(&self.answering, limits, story);
        let ending = converse(guest, transcript, limits, &mut source).await;
        let answers = source.answers;
        let (step, fault) = match ending {
            Ok(ConversationEnd::Accepted(report)) => (Step::Accept(report), None),
            Ok(ConversationEnd::Rejected(rejection)) => (Step::Reject(rejection), None),
            Err(ConversationError::NoReport { report, fault, .. }) => (Step::Accept(report), Some(fault)),
            Err(ConversationError::Fault { fault, .. }) => return Err(fault.into()),
            Err(ConversationError::OverLimit { breach, .. }) => return Err(breach.into()),
            Err(ConversationError::Unanswered(error)) => return Err(error),
        };
        story.step = Some(step_json(&step));
        if let Some(fault) = fault {
            bail!("check the report: {fault}");
        }
        if let Step::Accept(report) = &step {
            let verifier = self.runtime.verifier(&guest.manifest().schema).await?;
            story.findings = verifier.check(&report.document).await.result?;
        }
        if let Some(name) = &self.arguments.record {
            let (name, transcript, expected) = (name.clone(), (**transcript).clone(), story.step.clone());
            let fixture = Fixture { name, transcript, answers, expected, fuel: BTreeMap::new() };
            story.recorded = Some(fixture.save(self.source.path())?);
        }
        Ok(())
    }

    fn transcript(&self) -> anyhow::Result<Transcript> {
        let path = &self.arguments.transcript;
        let extension = path.extension().map(|extension| extension.to_string_lossy().to_ascii_lowercase());
        let media_type = match extension.as_deref() {
            Some("vtt") => "text/vtt",
            Some("txt") => "text/plain",
            _ => bail!("{} is neither .txt nor .vtt", path.display()),
        };
        let text = read_text(path, self.transcript_bytes)?;
        let mut attributes = self.arguments.attributes.clone();
        attributes.sort();
        if let Some(pair) = attributes.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            bail!("--attribute {} is there twice", pair[0].0);
        }
        Ok(Transcript {
            id: "fixture".to_owned(),
            text,
            media_type: media_type.to_owned(),
            filename: path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            received_at: self.received_at.clone(),
            attributes,
        })
    }

    fn tell(&self, story: &Story) -> anyhow::Result<()> {
        if self.arguments.json {
            output::print_json(story)?;
        } else {
            output::print(&told::text(story, std::io::stdout().is_terminal()))?;
        }
        Ok(())
    }
}

/// This moment, to the second.
fn now() -> Option<String> {
    OffsetDateTime::now_utc().replace_nanosecond(0).ok()?.format(&Rfc3339).ok()
}

/// A document as a worker takes it: UTF-8, without a byte-order mark, not empty.
fn read_text(path: &Path, limit: usize) -> anyhow::Result<String> {
    let metadata = path.metadata().with_context(|| format!("read {}", path.display()))?;
    let bytes = metadata.len();
    ensure!(bytes <= limit as u64, "{} has more than {limit} bytes (TRANSCRIPT_MAX_BYTES)", path.display());
    let bytes = std::fs::read(path).with_context(|| format!("read {}", path.display()))?;
    let text = String::from_utf8(bytes)
        .map_err(|error| anyhow!("{} is not UTF-8 from byte {}", path.display(), error.utf8_error().valid_up_to()))?;
    let text = text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text);
    ensure!(!text.trim().is_empty(), "{} is empty", path.display());
    Ok(text)
}
