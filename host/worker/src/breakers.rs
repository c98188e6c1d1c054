//! The breakers of this worker: which dependencies are called, which releases need which, and what operators are told.

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

use crate::metrics::{BreakerLabels, Metrics};

/// Every breaker of this worker. Cheap to clone; shared by the claim loop, the slots and the endpoints.
#[derive(Clone, Debug)]
pub struct Breakers {
    // One pointer: every job in hand holds on to it.
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    every: Duration,
    metrics: Metrics,
}

#[derive(Debug, Default)]
struct State {
    breakers: BTreeMap<Dependency, Breaker>,
    /// The models that the guest of each digest has asked for so far.
    needs: HashMap<String, BTreeSet<Dependency>>,
}

/// Which digests may be claimed now.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Claimable {
    /// Those that need nothing whose breaker is open.
    pub digests: Vec<String>,
    /// What is to be tried, with the digests of which one job can be the probe.
    pub probes: Vec<(Vec<Dependency>, Vec<String>)>,
}

/// A probe under way. Dropping it ends it, whatever it said.
#[derive(Debug)]
pub struct Probe {
    breakers: Breakers,
    /// What it tries.
    pub dependencies: Vec<Dependency>,
}

impl Drop for Probe {
    fn drop(&mut self) {
        let now = Instant::now();
        for dependency in &self.dependencies {
            self.breakers.with(dependency, |breaker| breaker.end_probe(now));
        }
    }
}

impl Breakers {
    /// Closed breakers, which are probed `every` so often while they are open, jittered by a fifth.
    pub fn new(every: Duration, metrics: Metrics) -> Self {
        Self { shared: Arc::new(Shared { state: Mutex::default(), every, metrics }) }
    }

    /// Remembers that the guest of a digest asks for these models.
    pub fn record_dependencies(&self, digest: &str, models: impl IntoIterator<Item = Alias>) {
        let mut state = self.shared.state.lock();
        let known = state.needs.entry(digest.to_owned()).or_default();
        // A model that nobody knows is one document's affair as long as the release asks for others too.
        known.extend(models.into_iter().filter(|model| *model != Alias::Unlisted).map(Dependency::Model));
    }

    /// Which of `digests` may be claimed; nothing while the bucket is away, which every job needs. What is not among them is
    /// forgotten, and so is the breaker of a model that only such releases needed: nobody would probe it. A release whose guest has asked
    /// for nothing yet counts as needing the default model.
    pub fn claimable(&self, digests: &[String]) -> Claimable {
        let now = Instant::now();
        let mut state = self.shared.state.lock();
        state.needs.retain(|digest, _| digests.contains(digest));
        self.forget_unneeded(&mut state, digests);
        let open: Vec<_> = state.breakers.iter().filter(|(_, breaker)| breaker.is_open()).collect();
        if open.iter().any(|(dependency, _)| **dependency == Dependency::Bucket) {
            return Claimable::default();
        }
        let unknown = BTreeSet::from([Dependency::Model(Alias::Default)]);
        let mut offer = Claimable::default();
        let mut waiting = Vec::new();
        for digest in digests {
            let needs = state.needs.get(digest).unwrap_or(&unknown);
            let missing: Vec<_> = open.iter().filter(|(dependency, _)| needs.contains(*dependency)).collect();
            if missing.is_empty() {
                offer.digests.push(digest.clone());
            } else {
                waiting.push((digest, missing));
            }
        }
        let due: Vec<_> = open.iter().filter(|(_, breaker)| breaker.probe_is_due(now)).map(|(due, _)| *due).collect();
        for dependency in &due {
            // A job that needs something else besides which is away tells little of this one.
            let alone = waiting.iter().filter(|(_, missing)| missing.len() == 1 && missing[0].0 == *dependency);
            let digests: Vec<_> = alone.map(|(digest, _)| (*digest).clone()).collect();
            if !digests.is_empty() {
                offer.probes.push((vec![(*dependency).clone()], digests));
            }
        }
        for dependency in &due {
            // Where there is no other, one tries everything that its release waits for, unless a part of that is being tried.
            let tried = |other: &Dependency| offer.probes.iter().any(|(tried, _)| tried.contains(other));
            let free = |missing: &[_]| {
                missing.iter().all(|(other, breaker): &&(&Dependency, &Breaker)| !breaker.is_probing() && !tried(other))
            };
            let needs = |missing: &[_]| missing.iter().any(|(other, _): &&(&Dependency, &Breaker)| other == dependency);
            if let Some((digest, missing)) = waiting.iter().find(|(_, missing)| needs(missing) && free(missing)) {
                let dependencies = missing.iter().map(|(dependency, _)| (**dependency).clone()).collect();
                offer.probes.push((dependencies, vec![(*digest).clone()]));
            }
        }
        offer
    }

