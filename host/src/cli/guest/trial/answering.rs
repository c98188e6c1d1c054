//! Where the answers of a trial come from.

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::atomic::{AtomicBool, Ordering},
};

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
        // As in a worker: after a failure nothing more is asked, but what is with the model is waited for, because it is paid for.
        // With `--watch` it need not be bought again.
        let stopped = AtomicBool::new(false);
        let asking = prompts.iter().zip(before..).map(async |(prompt, ordinal)| {
            if stopped.load(Ordering::Relaxed) {
                return None;
            }
            let answer = self.answer(prompt, ordinal).await;
            stopped.fetch_or(answer.is_err(), Ordering::Relaxed);
            Some(answer)
        });
        let mut answers = futures::stream::iter(asking).buffered(limits.concurrent_prompts);
        let (mut answered, mut failed) = (Vec::new(), None);
        while let Some(answer) = answers.next().await {
            match answer {
                // What comes after the first question without an answer has no place among the answers.
                Some(Ok(answer)) if failed.is_none() => answered.push(answer),
                Some(Err(error)) => failed = failed.or(Some(error)),
                Some(Ok(_)) | None => {}
            }
        }
        (answered, failed)
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use assay_runtime::Message;
    use axum::{Json, Router, extract::State, http::StatusCode, routing::post};
    use serde_json::{Value, json};
    use tokio::sync::Barrier;

    use super::*;

    /// Both questions are with the model before either is answered.
    struct Server {
        both: Barrier,
        asked: Mutex<Vec<String>>,
    }

    async fn complete(
        State(server): State<Arc<Server>>,
        Json(request): Json<Value>,
    ) -> Result<Json<Value>, StatusCode> {
        let question = request["messages"][0]["content"].as_str().unwrap_or_default().to_owned();
        server.asked.lock().push(question.clone());
        server.both.wait().await;
        if question == "first" {
            return Err(StatusCode::INTERNAL_SERVER_ERROR);
        }
        Ok(Json(json!({"choices": [{"message": {"content": "yes"}, "finish_reason": "stop"}]})))
    }

    fn prompt(text: &str) -> Prompt {
        let messages = vec![Message { role: "user".to_owned(), content: text.into() }];
        Prompt { messages, answer_schema: None, model: None, max_output_tokens: None, temperature: None }
    }

    #[tokio::test]
    async fn what_is_with_the_model_when_another_question_fails_is_waited_for_and_not_bought_again() {
        let server = Arc::new(Server { both: Barrier::new(2), asked: Mutex::default() });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/v1", listener.local_addr().unwrap());
        let routes = Router::new().route("/v1/chat/completions", post(complete)).with_state(server.clone());
        tokio::spawn(axum::serve(listener, routes).into_future());
        let values = [("LLM_BASE_URL", url.as_str()), ("LLM_MODEL", "m")];
        let mut vars = Variables::from_map(values.map(|(name, value)| (name.to_owned(), value.to_owned())).into());
        let model = Model::new(LlmConfig::load(&mut vars)).unwrap();
        let answering = Answering { from: From::Model(model), known: Mutex::default() };

        let limits = JobLimits::default();
        let (answered, failed) = answering.ask(&[prompt("first"), prompt("second")], 0, &limits).await;
        assert!(answered.is_empty(), "an answer stands in its question's place");
        assert!(failed.unwrap().to_string().starts_with("question 1: "));
        let (answered, failed) = answering.ask(&[prompt("second")], 0, &limits).await;
        assert!(failed.is_none());
        assert_eq!(answered[0].text, "yes");
        let mut asked = server.asked.lock().clone();
        asked.sort();
        assert_eq!(asked, ["first", "second"]);
    }
}
