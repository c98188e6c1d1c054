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

impl Breakers {
    /// Makes closed breakers. The dependency of an open breaker is asked about once per `probe_period`.
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
    /// `digests`, and breakers that only they used.
    pub fn claimable(&self, digests: &[String]) -> Vec<String> {
        let mut state = self.shared.state.lock();
        state.needs.retain(|digest, _| digests.contains(digest));
        self.forget_unneeded(&mut state, digests);
        let open: BTreeSet<_> =
            state.breakers.iter().filter(|(_, breaker)| breaker.is_open()).map(|(dependency, _)| dependency).collect();
        if open.contains(&Dependency::Bucket) {
            return Vec::new();
        }
        let default_model = BTreeSet::from([Dependency::Model(Alias::Default)]);
        let works = |digest: &&String| {
            let needs = state.needs.get(*digest).unwrap_or(&default_model);
            !needs.iter().any(|dependency| open.contains(dependency))
        };
        digests.iter().filter(works).cloned().collect()
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

    /// Returns whether a call that ended after `since` has shown that the dependency works.
    pub fn worked_since(&self, dependency: &Dependency, since: Instant) -> bool {
        self.shared.state.lock().breakers.get(dependency).is_some_and(|breaker| breaker.worked_since(since))
    }

    /// Returns the open dependencies that are to be asked now. Every claim asks the database.
    pub fn due_inquiries(&self) -> Vec<Dependency> {
        let now = Instant::now();
        let state = self.shared.state.lock();
        let due = state.breakers.iter().filter(|(_, breaker)| breaker.inquiry_is_due(now));
        due.map(|(dependency, _)| dependency.clone()).filter(|due| *due != Dependency::Database).collect()
    }

    /// Begins an inquiry: while it is under way, no other one is due.
    pub fn begin_inquiry(&self, dependency: &Dependency) {
        let wait = self.probe_delay();
        self.update(dependency, |breaker| breaker.begin_inquiry(Instant::now(), wait));
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

    /// Records the end of a document's call that began at `begun`. Returns whether the dependency is to be asked itself.
    pub fn record(&self, dependency: &Dependency, ended: CallResult, begun: Instant) -> bool {
        self.update(dependency, |breaker| {
            // Other documents were served meanwhile.
            let works = breaker.worked_since(begun);
            breaker.record(ended, begun, Instant::now()) && !works
        })
    }

    /// Concludes from an inquiry that began at `begun`: opens or closes the breaker.
    pub fn conclude(&self, dependency: &Dependency, ended: CallResult, begun: Instant) {
        let delay = match dependency {
            // Every claim asks: it costs nothing, and failovers end within seconds.
            Dependency::Database => Duration::ZERO,
            _ => self.probe_delay(),
        };
        let changes = self.update(dependency, |breaker| breaker.conclude(ended, begun, Instant::now(), delay));
        self.log_changes(dependency, &changes);
    }

    /// Records the end of a statement. A claim is an inquiry of the database, and so is a new connection of the heartbeat.
    pub fn record_database<T>(&self, result: &Result<T, DbError>, inquiry: bool, begun: Instant) {
        let ended = match result {
            Err(DbError::Denied(_) | DbError::NoLogin(_)) => CallResult::of(Code::DbAccessDenied),
            // Only of a claim: the next claim would not notice the missing right of another statement.
            Err(error) if inquiry && error.is_missing_right() => CallResult::of(Code::DbAccessDenied),
            Err(DbError::OutOfFiles) => CallResult::of(Code::WorkerOutOfFiles),
            Err(error) if error.is_outage() => CallResult::of(Code::DbUpdateFailed),
            Ok(_) | Err(_) => CallResult::Healthy,
        };
        let is_open = self.is_open(&Dependency::Database);
        let suspect = self.record(&Dependency::Database, ended, begun);
        // The database serves every document alike, so a statement is an inquiry where it is suspicious.
        if suspect || (inquiry && is_open) {
            self.conclude(&Dependency::Database, ended, begun);
        }
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
            let next = breaker.next_inquiry().map_or(0, |due| due.saturating_duration_since(now).as_secs());
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
