//! Where the answers of a trial come from.

use std::{collections::HashMap, path::PathBuf};

use anyhow::{Context, anyhow};
use assay_runtime::{JobLimits, Prompt};
use futures::StreamExt;
use parking_lot::Mutex;

use super::{Arguments, story::Answered};
use crate::{
    cli::exit::Failure,
    llm::{LlmConfig, Model},
    variables::Variables,
};

/// A model, the stand-in, or files.
pub(super) struct Answering {
    from: From,
    /// Whatever was answered before, by question: with `--watch` nothing is bought twice.
    known: Mutex<HashMap<String, Answered>>,
}

enum From {
    Model(Model),
    #[cfg(feature = "dev")]
    StandIn {
        model: Model,
        _server: assay_dev::StandIn,
    },
    Files(Vec<PathBuf>),
}

impl Answering {
    /// Looks who answers.
    ///
    /// # Errors
    /// A fault of the configuration, where a model is to answer.
    pub(super) async fn new(arguments: &Arguments, vars: Variables) -> Result<Self, Failure> {
        let from = Self::choose(arguments, vars).await?;
        Ok(Self { from, known: Mutex::default() })
    }

    async fn choose(arguments: &Arguments, mut vars: Variables) -> Result<From, Failure> {
        if !arguments.answers.is_empty() {
            return Ok(From::Files(arguments.answers.clone()));
        }
        #[cfg(feature = "dev")]
        if arguments.stand_in {
            let server = assay_dev::StandIn::start(assay_dev::StandInOptions::default()).await?;
            let values = [("LLM_BASE_URL", server.base_url()), ("LLM_MODEL", assay_dev::MODEL.to_owned())];
            let mut vars = Variables::from_map(values.map(|(name, value)| (name.to_owned(), value)).into());
            let config = LlmConfig::load(&mut vars);
            vars.finish()?;
            return Ok(From::StandIn { model: Model::new(config)?, _server: server });
        }
        let config = LlmConfig::load(&mut vars);
        vars.finish()?;
        Ok(From::Model(Model::new(config)?))
    }

    /// Answers a round of questions; `before` were asked in earlier ones. Gives the answers up to the first question without one, and
    /// why that has none: nobody answers it, or with something that no guest would see.
    pub(super) async fn ask(
        &self,
        prompts: &[Prompt],
        before: usize,
        limits: &JobLimits,
    ) -> (Vec<Answered>, Option<anyhow::Error>) {
        let asking = prompts.iter().zip(before..).map(|(prompt, ordinal)| self.answer(prompt, ordinal));
        let mut answers = futures::stream::iter(asking).buffered(limits.concurrent_prompts);
        let mut answered = Vec::new();
        while let Some(answer) = answers.next().await {
            match answer {
                Ok(answer) => answered.push(answer),
                Err(error) => return (answered, Some(error)),
            }
        }
        (answered, None)
    }

    async fn answer(&self, prompt: &Prompt, ordinal: usize) -> anyhow::Result<Answered> {
        if let From::Files(files) = &self.from {
            let file = files.get(ordinal);
            let file = file.with_context(|| format!("the guest asks question {}; add an --answer", ordinal + 1))?;
            let text = std::fs::read_to_string(file).with_context(|| format!("read {}", file.display()))?;
            return Ok(Answered::from_file(text));
        }
        let question = serde_json::to_string(prompt)?;
        if let Some(answered) = self.known.lock().get(&question) {
            return Ok(answered.again());
        }
        let completion = match &self.from {
            From::Model(model) => model.complete(prompt).await,
            // The stand-in goes by every name.
            #[cfg(feature = "dev")]
            From::StandIn { model, .. } => model.complete(&Prompt { model: None, ..prompt.clone() }).await,
            From::Files(_) => unreachable!("answered above"),
        };
        let told = |error| anyhow!("question {}: {error}", ordinal + 1);
        let completion = completion.map_err(told)?;
        completion.usable().map_err(|error| anyhow!("question {}: {error}", ordinal + 1))?;
        let answered = Answered::from(completion);
        self.known.lock().insert(question, answered.clone());
        Ok(answered)
    }
}
