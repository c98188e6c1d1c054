//! The database, the bucket and the limits of a replay.

use std::collections::BTreeMap;

use assay_core::env::Variables;
use assay_db::{Database, DatabaseConfig};
use assay_llm::{LlmConfig, Model};
use assay_objects::{Objects, ObjectsConfig};
use assay_worker::{guests::GuestsConfig, pipeline::PipelineConfig, replay::LiveOptions};

use crate::{database, exit::Failure};

pub struct ReplayContext {
    pub database: Database,
    pub objects: Objects,
    pub guests: GuestsConfig,
    pub transcript_bytes: usize,
}

impl ReplayContext {
    /// Opens the database and the bucket; also the model if there is a budget for it.
    pub async fn open(
        values: &BTreeMap<String, String>,
        budget: Option<u64>,
    ) -> Result<(Self, Option<LiveOptions>), Failure> {
        let mut vars = Variables::from_map(values.clone());
        let (database, objects) = (DatabaseConfig::load(&mut vars), ObjectsConfig::load(&mut vars));
        let guests = GuestsConfig::load_sandbox(&mut vars);
        let transcript_bytes = PipelineConfig::load(&mut vars).transcript_bytes;
        let model = budget.map(|budget| (LlmConfig::load(&mut vars), budget));
        vars.finish()?;
        let live = match model {
            Some((config, budget)) => Some(LiveOptions { model: Model::new(config)?, budget }),
            None => None,
        };
        let database = database::open(database).await?;
        Ok((Self { database, objects: Objects::new(&objects), guests, transcript_bytes }, live))
    }
}
