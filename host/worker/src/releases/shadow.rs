//! Candidates in the shadow: after a job of the active release has ended, the candidate runs on the same answers, and what it makes
//! of them is compared. It touches neither file nor job; where there is no time for it, it is skipped.

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
    guests::{Guests, GuestsLimits, Release},
    metrics::{Metrics, ResultLabels},
    pipeline::{Kept, Run},
    releases::dry_run::{Recorded, dry_run},
};

/// Bytes of transcripts, answers and reports that may wait; what does not fit is skipped.
const ROOM: usize = 32 << 20;
/// Pointers that are kept of one file.
const POINTERS: usize = 20;
/// Places that are looked at for them: many lie in one list, and are one pointer when their places are not told.
const PLACES: usize = 1000;

/// A job that has ended, and who is to be tried on it.
#[derive(Debug)]
pub struct Case {
    /// Who.
    pub candidate: Arc<Release>,
    /// The release that the job ran on.
    pub beside: Arc<Release>,
    /// The job's channel.
    pub channel: String,
    /// Its file.
    pub file: FileId,
    /// What the guest saw.
    pub transcript: Arc<Transcript>,
    /// The answers, with their questions.
    pub recorded: Vec<Recorded>,
    /// What the active release made of them.
    pub verdict: GuestVerdict,
}

impl Case {
    /// Makes a case of a run that was settled; none where it kept nothing for one, or did not end in a verdict of its guest.
    pub fn of(candidate: Arc<Release>, run: &mut Run<'_>, settled: &Settlement) -> Option<Self> {
        let Kept { transcript, report } = *run.kept.take()?;
        let verdict = match (settled.outcome, report, settled.failure.as_ref().map(|failure| failure.code)) {
            (SettleOutcome::Succeeded, Some(report), _) => GuestVerdict::Accepted(report),
            (SettleOutcome::Failed, _, Some(Code::SchemaValidationFailed)) => GuestVerdict::Rejected,
            _ => return None,
        };
        let answers = std::mem::take(&mut run.answers).into_iter().zip(&run.stored);
        let recorded = answers.map(|(answer, stored)| Recorded { question: stored.question, answer }).collect();
        Some(Self {
            candidate,
            beside: run.release.clone()?,
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

/// Where cases are left.
#[derive(Debug)]
pub struct Shadows {
    cases: mpsc::UnboundedSender<(Case, OwnedSemaphorePermit)>,
    room: Arc<Semaphore>,
    metrics: Metrics,
}

impl Shadows {
    /// Runs candidates until `stop`, one at a time: of the threads for guests a candidate never has more than one.
    pub fn start(
        database: Database,
        guests: Guests,
        metrics: Metrics,
        stop: CancellationToken,
    ) -> (Arc<Self>, JoinHandle<()>) {
        let (sender, mut cases) = mpsc::unbounded_channel::<(Case, OwnedSemaphorePermit)>();
        let shadows = Self { cases: sender, room: Arc::new(Semaphore::new(ROOM)), metrics: metrics.clone() };
        let running = tokio::spawn(async move {
            let work = async {
                while let Some((case, _room)) = cases.recv().await {
                    // The operator may have ended it meanwhile.
                    let wanted = guests.shadow_of(&case.channel, case.beside.digest());
                    if wanted.is_some_and(|wanted| wanted.digest() == case.candidate.digest()) {
                        run(&database, guests.limits(), &metrics, case).await;
                    }
                }
            };
            tokio::select! {
                () = stop.cancelled() => {}
                () = work => {}
            }
        });
        // Every job in hand holds on to it.
        (Arc::new(shadows), running)
    }

    /// Leaves a case. It waits for nothing: a worker that has too much to do skips it.
    pub fn offer(&self, case: Case) {
        let bytes = u32::try_from(case.bytes()).unwrap_or(u32::MAX);
        let left =
            self.room.clone().try_acquire_many_owned(bytes).is_ok_and(|room| self.cases.send((case, room)).is_ok());
        if !left {
            self.metrics.shadows.get_or_create(&ResultLabels { result: "skipped" }).inc();
        }
    }
}

async fn run(database: &Database, limits: &GuestsLimits, metrics: &Metrics, case: Case) {
    let same_schema = case.candidate.manifest().schema == case.beside.manifest().schema;
    let verified = if let GuestVerdict::Accepted(document) = &case.verdict { Some(document) } else { None };
    let verified = verified.filter(|_| same_schema);
    tracing::debug!(file.id = %case.file, guest.digest = case.candidate.digest(), "candidate runs in the shadow");
    let rehearsal = dry_run(&case.candidate, &case.transcript, &case.recorded, &limits.job, verified).await;
    let difference = compare(&case.verdict, &rehearsal.outcome.compared(), PLACES);
    let result = ShadowResult {
        digest: case.candidate.digest(),
        file: case.file,
        beside: case.beside.digest(),
        channel: &case.channel,
        result: difference.as_str(),
        pointers: shown(&difference, &case.candidate),
        code: if let Difference::Fault(code) = difference { Some(code.as_str()) } else { None },
        guest_time: rehearsal.guest_time,
    };
    metrics.shadows.get_or_create(&ResultLabels { result: result.result }).inc();
    if let Err(error) = database.record_shadow(&result).await {
        tracing::warn!(%error, file.id = %case.file, "keep what a shadow came to");
    }
}

/// Pointers as they may leave the bucket: the schema's words, and no places in lists.
fn shown(difference: &Difference, candidate: &Release) -> Vec<String> {
    let Difference::Changed(pointers) = difference else { return Vec::new() };
    let distinct: BTreeSet<_> = pointers.iter().map(|pointer| candidate.shown(pointer)).collect();
    distinct.into_iter().take(POINTERS).collect()
}
