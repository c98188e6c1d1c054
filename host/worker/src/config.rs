//! The whole configuration, read from one snapshot of the environment, with all faults at once.

use std::net::{Ipv4Addr, SocketAddr};

use assay_core::env::{DeclaredVariable, VariableFault, Variables};
use assay_db::DatabaseConfig;
use assay_llm::LlmConfig;
use assay_objects::ObjectsConfig;

use crate::{
    guests::config::GuestsConfig,
    maintenance::{orphans::schedule::SweepConfig, retention::RetentionConfig},
    pipeline::config::PipelineConfig,
    telemetry::TelemetryConfig,
    worker::config::WorkerConfig,
};

/// The configuration of a worker.
#[derive(Clone, Debug)]
pub struct Config {
    pub database: DatabaseConfig,
    pub objects: ObjectsConfig,
    pub llm: LlmConfig,
    pub guests: GuestsConfig,
    pub pipeline: PipelineConfig,
    pub worker: WorkerConfig,
    pub retention: RetentionConfig,
    pub sweep: SweepConfig,
    /// The address of health and metrics.
    pub admin: SocketAddr,
}

/// Default port of the admin endpoints.
const DEFAULT_ADMIN_PORT: u16 = 9464;

impl Config {
    /// Reads everything.
    ///
    /// # Errors
    /// Every fault of the configuration, in the order of reading.
    pub fn load(mut vars: Variables) -> Result<Self, Vec<VariableFault>> {
        let config = Self::read(&mut vars);
        vars.finish().map(|()| config)
    }

    /// Returns every variable, as docs/configuration.md and `.env.example` list them.
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
        // A journal row cannot be written after the claim ended.
        pipeline.journal_patience = worker.lease;
        let retention = RetentionConfig::load(vars);
        let sweep = SweepConfig::load(vars);
        let admin = admin_address(vars);
        Self { database, objects, llm, guests, pipeline, worker, retention, sweep, admin }
    }
}

fn admin_address(vars: &mut Variables) -> SocketAddr {
    let default = SocketAddr::from((Ipv4Addr::LOCALHOST, DEFAULT_ADMIN_PORT));
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
