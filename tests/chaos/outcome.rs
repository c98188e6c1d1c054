//! What a scenario came to: figures, the verdicts on all invariants, and how to repeat it.

use std::{collections::BTreeMap, path::PathBuf};

use serde::Serialize;

use crate::{
    evidence::Evidence,
    invariants::{self, verdict::Verdict},
    step::Step,
};

/// The outcome of one scenario.
#[derive(Debug, Serialize)]
pub struct Outcome {
    pub scenario: String,
    /// What its plan was made of.
    pub seed: u64,
    pub plan: Vec<Step>,
    /// All of it, from the first process to the last verdict.
    pub seconds: f64,
    /// What happened; none where it did not come so far.
    pub figures: Option<ReleaseStats>,
    pub invariants: Vec<Verdict>,
    /// Why it did not come to its end.
    pub error: Option<String>,
    pub repeat: String,
    /// Where the logs of the workers are, where they are kept.
    pub logs: Option<PathBuf>,
}

#[derive(Debug, Serialize)]
pub struct ReleaseStats {
    pub jobs: usize,
    pub succeeded: usize,
    /// Those whose last life failed, by code.
    pub failed: BTreeMap<String, usize>,
    /// Claims that came to an end.
    pub claims: usize,
    /// Those that were taken back from a worker.
    pub lost: usize,
    /// Claims of the other program, and how many of them took a job over from a worker.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub other_program: Option<(usize, usize)>,
    pub commands: usize,
    pub calls: usize,
    /// Those by workers that had been stalled and whose claim was over.
    pub calls_by_stalled: usize,
    pub deaths: usize,
    /// Workers that were stopped and went on.
    pub stalls: usize,
    /// The longest until a dead worker's job was in hand again.
    pub slowest_rescue_ms: Option<u128>,
    /// What that may be; none where times are no verdict.
    pub rescue_bound_ms: Option<u128>,
    /// The longest until a job ended after a failover.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slowest_flow_ms: Option<u128>,
    /// The longest until no worker had a session on the standby any more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slowest_leave_ms: Option<u128>,
    /// The 99th percentile of how long good documents took, alone and beside bad ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub good_p99_s: Option<[f64; 2]>,
    /// Objects that the sweep at the end has deleted.
    pub swept: u64,
    /// How often each fault was met.
    pub met: BTreeMap<String, usize>,
    /// Jobs per second of each quarter of a swarm.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub throughput: Vec<f64>,
}

impl ReleaseStats {
    /// Counts what the evidence has; the rest stays empty.
    pub fn of(evidence: &Evidence) -> Self {
        let mut failed = BTreeMap::new();
        for job in evidence.jobs.iter().filter(|job| job.status == "failed") {
            *failed.entry(job.error_code.clone().unwrap_or_default()).or_default() += 1;
        }
        Self {
            jobs: evidence.jobs.len(),
            succeeded: evidence.jobs.iter().filter(|job| job.status == "succeeded").count(),
            failed,
            claims: evidence.attempts.len(),
            lost: evidence.attempts.iter().filter(|attempt| attempt.outcome == "lost").count(),
            other_program: Some(others(evidence)).filter(|(claims, _)| *claims > 0),
            commands: 0,
            calls: evidence.calls.len(),
            calls_by_stalled: invariants::purchases::by_stalled(evidence),
            deaths: evidence.deaths.len(),
            stalls: evidence.stalls.len(),
            slowest_rescue_ms: invariants::rescue::slowest(evidence).map(|time| time.as_millis()),
            rescue_bound_ms: evidence.rescue_bound.map(|bound| bound.as_millis()),
            slowest_flow_ms: invariants::heals::slowest_flow(evidence).map(|time| time.as_millis()),
            slowest_leave_ms: invariants::heals::slowest_leave(evidence).map(|time| time.as_millis()),
            good_p99_s: None,
            swept: 0,
            met: BTreeMap::new(),
            throughput: Vec::new(),
        }
    }
}

/// Claims of the other program, and how many of them took a job over from a worker that was silent.
pub fn others(evidence: &Evidence) -> (usize, usize) {
    let by_others = evidence.changes.iter().filter(|change| change.actor.starts_with("old"));
    let claims: Vec<_> = by_others.filter(|change| change.status_to == "processing").collect();
    let taken_over = claims.iter().filter(|claim| claim.holder_from.is_some()).count();
    (claims.len(), taken_over)
}

impl Outcome {
    /// Returns whether everything held.
    pub fn holds(&self) -> bool {
        self.error.is_none() && self.invariants.iter().all(|verdict| verdict.broken.is_empty())
    }
}
