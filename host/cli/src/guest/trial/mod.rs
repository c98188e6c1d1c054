//! `assay guest try`.

mod answer_source;
mod answering;
mod render;
mod trial_answers;
mod trial_report;

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
use assay_guest_build::{FileTooLarge, read_file, toolchain};
use assay_guest_test::{Fixture, step_json};
use assay_runtime::{Guest, Step, Transcript};
use assay_worker::pipeline::PipelineConfig;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use crate::{
    exit::Failure,
    guest::{
        guest_builder::{BuiltGuest, GuestBuilder},
        source::Source,
        trial::{
            answer_source::AnswerSource, answering::Answering, trial_answers::TrialAnswers, trial_report::TrialReport,
        },
        watch::Watch,
    },
    output, terminal,
};

/// Try a guest on a transcript, and show the questions, the answers, the step, and the cost.
///
/// The answers come from the model of LLM_BASE_URL and LLM_MODEL, from the stand-in of this binary, or from files. No database
/// and no bucket are needed. Exits with 0 if the guest accepts a report that its schema allows, else with 1.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  assay guest try minutes-v1 call.vtt --stand-in
  assay --env-file env guest try minutes-v1 call.vtt --record first-call
  assay guest try minutes-v1 call.vtt --answer answer.json --watch
  assay guest try minutes-v1 call.vtt --stand-in --json | jq .step")]
pub struct Arguments {
    /// Folder of the guest, or a finished component
    #[arg(value_name = "DIR|FILE.wasm")]
    path: PathBuf,
    /// Transcript, .txt or .vtt
    #[arg(value_name = "TRANSCRIPT")]
    transcript: PathBuf,
    /// Use answers of the stand-in: not a real model, but its answers fit the schema
    #[cfg(feature = "dev")]
    #[arg(long, conflicts_with = "answers")]
    stand_in: bool,
    /// Read an answer from a file; repeat for each question, in order
    #[arg(long = "answer", value_name = "FILE")]
    answers: Vec<PathBuf>,
    /// Save transcript, answers and step as a fixture of the guest
    #[arg(long, value_name = "NAME")]
    record: Option<String>,
    /// Run again when a file of the guest or the transcript changes
    #[arg(long, conflicts_with = "record")]
    watch: bool,
    /// The guest's clock, RFC 3339 in UTC [default: now]
    #[arg(long, value_name = "TIME", value_parser = received_at)]
    received_at: Option<String>,
    /// An attribute of the file, as an application adds it
    #[arg(long = "attribute", value_name = "NAME=VALUE", value_parser = attribute)]
    attributes: Vec<(String, String)>,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

impl Arguments {
    #[cfg(feature = "dev")]
    fn stand_in(&self) -> bool {
        self.stand_in
    }

