//! The breakers of this worker: which dependencies may be called, and which releases need them.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
    time::{Duration, Instant},
};

use assay_core::{
    breaker::{Alias, Breaker, BreakerChanges, BreakerFault, BreakerReason, CallResult, Dependency, OpenBreaker},
    code::Code,
    job_error::JobError,
};
use assay_db::DbError;
use parking_lot::Mutex;

use crate::{
    maintenance::every::jittered,
    metrics::{BreakerLabels, Metrics},
};

/// Every breaker of this worker. Cheap to clone; shared by the claim loop, the slots and the endpoints.
#[derive(Clone, Debug)]
pub struct Breakers {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<BreakerStates>,
    probe_period: Duration,
    metrics: Metrics,
}

#[derive(Debug, Default)]
struct BreakerStates {
    breakers: BTreeMap<Dependency, Breaker>,
    /// The models that the guest of each digest has asked so far.
    needs: HashMap<String, BTreeSet<Dependency>>,
}

/// The digests that may be claimed now.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Claimable {
    /// Digests that need no dependency with an open breaker.
    pub digests: Vec<String>,
    /// Probes that are due; one job is enough for each.
    pub probes: Vec<ProbeOffer>,
}

/// Dependencies to probe, and the digests of which one job can be the probe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbeOffer {
    pub dependencies: Vec<Dependency>,
    pub digests: Vec<String>,
}

/// A probe under way. Dropping it ends the probe.
#[derive(Debug)]
pub struct Probe {
    breakers: Breakers,
    pub dependencies: Vec<Dependency>,
}

impl Drop for Probe {
    fn drop(&mut self) {
        let now = Instant::now();
        for dependency in &self.dependencies {
            self.breakers.update(dependency, |breaker| breaker.end_probe(now));
        }
    }
}

impl Breakers {
    /// Makes closed breakers. An open breaker is probed about once per `probe_period`.
    pub fn new(probe_period: Duration, metrics: Metrics) -> Self {
        Self { shared: Arc::new(Shared { state: Mutex::default(), probe_period, metrics }) }
    }

    /// Remembers that the guest of a digest asks for these models.
    pub fn record_dependencies(&self, digest: &str, models: impl IntoIterator<Item = Alias>) {
        let mut state = self.shared.state.lock();
        let known = state.needs.entry(digest.to_owned()).or_default();
        // A model that is not configured fails one document, not the release.
        known.extend(models.into_iter().filter(|model| *model != Alias::Unlisted).map(Dependency::Model));
    }

    /// Returns which of `digests` may be claimed: none while the bucket's breaker is open, because every job needs the bucket.
    ///
    /// A release that has asked for nothing yet counts as needing the default model. Forgets releases that are no longer among
    /// `digests`, and breakers that only they used: no job would probe them.
    pub fn claimable(&self, digests: &[String]) -> Claimable {
        let now = Instant::now();
        let mut state = self.shared.state.lock();
        state.needs.retain(|digest, _| digests.contains(digest));
        self.forget_unneeded(&mut state, digests);
        let open: Vec<_> = state.breakers.iter().filter(|(_, breaker)| breaker.is_open()).collect();
        if open.iter().any(|(dependency, _)| **dependency == Dependency::Bucket) {
            return Claimable::default();
        }
        let default_model = BTreeSet::from([Dependency::Model(Alias::Default)]);
        let mut claimable = Vec::new();
        let mut waiting = Vec::new();
        for digest in digests {
            let needs = state.needs.get(digest).unwrap_or(&default_model);
            let missing: Vec<_> = open.iter().copied().filter(|(dependency, _)| needs.contains(*dependency)).collect();
            if missing.is_empty() {
                claimable.push(digest.clone());
            } else {
                waiting.push(Waiting { digest, missing });
            }
        }
        let due: Vec<_> = open.iter().filter(|(_, breaker)| breaker.probe_is_due(now)).map(|(due, _)| *due).collect();
        Claimable { digests: claimable, probes: due_probes(&due, &waiting) }
    }

