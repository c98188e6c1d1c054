//! Runs guests over cases, on all cores, and compares.

use std::{fmt, sync::Arc, time::Duration};

use assay_conversation::RejectionReasons;
use assay_core::{
    ids::FileId,
    job_error::JobError,
    report_diff::{Difference, GuestVerdict, ReportPair, compare_documents},
};
use assay_runtime::{Prompt, Transcript};
use bytes::Bytes;
use futures::{Stream, StreamExt};

use crate::{
    guests::{config::GuestsLimits, release::Release},
    releases::dry_run::{DryRunOutcome, RecordedAnswer, dry_run},
};

/// Differences kept of one file.
pub const MAX_POINTERS: usize = 200;

/// A file with stored answers.
#[derive(Debug)]
pub struct ReplayCase {
    pub file: FileId,
    pub transcript: Arc<Transcript>,
    pub recorded: Vec<RecordedAnswer>,
    /// The stored result.
    pub verdict: GuestVerdict,
    /// Whether the stored report is known to match the candidate's schema. If not, the candidate's report is always checked.
    pub verified: bool,
}

/// A case after its run.
#[derive(Debug)]
pub struct ReplayedCase {
    pub file: FileId,
    pub result: CaseResult,
    pub evidence: Evidence,
    /// Time of the candidate in the sandbox.
    pub guest_time: Duration,
}

/// The result of a case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CaseResult {
    Compared(Difference),
    /// There is nothing to compare with; the code says why.
    Skipped(&'static str),
}

/// The details of a difference. Content.
pub enum Evidence {
    None,
    /// Two reports that differ.
    Reports(ReportPair),
    /// The report of a file that had none.
    Report(Bytes),
    /// Why a file with a report has none now.
    Rejection(RejectionReasons),
    /// Questions without a stored answer.
    Questions(Vec<Prompt>),
    /// The rule that the guest broke. No content.
    Fault(JobError),
}

/// Shows kinds instead of content.
impl fmt::Debug for Evidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "None",
            Self::Reports(_) => "Reports",
            Self::Report(_) => "Report",
            Self::Rejection { .. } => "Rejection",
            Self::Questions(_) => "Questions",
            Self::Fault(_) => "Fault",
        })
    }
}

/// Compares a guest with another one, or with the stored results. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Engine {
    pub candidate: Arc<Release>,
    /// The guest to compare with, on the same answers; `None` compares with the stored result.
    pub against: Option<Arc<Release>>,
    pub limits: Arc<GuestsLimits>,
    /// Cases at the same time: more than threads for guests, so that no thread waits.
    pub at_once: usize,
}

impl Engine {
    /// Runs every case, in any order.
    pub fn run<'a>(&'a self, cases: impl Stream<Item = ReplayCase> + 'a) -> impl Stream<Item = ReplayedCase> + 'a {
        cases.map(|case| self.spawn(case)).buffer_unordered(self.at_once)
    }

    /// Runs one case in its own task.
    ///
    /// # Panics
    /// When the run panics.
    pub async fn spawn(&self, case: ReplayCase) -> ReplayedCase {
        let engine = self.clone();
        match tokio::spawn(async move { engine.replay(&case).await }).await {
            Ok(replayed) => replayed,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                // Only while the process ends.
                Err(_cancelled) => std::future::pending().await,
            },
        }
    }

    /// Runs one case.
    pub async fn replay(&self, case: &ReplayCase) -> ReplayedCase {
        let before = match self.baseline(case).await {
            Ok(before) => before,
            Err(code) => {
                let result = CaseResult::Skipped(code);
                return ReplayedCase { file: case.file, result, evidence: Evidence::None, guest_time: Duration::ZERO };
            }
        };
        let verified = match &before {
            GuestVerdict::Accepted(document) if self.is_verified(case) => Some(document),
            _ => None,
        };
        let dry_run = dry_run(&self.candidate, &case.transcript, &case.recorded, &self.limits.job, verified).await;
        let (difference, pair) = compare_documents(&before, &dry_run.outcome.compared(), MAX_POINTERS);
        let evidence = match (&difference, dry_run.outcome) {
            (Difference::Changed(_), _) => pair.map_or(Evidence::None, Evidence::Reports),
            (Difference::NewlyAccepted, DryRunOutcome::Accepted(document)) => Evidence::Report(document),
            (Difference::NewlyRejected, DryRunOutcome::Rejected(reasons)) => Evidence::Rejection(reasons),
            (_, DryRunOutcome::Diverged(prompts)) => Evidence::Questions(prompts),
            (_, DryRunOutcome::Fault(error)) => Evidence::Fault(error),
            _ => Evidence::None,
        };
        let result = CaseResult::Compared(difference);
        ReplayedCase { file: case.file, result, evidence, guest_time: dry_run.guest_time }
    }

    /// Returns what to compare the candidate with, or the code of why there is nothing.
    async fn baseline(&self, case: &ReplayCase) -> Result<GuestVerdict, &'static str> {
        let Some(against) = &self.against else { return Ok(case.verdict.clone()) };
        let verified = match &case.verdict {
            GuestVerdict::Accepted(document) if case.verified && self.share_a_schema() => Some(document),
            _ => None,
        };
        let dry_run = dry_run(against, &case.transcript, &case.recorded, &self.limits.job, verified).await;
        match dry_run.outcome {
            DryRunOutcome::Accepted(document) => Ok(GuestVerdict::Accepted(document)),
            DryRunOutcome::Rejected(_) => Ok(GuestVerdict::Rejected),
            DryRunOutcome::Diverged(_) => Err("against_diverged"),
            DryRunOutcome::Fault(_) => Err("against_fault"),
        }
    }

    /// Returns whether a report equal to the compared one needs no check.
    fn is_verified(&self, case: &ReplayCase) -> bool {
        if self.against.is_some() { self.share_a_schema() } else { case.verified }
    }

    fn share_a_schema(&self) -> bool {
        let schema = &self.candidate.manifest().schema;
        self.against.as_ref().is_some_and(|against| against.manifest().schema == *schema)
    }
}
