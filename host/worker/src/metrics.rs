//! What the worker counts, in Prometheus' text format. Labels are codes, classes and versions, never content.

use std::{sync::Arc, time::Duration};

use parking_lot::RwLock;
use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::{Registry, Unit},
};

/// Every metric of one worker. Cheap to clone; plain atomics behind it.
#[derive(Clone, Debug)]
pub struct Metrics {
    registry: Arc<RwLock<Registry>>,
    /// Jobs claimed.
    pub claims: Counter,
    /// Settled claims by outcome and code.
    pub outcomes: Family<OutcomeLabels, Counter>,
    /// Seconds between due and claimed.
    pub pickup_lag: Histogram,
    /// Seconds from claim to settlement.
    pub job_duration: Histogram,
    /// Seconds of one call of the model.
    pub model_latency: Histogram,
    /// Calls of the model by result code; `ok` for answers.
    pub model_calls: Family<CodeLabels, Counter>,
    /// Tokens by direction and by what they bought.
    pub model_tokens: Family<TokenLabels, Counter>,
    /// Seconds in the sandbox by prompt version.
    pub guest_time: Family<VersionLabels, Histogram, fn() -> Histogram>,
    /// Claims lost to another worker or to time.
    pub lost_leases: Counter,
    /// Jobs that the reaper took back or ended.
    pub reaped: Counter,
    /// Reports that could not be deleted although no row points at them.
    pub orphans: Counter,
    /// Wanted releases that do not load here.
    pub releases_refused: Gauge,
    /// Breakers by dependency and reason: 1 while open.
    pub breakers_open: Family<BreakerLabels, Gauge>,
    /// Answers deleted for their age.
    pub answers_pruned: Counter,
    /// Attempts and results of shadows deleted for their age.
    pub history_pruned: Counter,
    /// Canaries that this worker halted.
    pub canaries_halted: Counter,
    /// Candidates in the shadow by result; `skipped` if the worker was busy.
    pub shadows: Family<ResultLabels, Counter>,
    /// Orphans that sweeps of this worker deleted.
    pub swept: Counter,
    /// Orphans at the last sweep of this worker.
    pub unpointed: Gauge,
    /// Slots by state.
    pub slots: Family<StateLabels, Gauge>,
}

/// How a claim ended.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct OutcomeLabels {
    /// As in `job_attempts.outcome`.
    pub outcome: &'static str,
    /// As in docs/errors.md; empty for success.
    pub code: &'static str,
}

/// The result of a call.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct CodeLabels {
    /// As in docs/errors.md, or `ok`.
    pub code: &'static str,
}

/// A breaker.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct BreakerLabels {
    /// `model`, `model:ALIAS`, `bucket` or `database`; the operator chose the alias.
    pub dependency: String,
    /// `authentication`, `quota`, `model`, `bucket`, `clock` or `failures`.
    pub reason: &'static str,
}

/// The result of a candidate in the shadow.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct ResultLabels {
    /// As in `release_shadows.result`, or `skipped`.
    pub result: &'static str,
}

/// The direction of tokens, and what they bought.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct TokenLabels {
    /// `input` or `output`.
    pub direction: &'static str,
    /// `answer`, or `nothing` where the model sent what is no answer.
    pub bought: &'static str,
}

/// What the tokens of a call bought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenResult {
    Answered,
    Unreadable,
}

impl TokenResult {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Answered => "answer",
            Self::Unreadable => "nothing",
        }
    }
}

/// The release of a guest call.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct VersionLabels {
    /// The prompt version of the release.
    pub prompt_version: String,
}

/// The state of a slot.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct StateLabels {
    /// `busy` or `total`.
    pub state: &'static str,
}

/// Buckets in seconds, from a loopback round trip to the longest deadline.
const JOB_SECONDS: [f64; 14] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 180.0, 600.0];
/// Buckets of guest calls in seconds, from an instantiation to the limit of a call.
const CALL_SECONDS: [f64; 9] = [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.01, 0.1, 0.5, 2.0];

fn call_histogram() -> Histogram {
    Histogram::new(CALL_SECONDS)
}

impl Default for Metrics {
    fn default() -> Self {
        let metrics = Self {
            registry: Arc::default(),
            claims: Counter::default(),
            outcomes: Family::default(),
            pickup_lag: Histogram::new(JOB_SECONDS),
            job_duration: Histogram::new(JOB_SECONDS),
            model_latency: Histogram::new(JOB_SECONDS),
            model_calls: Family::default(),
            model_tokens: Family::default(),
            guest_time: Family::new_with_constructor(call_histogram),
            lost_leases: Counter::default(),
            reaped: Counter::default(),
            orphans: Counter::default(),
            releases_refused: Gauge::default(),
            breakers_open: Family::default(),
            answers_pruned: Counter::default(),
            history_pruned: Counter::default(),
            canaries_halted: Counter::default(),
            shadows: Family::default(),
            swept: Counter::default(),
            unpointed: Gauge::default(),
            slots: Family::default(),
        };
        metrics.register();
        metrics
    }
}