    fn forget_unneeded(&self, state: &mut State, digests: &[String]) {
        let State { breakers, needs } = state;
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
                    self.show(&name, fault.reason, false);
                }
                tracing::info!(dependency = name, "no release needs it any more: its breaker is forgotten");
            }
            stays
        });
    }

    /// Whether the dependency is not to be called.
    pub fn is_open(&self, dependency: &Dependency) -> bool {
        self.shared.state.lock().breakers.get(dependency).is_some_and(Breaker::is_open)
    }

    /// Whether a probe of the dependency is due.
    pub fn probe_is_due(&self, dependency: &Dependency) -> bool {
        self.shared.state.lock().breakers.get(dependency).is_some_and(|breaker| breaker.probe_is_due(Instant::now()))
    }

    /// Begins a probe.
    pub fn begin_probe(&self, dependencies: Vec<Dependency>) -> Probe {
        let wait = self.wait();
        for dependency in &dependencies {
            self.with(dependency, |breaker| breaker.begin_probe(Instant::now(), wait));
        }
        Probe { breakers: self.clone(), dependencies }
    }

    /// Refuses a call of what is known to be away.
    ///
    /// # Errors
    /// With the code that opened the breaker; the job is held, whatever the class of the code.
    pub fn check_open(&self, dependency: &Dependency) -> Result<(), JobError> {
        let state = self.shared.state.lock();
        let Some(fault) = state.breakers.get(dependency).and_then(|breaker| breaker.faults().first()) else {
            return Ok(());
        };
        let message = format!("not called, because the breaker of {dependency} is open: {}", fault.reason.as_str());
        Err(JobError::new(fault.code, message).held())
    }

    /// Notes how a call ended that was begun at `begun`; a failure while the breaker is open holds its job.
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

    /// Notes how a statement ended, and whether the database was away or did not let us in. A claim is a `probe` of it,
    /// and so is the heartbeat's new connection once it is made.
    pub fn record_database<T>(&self, result: &Result<T, DbError>, probe: bool, begun: Instant) {
        let ended = match result {
            Err(DbError::Denied(_)) => CallResult::of(Code::DbAccessDenied),
            // Of a claim. What another statement lacks, the next claim would not miss.
            Err(error) if probe && error.is_missing_right() => CallResult::of(Code::DbAccessDenied),
            Err(error) if error.is_outage() => CallResult::of(Code::DbUpdateFailed),
            Ok(_) | Err(_) => CallResult::Healthy,
        };
        self.record_end(&Dependency::Database, ended, probe, begun);
    }

    /// A failure of what is known to be away is none of the file's.
    pub fn held_where_open(&self, dependency: &Dependency, error: JobError) -> JobError {
        let concerns = matches!(CallResult::of(error.code), CallResult::Failure(_) | CallResult::Misconfigured(..));
        if concerns && self.is_open(dependency) { error.held() } else { error }
    }

    /// What is open, as operators see it.
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
        let wait = match (dependency, ended) {
            // Its probe takes no job and costs nothing, and the fault may be one object's: it is tried at once.
            (Dependency::Bucket, CallResult::Misconfigured(..)) if !probe => Duration::ZERO,
            // The claim is its probe, at every look: it costs nothing, and failovers are over in seconds.
            (Dependency::Database, _) => Duration::ZERO,
            _ => self.wait(),
        };
        let changes = self.with(dependency, |breaker| breaker.record(ended, probe, begun, Instant::now(), wait));
        self.tell(dependency, &changes);
    }

    fn tell(&self, dependency: &Dependency, changes: &BreakerChanges) {
        let name = dependency.to_string();
        for BreakerFault { reason, since, .. } in &changes.closed {
            self.show(&name, *reason, false);
            let open_ms = since.elapsed().as_millis() as u64;
            tracing::info!(dependency = name, reason = reason.as_str(), open_ms, "breaker closed");
        }
        if let Some(BreakerFault { reason, code, .. }) = changes.opened {
            self.show(&name, reason, true);
            tracing::error!(
                event = "breaker_opened",
                dependency = name,
                reason = reason.as_str(),
                code = code.as_str(),
                cure = code.fix(),
                "nothing that needs it is claimed"
            );
        }
    }

    fn show(&self, dependency: &str, reason: BreakerReason, open: bool) {
        let labels = BreakerLabels { dependency: dependency.to_owned(), reason: reason.as_str() };
        self.shared.metrics.breakers_open.get_or_create(&labels).set(i64::from(open));
    }

    fn with<T>(&self, dependency: &Dependency, change: impl FnOnce(&mut Breaker) -> T) -> T {
        let mut state = self.shared.state.lock();
        change(state.breakers.entry(dependency.clone()).or_default())
    }

    /// Workers that met the same outage are not to probe as one.
    fn wait(&self) -> Duration {
        self.shared.every.mul_f64(rand::random_range(0.8..1.2))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn breakers(every: Duration) -> Breakers {
        Breakers::new(every, Metrics::default())
    }

    fn model(alias: &str) -> Dependency {
        Dependency::Model(Alias::Named(alias.to_owned()))
    }

    fn fail(breakers: &Breakers, dependency: &Dependency, code: Code) -> JobError {
        let failed: Result<(), _> = Err(JobError::new(code, "as told"));
        breakers.record(dependency, false, Instant::now(), failed).expect_err("a failure stays one")
    }

    fn digests(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn a_release_waits_for_the_models_that_its_guest_has_asked_for_and_a_new_one_for_the_default() {
        let breakers = breakers(Duration::from_secs(30));
        breakers.record_dependencies("small", [Alias::Named("small".to_owned())]);
        breakers.record_dependencies("both", [Alias::Named("small".to_owned()), Alias::Default]);
        let all = digests(&["small", "both", "new"]);
        fail(&breakers, &model("small"), Code::LlmAuthFailed);
        assert_eq!(breakers.claimable(&all).digests, ["new"]);
        fail(&breakers, &Dependency::Model(Alias::Default), Code::LlmQuotaExhausted);
        assert_eq!(breakers.claimable(&all), Claimable::default(), "no probe is due yet");
        fail(&breakers, &Dependency::Bucket, Code::S3AccessDenied);
        assert_eq!(breakers.claimable(&digests(&["other"])), Claimable::default(), "every job needs the bucket");
        assert!(breakers.probe_is_due(&Dependency::Bucket), "at once: it takes no job");
    }

    #[test]
    fn a_probe_is_one_job_that_needs_nothing_else_which_is_away() {
        let breakers = breakers(Duration::ZERO);
        breakers.record_dependencies("small", [Alias::Named("small".to_owned())]);
        breakers.record_dependencies("both", [Alias::Named("small".to_owned()), Alias::Default]);
        fail(&breakers, &model("small"), Code::LlmAuthFailed);
        fail(&breakers, &Dependency::Model(Alias::Default), Code::LlmAuthFailed);
        let all = digests(&["small", "both"]);
        let offer = breakers.claimable(&all);
        assert_eq!(offer.probes, [(vec![model("small")], digests(&["small"]))]);
        let probe = breakers.begin_probe(vec![model("small")]);
        assert_eq!(breakers.claimable(&all).probes, [], "one at a time");
        breakers.record(&model("small"), true, Instant::now(), Ok(())).expect("a success stays one");
        drop(probe);
        assert_eq!(breakers.claimable(&all).digests, ["small"]);
    }

    #[test]
    fn a_release_that_alone_needs_two_models_tries_both_with_one_job() {
        let breakers = breakers(Duration::ZERO);
        breakers.record_dependencies("both", [Alias::Named("small".to_owned()), Alias::Default]);
        let needed = [Dependency::Model(Alias::Default), model("small")];
        for dependency in &needed {
            fail(&breakers, dependency, Code::LlmAuthFailed);
        }
        let all = digests(&["both"]);
        let offer = breakers.claimable(&all);
        assert_eq!(offer.probes.len(), 1);
        let (tried, by) = offer.probes[0].clone();
        assert_eq!((tried.len(), by), (2, all.clone()));
        let probe = breakers.begin_probe(tried);
        assert_eq!(breakers.claimable(&all).probes, [], "one at a time");
        for dependency in &needed {
            breakers.record(dependency, true, Instant::now(), Ok(())).expect("a success stays one");
        }
        drop(probe);
        assert_eq!(breakers.claimable(&all).digests, all);
    }

    #[test]
    fn the_breaker_of_a_model_that_no_release_needs_any_more_is_forgotten() {
        let breakers = breakers(Duration::from_secs(30));
        breakers.record_dependencies("old", [Alias::Named("small".to_owned())]);
        fail(&breakers, &model("small"), Code::LlmAuthFailed);
        fail(&breakers, &Dependency::Model(Alias::Default), Code::LlmAuthFailed);
        breakers.claimable(&digests(&["old", "new"]));
        assert_eq!(breakers.open().len(), 2);
        breakers.claimable(&digests(&["new"]));
        let open: Vec<_> = breakers.open().into_iter().map(|open| open.dependency).collect();
        assert_eq!(open, ["model"], "a release that has asked for nothing yet may ask the default model");
    }

    #[test]
    fn a_failure_while_the_breaker_is_open_holds_its_job_and_one_of_a_document_ends_it() {
        let breakers = breakers(Duration::from_secs(30));
        let bucket = Dependency::Bucket;
        let classes: Vec<_> = (0..6).map(|_| fail(&breakers, &bucket, Code::S3ReadFailed).class().as_str()).collect();
        assert_eq!(classes, ["retry", "retry", "retry", "retry", "hold", "hold"]);
        assert_eq!(fail(&breakers, &bucket, Code::TranscriptNotFound).class().as_str(), "fail");
        let refused = breakers.check_open(&bucket).expect_err("it is open");
        assert_eq!(refused.to_string(), "s3_read_failed: not called, because the breaker of bucket is open: failures");
        assert_eq!(refused.class().as_str(), "hold");
        assert!(breakers.check_open(&Dependency::Database).is_ok());
        let open = breakers.open();
        assert_eq!(
            (open.len(), open[0].reason.as_str(), open[0].cure.as_str()),
            (1, "failures", Code::S3ReadFailed.fix().as_str())
        );
    }
}