    fn forget_unneeded(&self, state: &mut BreakerStates, digests: &[String]) {
        let BreakerStates { breakers, needs } = state;
        let needed = |dependency: &Dependency| match dependency {
            Dependency::Model(Alias::Named(_)) => needs.values().any(|needs| needs.contains(dependency)),
            Dependency::Model(Alias::Default) => {
                digests.iter().any(|digest| needs.get(digest).is_none_or(|needs| needs.contains(dependency)))
            }
            Dependency::Model(Alias::Unlisted) | Dependency::Bucket | Dependency::Database => true,
        };
        breakers.retain(|dependency, breaker| {
            let stays = !breaker.is_open() || needed(dependency);
            if !stays {
                let name = dependency.to_string();
                for fault in breaker.faults() {
                    self.set_gauge(&name, fault.reason, false);
                }
                tracing::info!(dependency = name, "breaker forgotten: no release needs the dependency any more");
            }
            stays
        });
    }

    /// Returns whether the breaker of a dependency is open.
    pub fn is_open(&self, dependency: &Dependency) -> bool {
        self.shared.state.lock().breakers.get(dependency).is_some_and(Breaker::is_open)
    }

    /// Returns whether a probe of the dependency is due.
    pub fn probe_is_due(&self, dependency: &Dependency) -> bool {
        self.shared.state.lock().breakers.get(dependency).is_some_and(|breaker| breaker.probe_is_due(Instant::now()))
    }

    /// Begins a probe; it ends when it is dropped.
    pub fn begin_probe(&self, dependencies: Vec<Dependency>) -> Probe {
        let delay = self.probe_delay();
        for dependency in &dependencies {
            self.update(dependency, |breaker| breaker.begin_probe(Instant::now(), delay));
        }
        Probe { breakers: self.clone(), dependencies }
    }

    /// Refuses a call while the breaker is open.
    ///
    /// # Errors
    /// An error with the code that opened the breaker, which holds the job.
    pub fn check_open(&self, dependency: &Dependency) -> Result<(), JobError> {
        let state = self.shared.state.lock();
        let Some(fault) = state.breakers.get(dependency).and_then(|breaker| breaker.faults().first()) else {
            return Ok(());
        };
        let message = format!("not called, because the breaker of {dependency} is open: {}", fault.reason.as_str());
        Err(JobError::new(fault.code, message).held())
    }

    /// Records the end of a call that began at `begun`. A failure while the breaker is open holds the job.
    pub fn record<T>(
        &self,
        dependency: &Dependency,
        probe: bool,
        begun: Instant,
        result: Result<T, JobError>,
    ) -> Result<T, JobError> {
        let ended = result.as_ref().map_or_else(|error| CallResult::of(error.code), |_| CallResult::Healthy);
        self.record_end(dependency, ended, probe, begun);
        result.map_err(|error| self.held_where_open(dependency, error))
    }

    /// Records the end of a statement. A claim is a `probe` of the database, and so is a new connection of the heartbeat.
    pub fn record_database<T>(&self, result: &Result<T, DbError>, probe: bool, begun: Instant) {
        let ended = match result {
            Err(DbError::Denied(_)) => CallResult::of(Code::DbAccessDenied),
            // Only of a claim: the next claim would not notice the missing right of another statement.
            Err(error) if probe && error.is_missing_right() => CallResult::of(Code::DbAccessDenied),
            Err(error) if error.is_outage() => CallResult::of(Code::DbUpdateFailed),
            Ok(_) | Err(_) => CallResult::Healthy,
        };
        self.record_end(&Dependency::Database, ended, probe, begun);
    }

    /// Makes a failure hold its job while the breaker of its dependency is open. Such a failure uses no attempt.
    pub fn held_where_open(&self, dependency: &Dependency, error: JobError) -> JobError {
        let concerns = matches!(CallResult::of(error.code), CallResult::Failure(_) | CallResult::Misconfigured(..));
        if concerns && self.is_open(dependency) { error.held() } else { error }
    }

