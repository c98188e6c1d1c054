//! The whole configuration: every part's own, read from one snapshot of the environment, with all faults at once.

use std::net::{Ipv4Addr, SocketAddr};

use assay_core::env::{DeclaredVariable, VariableFault, Variables};
use assay_db::DatabaseConfig;
use assay_llm::LlmConfig;
use assay_objects::ObjectsConfig;

use crate::{
    guests::GuestsConfig,
    maintenance::{orphans::SweepConfig, retention::RetentionConfig},
    pipeline::PipelineConfig,
    telemetry::TelemetryConfig,
    worker::WorkerConfig,
};

/// Everything a worker needs to know.
#[derive(Clone, Debug)]
pub struct Config {
    /// The database of files and jobs.
    pub database: DatabaseConfig,
    /// The bucket.
    pub objects: ObjectsConfig,
    /// The model.
    pub llm: LlmConfig,
    /// The guests.
    pub guests: GuestsConfig,
    /// Limits and waits of a job.
    pub pipeline: PipelineConfig,
    /// Slots and times.
    pub worker: WorkerConfig,
    /// How long answers and history are kept.
    pub retention: RetentionConfig,
    /// Whether workers delete what no row points at.
    pub sweep: SweepConfig,
    /// Where health and metrics are served.
    pub admin: SocketAddr,
}

/// Port of the admin endpoint where none is configured.
const ADMIN_PORT: u16 = 9464;

impl Config {
    /// Reads everything.
    ///
    /// # Errors
    /// Every fault of the configuration, in the order of reading.
    pub fn load(mut vars: Variables) -> Result<Self, Vec<VariableFault>> {
        let config = Self::read(&mut vars);
        vars.finish().map(|()| config)
    }

    /// Every variable there is, as the README and `.env.example` list them.
    pub fn variables() -> Vec<DeclaredVariable> {
        let mut vars = Variables::default();
        TelemetryConfig::load(&mut vars);
        Self::read(&mut vars);
        vars.declared().to_vec()
    }

    fn read(vars: &mut Variables) -> Self {
        let database = DatabaseConfig::load(vars);
        let objects = ObjectsConfig::load(vars);
        let llm = LlmConfig::load(vars);
        let guests = GuestsConfig::load(vars);
        let mut pipeline = PipelineConfig::load(vars);
        let worker = WorkerConfig::load(vars, llm.total);
        // A row that is not written when the claim runs out cannot be written any more.
        pipeline.journal_patience = worker.lease;
        let retention = RetentionConfig::load(vars);
        let sweep = SweepConfig::load(vars);
        let admin = admin_address(vars);
        Self { database, objects, llm, guests, pipeline, worker, retention, sweep, admin }
    }
}

fn admin_address(vars: &mut Variables) -> SocketAddr {
    let default = SocketAddr::from((Ipv4Addr::LOCALHOST, ADMIN_PORT));
    let text = vars.text("ADMIN_ADDR", &default.to_string(), "address of /livez, /readyz and /metrics");
    text.parse().unwrap_or_else(|_| {
        vars.invalid("ADMIN_ADDR", &text, "expected an address and a port such as 127.0.0.1:9464");
        default
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_faults_of_a_configuration_are_named_at_once() {
        let wrong = [
            ("WORKER_CONCURRENCY", "none"),
            ("ADMIN_ADDR", "here"),
            ("LLM_PROVIDER", "abacus"),
            ("S3_ENDPOINT", "not a url"),
        ];
        let vars = Variables::from_map(wrong.map(|(name, value)| (name.to_owned(), value.to_owned())).into());
        let faults = Config::load(vars).unwrap_err();
        let named: Vec<_> = faults.iter().map(|fault| fault.name).collect();
        for name in [
            "DATABASE_URL",
            "S3_BUCKET",
            "LLM_BASE_URL",
            "GUEST_DIR",
            "WORKER_CONCURRENCY",
            "ADMIN_ADDR",
            "LLM_PROVIDER",
            "S3_ENDPOINT",
        ] {
            assert!(named.contains(&name), "{name} is missing in {named:?}");
        }
    }
}
