//! The services of a stage: database, bucket and model, and the environments of processes that use them.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use anyhow::Context;
use assay_dev::Postgres;
use assay_tests::{DEADLINE, Proxy, ScriptedModel, TestObjects, with};
use sqlx::PgPool;
use tokio::time::Instant;

use crate::{slot::Slot, talk, times::Times};

pub const DATABASE: &str = "chaos";
/// Jobs that a worker has in hand at once.
pub const CONCURRENCY: usize = 8;
/// Between two tries of the run's own statements, while the database is down.
const RETRY_PERIOD: Duration = Duration::from_millis(50);

/// The environment of a process.
pub type Env = BTreeMap<String, String>;

#[derive(Debug)]
pub struct Services {
    pub times: Times,
    pub postgres: Postgres,
    /// The run's own connections, which no fault of a proxy touches; a restart does. See [`Services::patiently`].
    pub pool: PgPool,
    pub objects: TestObjects,
    pub model: ScriptedModel,
    /// One per worker before the database, in their order.
    pub proxies: Vec<Proxy>,
    /// Before the database, for operators' commands; none where they go straight to it.
    pub operators: Option<Proxy>,
    pub guests: PathBuf,
}

impl Services {
    /// Returns the URL of the database, past all proxies.
    pub fn database_url(&self) -> String {
        self.postgres.url(DATABASE)
    }

    /// Returns the environment of an operator's command.
    pub fn operator(&self) -> Env {
        let keys = self.objects.credentials();
        let database = self.database_url();
        let values = [
            ("DATABASE_URL", self.operators.as_ref().map_or(database.clone(), |proxy| proxy.url_of(&database))),
            ("S3_ENDPOINT", self.objects.endpoint()),
            ("S3_BUCKET", self.objects.bucket_name().to_owned()),
            ("S3_ACCESS_KEY_ID", keys.access.clone()),
            ("S3_SECRET_ACCESS_KEY", keys.secret.clone()),
            ("LLM_BASE_URL", self.model.base_url()),
            ("LLM_MODEL", "scripted".to_owned()),
            ("LLM_API_KEY", "test-key".to_owned()),
            ("GUEST_DIR", self.guests.display().to_string()),
            ("GUEST_CACHE_DIR", assay_tests::compiled().display().to_string()),
            ("REPORT_PROMPT_VERSION", talk::VERSION.to_owned()),
        ];
        values.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }

    /// Returns the environment of the worker that is the `number`th in its place: a role, a proxy and a path to the model of the place's own.
    pub fn worker(&self, slot: Slot, number: usize) -> Env {
        let url = self.proxies[slot - 1].url_of(&self.database_url());
        let model = self.model.base_url().replace("/v1", &format!("/w{slot}/v1"));
        let concurrency = CONCURRENCY.to_string();
        let id = worker_id(slot, number);
        let own = [
            ("DATABASE_URL", audited(&url, &format!("w{slot}"), &id)),
            ("LLM_BASE_URL", model),
            ("WORKER_ID", id),
            ("WORKER_CONCURRENCY", concurrency),
            // Debug builds on a busy machine: a guest is not what is being tried here.
            ("GUEST_CALL_TIMEOUT_MS", "20000".to_owned()),
            ("ADMIN_ADDR", "127.0.0.1:0".to_owned()),
            ("LOG_LEVEL", "debug".to_owned()),
        ];
        let own: Vec<_> = own.iter().chain(&self.times.variables()).cloned().collect();
        with(self.operator(), &own.iter().map(|(name, value)| (*name, value.as_str())).collect::<Vec<_>>())
    }

    /// Ends every fault.
    pub fn heal(&self) {
        self.objects.clear_faults();
        self.model.spare();
        self.proxies.iter().for_each(Proxy::forward);
    }

    /// Returns the answer that the database gives in the end: a statement that fails because it is away is tried again.
    ///
    /// # Errors
    /// The last one, at the deadline.
    pub async fn patiently<T>(&self, what: &str, ask: impl AsyncFn(&PgPool) -> sqlx::Result<T>) -> anyhow::Result<T> {
        let deadline = Instant::now() + DEADLINE;
        loop {
            match ask(&self.pool).await {
                Ok(answer) => return Ok(answer),
                Err(error) if Instant::now() > deadline => return Err(error).with_context(|| what.to_owned()),
                Err(_) => tokio::time::sleep(RETRY_PERIOD).await,
            }
        }
    }
}

/// Returns the id of the worker that is the `number`th in its place. A worker adds words of its own.
pub fn worker_id(slot: Slot, number: usize) -> String {
    format!("w{slot}-{number}")
}

/// Returns the URL of a role for a process that the audit is to know by name.
pub fn audited(url: &str, role: &str, name: &str) -> String {
    let url = url.replacen("//assay:", &format!("//{role}:"), 1);
    let separator = if url.contains('?') { '&' } else { '?' };
    format!("{url}{separator}options[chaos.worker]={name}")
}
