//! Runs guests over cases, on all cores, and compares. Knows neither where cases come from nor where results go.

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
    guests::{GuestsLimits, Release},
    releases::dry_run::{DryRunOutcome, Recorded, dry_run},
};

/// Pointers that are told of one file.
pub const POINTERS: usize = 200;

/// A file whose answers are stored.
#[derive(Debug)]
pub struct Case {
    /// The file.
    pub file: FileId,
    /// What the guest sees.
    pub transcript: Arc<Transcript>,
    /// The answers, with their questions.
    pub recorded: Vec<Recorded>,
    /// What was made of them.
    pub verdict: GuestVerdict,
    /// Whether the report of the verdict is known to keep the candidate's schema; else the candidate's is checked in any case.
    pub verified: bool,
}

/// What came of a case.
#[derive(Debug)]
pub struct Replayed {
    /// The file.
    pub file: FileId,
    /// The result.
    pub ended: Ended,
    /// What there is to show of it.
    pub evidence: Evidence,
    /// The candidate's time in the sandbox.
    pub guest_time: Duration,
}

/// How a case ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// In a comparison.
    Compared(Difference),
    /// There is nothing to compare with, for the reason of this code.
    Skipped(&'static str),
}

/// What a reader of a difference wants to see. Content.
pub enum Evidence {
    /// Nothing: the result says it all.
    None,
    /// Two reports that differ.
    Reports(ReportPair),
    /// A report where there was none.
    Report(Bytes),
    /// Why there is none where there was one.
    Rejection(RejectionReasons),
    /// What nobody has answered.
    Questions(Vec<Prompt>),
    /// What a guest may not do. No content.
    Fault(JobError),
}

/// Kinds instead of content.
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

/// Two guests, or one guest and what is stored. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Engine {
    /// The guest that is tried.
    pub candidate: Arc<Release>,
    /// The guest that it is compared with, on the same answers; none compares with the verdict of the case.
    pub against: Option<Arc<Release>>,
    /// The limits of a job.
    pub limits: Arc<GuestsLimits>,
    /// Cases in hand at once: more than there are threads for guests, so that none of these waits.
    pub at_once: usize,
}

impl Engine {
    /// Runs every case, in no order.
    pub fn run<'a>(&'a self, cases: impl Stream<Item = Case> + 'a) -> impl Stream<Item = Replayed> + 'a {
        cases.map(|case| self.spawned(case)).buffer_unordered(self.at_once)
    }

    /// Runs one case on whichever core is free.
    ///
    /// # Panics
    /// Where the run does.
    pub async fn spawned(&self, case: Case) -> Replayed {
        let engine = self.clone();
        match tokio::spawn(async move { engine.replay(&case).await }).await {
            Ok(replayed) => replayed,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                // Only when the whole process ends.
                Err(_cancelled) => std::future::pending().await,
            },
        }
    }

    /// Runs one case.
    pub async fn replay(&self, case: &Case) -> Replayed {
        let before = match self.before(case).await {
            Ok(before) => before,
            Err(code) => {
                let ended = Ended::Skipped(code);
                return Replayed { file: case.file, ended, evidence: Evidence::None, guest_time: Duration::ZERO };
            }
        };
        let verified = match &before {
            GuestVerdict::Accepted(document) if self.is_verified(case) => Some(document),
            _ => None,
        };
        let rehearsal = dry_run(&self.candidate, &case.transcript, &case.recorded, &self.limits.job, verified).await;
        let (difference, pair) = compare_documents(&before, &rehearsal.outcome.compared(), POINTERS);
        let evidence = match (&difference, rehearsal.outcome) {
            (Difference::Changed(_), _) => pair.map_or(Evidence::None, Evidence::Reports),
            (Difference::NewlyAccepted, DryRunOutcome::Accepted(document)) => Evidence::Report(document),
            (Difference::NewlyRejected, DryRunOutcome::Rejected(reasons)) => Evidence::Rejection(reasons),
            (_, DryRunOutcome::Diverged(prompts)) => Evidence::Questions(prompts),
            (_, DryRunOutcome::Fault(error)) => Evidence::Fault(error),
            _ => Evidence::None,
        };
        let ended = Ended::Compared(difference);
        Replayed { file: case.file, ended, evidence, guest_time: rehearsal.guest_time }
    }

    /// What the candidate is compared with; the code of why there is nothing.
    async fn before(&self, case: &Case) -> Result<GuestVerdict, &'static str> {
        let Some(against) = &self.against else { return Ok(case.verdict.clone()) };
        let verified = match &case.verdict {
            GuestVerdict::Accepted(document) if case.verified && self.share_a_schema() => Some(document),
            _ => None,
        };
        let rehearsal = dry_run(against, &case.transcript, &case.recorded, &self.limits.job, verified).await;
        match rehearsal.outcome {
            DryRunOutcome::Accepted(document) => Ok(GuestVerdict::Accepted(document)),
            DryRunOutcome::Rejected(_) => Ok(GuestVerdict::Rejected),
            DryRunOutcome::Diverged(_) => Err("against_diverged"),
            DryRunOutcome::Fault(_) => Err("against_fault"),
        }
    }

    /// Whether a report that the candidate makes again needs no second check.
    fn is_verified(&self, case: &Case) -> bool {
        if self.against.is_some() { self.share_a_schema() } else { case.verified }
    }

    fn share_a_schema(&self) -> bool {
        let schema = &self.candidate.manifest().schema;
        self.against.as_ref().is_some_and(|against| against.manifest().schema == *schema)
    }
}