impl Metrics {
    fn register(&self) {
        let mut registry = Registry::with_prefix("assay");
        registry.register("claims", "Jobs claimed", self.claims.clone());
        registry.register("outcomes", "Settled claims by outcome and code", self.outcomes.clone());
        registry.register_with_unit("pickup_lag", "From due to claimed", Unit::Seconds, self.pickup_lag.clone());
        registry.register_with_unit(
            "job_duration",
            "From claim to settlement",
            Unit::Seconds,
            self.job_duration.clone(),
        );
        registry.register_with_unit(
            "model_latency",
            "One call of the model",
            Unit::Seconds,
            self.model_latency.clone(),
        );
        registry.register("model_calls", "Calls of the model by result", self.model_calls.clone());
        registry.register("model_tokens", "Tokens as the provider counts them", self.model_tokens.clone());
        registry.register_with_unit("guest_time", "One guest call", Unit::Seconds, self.guest_time.clone());
        registry.register("lost_leases", "Claims lost to another worker or to time", self.lost_leases.clone());
        registry.register("reaped_jobs", "Jobs that the reaper took back or ended", self.reaped.clone());
        registry.register("orphan_reports", "Reports that could not be deleted", self.orphans.clone());
        registry.register(
            "releases_refused",
            "Releases that are wanted and do not load",
            self.releases_refused.clone(),
        );
        registry.register("breakers_open", "Breakers that are open", self.breakers_open.clone());
        registry.register("answers_pruned", "Answers deleted for their age", self.answers_pruned.clone());
        registry.register("history_pruned", "Rows of history deleted for their age", self.history_pruned.clone());
        registry.register("canaries_halted", "Canaries that this worker halted", self.canaries_halted.clone());
        registry.register("shadows", "Candidates in the shadow by result", self.shadows.clone());
        registry.register("swept_objects", "Objects that no row pointed at, deleted", self.swept.clone());
        registry.register("unpointed_objects", "Objects that no row points at", self.unpointed.clone());
        registry.register("slots", "Slots of this worker", self.slots.clone());
        *self.registry.write() = registry;
    }

    /// Returns all metrics in the text format of Prometheus.
    pub fn encode(&self) -> String {
        let mut text = String::new();
        // Writing to a String cannot fail; an empty page is better than none.
        let _infallible = encode(&mut text, &self.registry.read());
        text
    }

    /// Counts one call of the model.
    pub fn model_call(&self, code: &'static str, elapsed: Duration) {
        self.model_calls.get_or_create(&CodeLabels { code }).inc();
        self.model_latency.observe(elapsed.as_secs_f64());
    }

    /// Counts tokens of one call.
    pub fn tokens(&self, result: TokenResult, input: i64, output: i64) {
        for (direction, tokens) in [("input", input), ("output", output)] {
            let tokens = u64::try_from(tokens).unwrap_or(0);
            let labels = TokenLabels { direction, bought: result.as_str() };
            self.model_tokens.get_or_create(&labels).inc_by(tokens);
        }
    }

    /// Observes one guest call.
    pub fn guest_call(&self, prompt_version: &str, elapsed: Duration) {
        let labels = VersionLabels { prompt_version: prompt_version.to_owned() };
        self.guest_time.get_or_create(&labels).observe(elapsed.as_secs_f64());
    }

    /// Sets the number of slots and of busy slots.
    pub fn set_slots(&self, busy: usize, total: usize) {
        for (state, slots) in [("busy", busy), ("total", total)] {
            self.slots.get_or_create(&StateLabels { state }).set(i64::try_from(slots).unwrap_or(i64::MAX));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_has_every_metric_that_operators_watch() {
        let metrics = Metrics::default();
        metrics.model_call("ok", Duration::from_millis(20));
        metrics.tokens(TokenResult::Answered, 10, 20);
        metrics.guest_call("meeting-v1", Duration::from_micros(300));
        metrics.set_slots(1, 16);
        let page = metrics.encode();
        for name in ["assay_claims", "assay_pickup_lag_seconds", "assay_lost_leases", "assay_slots{state=\"busy\"} 1"] {
            assert!(page.contains(name), "{name} is missing in\n{page}");
        }
    }
}
