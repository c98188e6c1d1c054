//! Candidates in the shadow: after a job of the active release ends, the candidate runs on the same answers, and the results are
//! compared. The candidate changes neither file nor job. A busy worker skips it.

use std::{collections::BTreeSet, sync::Arc};

use assay_core::{
    code::Code,
    ids::FileId,
    report_diff::{Difference, GuestVerdict, compare},
    settlement::{SettleOutcome, Settlement},
};
use assay_db::{Database, releases::ShadowResult};
use assay_runtime::Transcript;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

use crate::{
    guests::{config::GuestsLimits, loaded_guests::Guests, release::Release},
    metrics::{Metrics, ResultLabels},
    pipeline::run::{Run, ShadowInput},
    releases::dry_run::{RecordedAnswer, dry_run},
};

/// Bytes of transcripts, answers and reports that may wait; further cases are skipped.
const MAX_WAITING_BYTES: usize = 32 << 20;
/// Pointers stored of one file.
const MAX_STORED_POINTERS: usize = 20;
/// Differences compared of one file: those in one list become one pointer, without their indices.
const MAX_COMPARED_POINTERS: usize = 1000;

/// An ended job, and the candidate to run on its answers.
#[derive(Debug)]
pub struct ShadowCase {
    pub candidate: Arc<Release>,
    /// The active release, which ran the job.
    pub active: Arc<Release>,
    pub channel: String,
    pub file: FileId,
    pub transcript: Arc<Transcript>,
    pub recorded: Vec<RecordedAnswer>,
    /// What the active release made of the answers.
    pub verdict: GuestVerdict,
}

impl ShadowCase {
    /// Makes a case of a settled run. Returns `None` if the run kept no input, or did not end in a verdict of its guest.
    pub fn of(candidate: Arc<Release>, run: &mut Run<'_>, settled: &Settlement) -> Option<Self> {
        let ShadowInput { transcript, report } = *run.kept.take()?;
        let verdict = match (settled.outcome, report, settled.failure.as_ref().map(|failure| failure.code)) {
            (SettleOutcome::Succeeded, Some(report), _) => GuestVerdict::Accepted(report),
            (SettleOutcome::Failed, _, Some(Code::SchemaValidationFailed)) => GuestVerdict::Rejected,
            _ => return None,
        };
        let answers = std::mem::take(&mut run.answers).into_iter().zip(&run.stored);
        let recorded = answers.map(|(answer, stored)| RecordedAnswer { question: stored.question, answer }).collect();
        Some(Self {
            candidate,
            active: run.release.clone()?,
            channel: run.claim.channel.clone(),
            file: run.claim.file.id,
            transcript: transcript?,
            recorded,
            verdict,
        })
    }

    fn bytes(&self) -> usize {
        let answers: usize = self.recorded.iter().map(|recorded| recorded.answer.text.len()).sum();
        let report = if let GuestVerdict::Accepted(document) = &self.verdict { document.len() } else { 0 };
        self.transcript.text.len() + answers + report
    }
}

/// Takes cases and runs their candidates in the background.
#[derive(Debug)]
pub struct Shadows {
    cases: mpsc::UnboundedSender<(ShadowCase, OwnedSemaphorePermit)>,
    capacity: Arc<Semaphore>,
    metrics: Metrics,
}

impl Shadows {
    /// Runs candidates until `stop`, one at a time, so that they take at most one of the threads for guests.
    pub fn start(
        database: Database,
        guests: Guests,
        metrics: Metrics,
        stop: CancellationToken,
    ) -> (Arc<Self>, JoinHandle<()>) {
        let (sender, mut cases) = mpsc::unbounded_channel::<(ShadowCase, OwnedSemaphorePermit)>();
        let shadows =
            Self { cases: sender, capacity: Arc::new(Semaphore::new(MAX_WAITING_BYTES)), metrics: metrics.clone() };
        let running = tokio::spawn(async move {
            let work = async {
                while let Some((case, _capacity)) = cases.recv().await {
                    // The operator may have ended the shadow meanwhile.
                    let wanted = guests.shadow_of(&case.channel, case.active.digest());
                    if wanted.is_some_and(|wanted| wanted.digest() == case.candidate.digest()) {
                        run_candidate(&database, guests.limits(), &metrics, case).await;
                    }
                }
            };
            tokio::select! {
                () = stop.cancelled() => {}
                () = work => {}
            }
        });
        (Arc::new(shadows), running)
    }

    /// Takes a case, or skips it if too many wait. Never blocks.
    pub fn offer(&self, case: ShadowCase) {
        let bytes = u32::try_from(case.bytes()).unwrap_or(u32::MAX);
        let taken = self
            .capacity
            .clone()
            .try_acquire_many_owned(bytes)
            .is_ok_and(|bytes| self.cases.send((case, bytes)).is_ok());
        if !taken {
            self.metrics.shadows.get_or_create(&ResultLabels { result: "skipped" }).inc();
        }
    }
}

async fn run_candidate(database: &Database, limits: &GuestsLimits, metrics: &Metrics, case: ShadowCase) {
    let same_schema = case.candidate.manifest().schema == case.active.manifest().schema;
    let verified = if let GuestVerdict::Accepted(document) = &case.verdict { Some(document) } else { None };
    let verified = verified.filter(|_| same_schema);
    tracing::debug!(file.id = %case.file, guest.digest = case.candidate.digest(), "candidate runs in the shadow");
    let dry_run = dry_run(&case.candidate, &case.transcript, &case.recorded, &limits.job, verified).await;
    let difference = compare(&case.verdict, &dry_run.outcome.compared(), MAX_COMPARED_POINTERS);
    let result = ShadowResult {
        digest: case.candidate.digest(),
        file: case.file,
        beside: case.active.digest(),
        channel: &case.channel,
        result: difference.as_str(),
        pointers: shown(&difference, &case.candidate),
        code: if let Difference::Fault(code) = difference { Some(code.as_str()) } else { None },
        guest_time: dry_run.guest_time,
    };
    metrics.shadows.get_or_create(&ResultLabels { result: result.result }).inc();
    if let Err(error) = database.record_shadow(&result).await {
        tracing::warn!(%error, file.id = %case.file, "shadow result was not stored");
    }
}

/// Returns pointers as they may leave the bucket: words of the schema, without indices of lists.
fn shown(difference: &Difference, candidate: &Release) -> Vec<String> {
    let Difference::Changed(pointers) = difference else { return Vec::new() };
    let distinct: BTreeSet<_> = pointers.iter().map(|pointer| candidate.shown(pointer)).collect();
    distinct.into_iter().take(MAX_STORED_POINTERS).collect()
}