    /// Returns the open breakers, as operators see them.
    pub fn open(&self) -> Vec<OpenBreaker> {
        let now = Instant::now();
        let state = self.shared.state.lock();
        let open = state.breakers.iter().flat_map(|(dependency, breaker)| {
            let next = breaker.next_probe().map_or(0, |due| due.saturating_duration_since(now).as_secs());
            breaker.faults().iter().map(move |fault| OpenBreaker {
                dependency: dependency.to_string(),
                reason: fault.reason.as_str().to_owned(),
                code: fault.code.to_string(),
                open_seconds: now.saturating_duration_since(fault.since).as_secs(),
                next_probe_seconds: next,
                cure: fault.code.fix(),
            })
        });
        open.collect()
    }

    fn record_end(&self, dependency: &Dependency, ended: CallResult, probe: bool, begun: Instant) {
        let delay = match (dependency, ended) {
            // The fault may concern one object. A probe takes no job and costs nothing, so it comes at once.
            (Dependency::Bucket, CallResult::Misconfigured(..)) if !probe => Duration::ZERO,
            // Every claim is a probe: it costs nothing, and failovers end within seconds.
            (Dependency::Database, _) => Duration::ZERO,
            _ => self.probe_delay(),
        };
        let changes = self.update(dependency, |breaker| breaker.record(ended, probe, begun, Instant::now(), delay));
        self.log_changes(dependency, &changes);
    }

    fn log_changes(&self, dependency: &Dependency, changes: &BreakerChanges) {
        let name = dependency.to_string();
        for BreakerFault { reason, since, .. } in &changes.closed {
            self.set_gauge(&name, *reason, false);
            let open_ms = since.elapsed().as_millis() as u64;
            tracing::info!(dependency = name, reason = reason.as_str(), open_ms, "breaker closed");
        }
        if let Some(BreakerFault { reason, code, .. }) = changes.opened {
            self.set_gauge(&name, reason, true);
            tracing::error!(
                event = "breaker_opened",
                dependency = name,
                reason = reason.as_str(),
                code = code.as_str(),
                cure = code.fix(),
                "breaker opened: no jobs that need the dependency are claimed"
            );
        }
    }

    fn set_gauge(&self, dependency: &str, reason: BreakerReason, open: bool) {
        let labels = BreakerLabels { dependency: dependency.to_owned(), reason: reason.as_str() };
        self.shared.metrics.breakers_open.get_or_create(&labels).set(i64::from(open));
    }

    fn update<T>(&self, dependency: &Dependency, change: impl FnOnce(&mut Breaker) -> T) -> T {
        let mut state = self.shared.state.lock();
        change(state.breakers.entry(dependency.clone()).or_default())
    }

    fn probe_delay(&self) -> Duration {
        jittered(self.shared.probe_period)
    }
}

/// A digest that cannot be claimed, with the open breakers that it needs.
struct Waiting<'a> {
    digest: &'a str,
    missing: Vec<(&'a Dependency, &'a Breaker)>,
}

impl Waiting<'_> {
    fn misses(&self, dependency: &Dependency) -> bool {
        self.missing.iter().any(|(missing, _)| *missing == dependency)
    }
}

/// Chooses the jobs that probe the dependencies that are due.
fn due_probes(due: &[&Dependency], waiting: &[Waiting<'_>]) -> Vec<ProbeOffer> {
    let mut offers = Vec::<ProbeOffer>::new();
    for dependency in due {
        // A job that misses two dependencies says little about either of them.
        let alone = waiting.iter().filter(|one| one.missing.len() == 1 && one.misses(dependency));
        let digests: Vec<_> = alone.map(|one| one.digest.to_owned()).collect();
        if !digests.is_empty() {
            offers.push(ProbeOffer { dependencies: vec![(*dependency).clone()], digests });
        }
    }
    for dependency in due {
        // Without such a job, one job probes everything that its release misses, unless a part of that is being probed.
        let is_free = |(other, breaker): &(&Dependency, &Breaker)| {
            !breaker.is_probing() && !offers.iter().any(|offer| offer.dependencies.contains(other))
        };
        if let Some(one) = waiting.iter().find(|one| one.misses(dependency) && one.missing.iter().all(is_free)) {
            let dependencies = one.missing.iter().map(|(dependency, _)| (*dependency).clone()).collect();
            offers.push(ProbeOffer { dependencies, digests: vec![one.digest.to_owned()] });
        }
    }
    offers
}