    #[cfg(not(feature = "dev"))]
    fn stand_in(&self) -> bool {
        false
    }
}

fn received_at(text: &str) -> Result<String, String> {
    let time = OffsetDateTime::parse(text, &Rfc3339).map_err(|error| error.to_string())?;
    time.to_offset(time::UtcOffset::UTC).format(&Rfc3339).map_err(|error| error.to_string())
}

fn attribute(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("expected NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

pub async fn run(arguments: Arguments, values: BTreeMap<String, String>) -> Result<ExitCode, Failure> {
    let source = Source::at(&arguments.path)?;
    if arguments.record.is_some() && matches!(source, Source::Component(_)) {
        return Err(anyhow!("{source} is already built; record into the folder of its sources").into());
    }
    if let Some(name) = &arguments.record {
        // Before the model is paid.
        Fixture::check_name(source.path(), name).map_err(anyhow::Error::from)?;
    }
    let mut vars = Variables::from_map(values.clone());
    let transcript_bytes = PipelineConfig::load(&mut vars).transcript_bytes;
    vars.finish()?;
    let source_of_answers =
        AnswerSource::choose(&arguments.answers, arguments.stand_in(), Variables::from_map(values.clone())).await?;
    let answering = Answering::new(source_of_answers);
    let builder = GuestBuilder::new(Variables::from_map(values))?;
    let received_at = match &arguments.received_at {
        Some(time) => time.clone(),
        None => now().context("format the current time")?,
    };
    let runtime = builder.runtime()?;
    let trial = Trial { runtime, arguments, source, answering, builder, received_at, transcript_bytes };
    if trial.arguments.watch {
        return Ok(trial.watch().await?);
    }
    let built = trial.build().await?;
    let report = trial.once(&built).await?;
    trial.print(&report)?;
    Ok(if report.ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

struct Trial {
    arguments: Arguments,
    source: Source,
    answering: Answering,
    builder: GuestBuilder,
    runtime: assay_runtime::Runtime,
    /// The same in every run of a process: with another time, a guest may ask another question, which costs another answer.
    received_at: String,
    /// Limit of a transcript, as for a worker.
    transcript_bytes: usize,
}

impl Trial {
    async fn watch(&self) -> anyhow::Result<ExitCode> {
        // Watch before the first read, so that no change is missed.
        let mut files = vec![self.arguments.transcript.clone(), self.source.path().to_owned()];
        files.extend(self.arguments.answers.iter().cloned());
        let mut watch = Watch::new(&files)?;
        loop {
            let tried = async {
                let built = self.build().await?;
                watch.add(&built.files)?;
                self.print(&self.once(&built).await?)
            };
            // The next version of the file may fix the error.
            if let Err(error) = tried.await {
                terminal::error(format_args!("{error:#}"));
            }
            terminal::note("watching; stop with Ctrl-C");
            watch.changed().await?;
        }
    }

    async fn build(&self) -> anyhow::Result<BuiltGuest> {
        self.builder.build(&self.source).await.with_context(|| format!("build {}", self.source))
    }

    /// Does what a worker does with the guest. An error on the way becomes part of the report, because the answers before it were
    /// paid for.
    async fn once(&self, built: &BuiltGuest) -> anyhow::Result<TrialReport> {
        let guest = self.runtime.load(&built.bytes).await?;
        let transcript = Arc::new(self.transcript()?);
        let mut report = TrialReport::new(&guest, toolchain(&built.bytes), built.warnings.clone());
        if let Err(error) = self.play(&guest, &transcript, &mut report).await {
            report.error = Some(format!("{error:#}"));
        }
        Ok(report.summed())
    }

    async fn play(&self, guest: &Guest, transcript: &Arc<Transcript>, report: &mut TrialReport) -> anyhow::Result<()> {
        let limits = self.builder.job_limits();
        let mut source = TrialAnswers::new(&self.answering, limits, report);
        let ending = converse(guest, transcript, limits, &mut source).await;
        let answers = source.answers;
        let (step, fault) = match ending {
            Ok(ConversationEnd::Accepted(accepted)) => (Step::Accept(accepted), None),
            Ok(ConversationEnd::Rejected(rejection)) => (Step::Reject(rejection), None),
            Err(ConversationError::NoReport { report, fault, .. }) => (Step::Accept(report), Some(fault)),
            Err(ConversationError::Fault { fault, .. }) => return Err(fault.into()),
            Err(ConversationError::OverLimit { breach, .. }) => return Err(breach.into()),
            Err(ConversationError::Unanswered(error)) => return Err(error),
        };
        report.step = Some(step_json(&step));
        if let Some(fault) = fault {
            bail!("check the report: {fault}");
        }
        if let Step::Accept(accepted) = &step {
            let verifier = self.runtime.verifier(&guest.manifest().schema).await?;
            report.findings = verifier.check(&accepted.document).await.result?;
        }
        if let Some(name) = &self.arguments.record {
            let (name, transcript, expected) = (name.clone(), (**transcript).clone(), report.step.clone());
            let fixture = Fixture { name, transcript, answers, expected, fuel: BTreeMap::new() };
            report.recorded = Some(fixture.save(self.source.path())?);
        }
        Ok(())
    }

    fn transcript(&self) -> anyhow::Result<Transcript> {
        let path = &self.arguments.transcript;
        let extension = path.extension().map(|extension| extension.to_string_lossy().to_ascii_lowercase());
        let media_type = match extension.as_deref() {
            Some("vtt") => "text/vtt",
            Some("txt") => "text/plain",
            _ => bail!("{} is not a transcript: expected a .txt or .vtt file", path.display()),
        };
        let text = read_text(path, self.transcript_bytes)?;
        let mut attributes = self.arguments.attributes.clone();
        attributes.sort();
        if let Some(pair) = attributes.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            bail!("--attribute {} is given twice", pair[0].0);
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

    fn print(&self, report: &TrialReport) -> anyhow::Result<()> {
        if self.arguments.json {
            output::print_json(report)?;
        } else {
            output::print(&render::text(report, std::io::stdout().is_terminal()))?;
        }
        Ok(())
    }
}

/// Returns the current time, to the second.
#[expect(
    clippy::disallowed_methods,
    reason = "a trial has no database; the day is an input of the guest, and --received-at sets it"
)]
fn now() -> Option<String> {
    OffsetDateTime::now_utc().replace_nanosecond(0).ok()?.format(&Rfc3339).ok()
}

/// Reads a document as a worker does: UTF-8, without a byte-order mark, not empty.
fn read_text(path: &Path, limit: usize) -> anyhow::Result<String> {
    let bytes = match read_file(path, limit as u64) {
        Err(error) if FileTooLarge::of(&error).is_some() => {
            bail!("{} has more than {limit} bytes (TRANSCRIPT_MAX_BYTES)", path.display())
        }
        read => read.with_context(|| format!("read {}", path.display()))?,
    };
    let text = String::from_utf8(bytes)
        .map_err(|error| anyhow!("{} is not UTF-8 from byte {}", path.display(), error.utf8_error().valid_up_to()))?;
    let text = text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text);
    ensure!(!text.trim().is_empty(), "{} is empty", path.display());
    Ok(text)
}
