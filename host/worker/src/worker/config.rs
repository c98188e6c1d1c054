//! Slots and times of a worker.

use std::time::Duration;

use assay_core::env::Variables;

/// Slots and times of a worker. Sources of the defaults: docs/adr/0001-custom-queue.md and 0003-retry-policy-and-hold.md.
#[derive(Clone, Debug)]
pub struct WorkerConfig {
    /// A name that no other process ever has: the configured name or the host, the process id, and a UUID per start.
    pub id: String,
    /// Jobs at once.
    pub concurrency: usize,
    /// Time between polls of the queue; notifications only speed claims up.
    pub poll: Duration,
    /// How long a claim lasts without a heartbeat; whole seconds.
    pub lease: Duration,
    /// Time between heartbeats.
    pub beat: Duration,
    /// Time between rounds of the reaper.
    pub reap: Duration,
    /// Time between checks of what channels run; notifications only speed them up.
    pub release_poll: Duration,
    /// Time between checks of the canaries.
    pub canary_check: Duration,
    /// Time between probes of a dependency that is down.
    pub breaker_probe: Duration,
    /// Time between readings of secrets that may change.
    pub secrets_read: Duration,
    /// How long a prompt version may be unknown to every worker before its jobs fail.
    pub version_patience: Duration,
    /// How long jobs in slots may go on after the first signal.
    pub grace: Duration,
}

impl WorkerConfig {
    /// Declares and reads the variables of the worker. `llm_total` is the longest time of one call of the model.
    pub fn load(vars: &mut Variables, llm_total: Duration) -> Self {
        let name = vars.optional("WORKER_ID", "name of this worker; the host's where not set");
        let concurrency = vars.number("WORKER_CONCURRENCY", 16, 1..=100_000, "jobs at once");
        let poll = vars.millis("WORKER_POLL_MS", Duration::from_millis(1000), "time between looks at the queue, ms");
        let lease = vars.millis(
            "WORKER_LEASE_MS",
            Duration::from_secs(30),
            "how long a claim lasts without a beat, ms, whole seconds",
        );
        let beat = vars.millis(
            "WORKER_BEAT_MS",
            Duration::from_secs(8),
            "time between beats, ms; at most a third of the lease",
        );
        if lease.subsec_nanos() != 0 {
            vars.fault(
                "WORKER_LEASE_MS",
                "expected whole seconds, because the column lock_ttl_seconds has no fractions",
            );
        }
        if beat * 3 > lease {
            vars.invalid(
                "WORKER_BEAT_MS",
                &beat.as_millis().to_string(),
                format_args!("expected at most a third of WORKER_LEASE_MS, {}", lease.as_millis()),
            );
        }
        let reap =
            vars.millis("REAPER_EVERY_MS", Duration::from_secs(5), "time between looks for jobs of dead workers, ms");
        let release_poll =
            vars.millis("RELEASE_POLL_MS", Duration::from_secs(10), "time between looks at what channels run, ms");
        let canary_check =
            vars.millis("CANARY_CHECK_MS", Duration::from_secs(5), "time between looks at how canaries do, ms");
        let breaker_probe = vars.millis(
            "BREAKER_PROBE_MS",
            Duration::from_secs(30),
            "time between probes of a model or bucket that is away, ms",
        );
        let secrets_read = vars.millis(
            "SECRETS_READ_MS",
            Duration::from_secs(600),
            "time between readings of files and commands of secrets, ms; a refused secret is read again at once",
        );
        let version_patience = vars.millis(
            "VERSION_PATIENCE_MS",
            Duration::from_secs(900),
            "how long no worker may know a prompt version before its jobs fail, ms",
        );
        let grace = vars.millis(
            "STOP_GRACE_MS",
            llm_total + Duration::from_secs(10),
            "time for jobs in hand after the first signal, ms; LLM_TIMEOUT_MS + 10 s where not set",
        );
        Self {
            id: unique(name),
            concurrency,
            poll,
            lease,
            beat,
            reap,
            release_poll,
            canary_check,
            breaker_probe,
            secrets_read,
            version_patience,
            grace,
        }
    }
}

/// Adds process id and UUID: a replaced pod keeps its host name.
fn unique(name: Option<String>) -> String {
    let host = || std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default().trim().to_owned();
    let name = name.unwrap_or_else(host);
    format!("{name}-{}-{}", std::process::id(), uuid::Uuid::new_v4().simple())
}
