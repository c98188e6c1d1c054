//! Chooses the source of a trial's answers.

use std::path::PathBuf;

use assay_core::env::Variables;
use assay_llm::{LlmConfig, Model};

use crate::exit::Failure;

pub enum AnswerSource {
    Model(Model),
    #[cfg(feature = "dev")]
    StandIn {
        model: Model,
        _server: assay_dev::StandIn,
    },
    Files(Vec<PathBuf>),
}

impl AnswerSource {
    /// # Errors
    /// A variable of the model is wrong, if the model is to answer.
    #[cfg_attr(not(feature = "dev"), expect(unused_variables, reason = "only a binary with `dev` has a stand-in"))]
    pub async fn choose(files: &[PathBuf], stand_in: bool, mut vars: Variables) -> Result<Self, Failure> {
        if !files.is_empty() {
            return Ok(Self::Files(files.to_vec()));
        }
        #[cfg(feature = "dev")]
        if stand_in {
            let server = assay_dev::StandIn::start(assay_dev::StandInOptions::default()).await?;
            let values = [("LLM_BASE_URL", server.base_url()), ("LLM_MODEL", assay_dev::MODEL.to_owned())];
            let mut vars = Variables::from_map(values.map(|(name, value)| (name.to_owned(), value)).into());
            let config = LlmConfig::load(&mut vars);
            vars.finish()?;
            return Ok(Self::StandIn { model: Model::new(config)?, _server: server });
        }
        let config = LlmConfig::load(&mut vars);
        vars.finish()?;
        Ok(Self::Model(Model::new(config)?))
    }
}
