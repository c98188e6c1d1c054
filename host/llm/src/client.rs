//! The adapter: one question, one answer, under three deadlines, without a retry. The job is the one that retries.

use std::{sync::Arc, time::Duration};

use anyhow::Context;
use assay_core::{breaker::Alias, code::Code, job_error::JobError};
use bytes::Bytes;
use http_body_util::Full;
use reqwest::{Body, Client, header::CONTENT_TYPE};
use tokio::time::{Instant, timeout};
use url::Url;

use super::{
    adapt::{self, Adapted, Carries, Memory},
    body,
    completion::{Completion, Ending, Usage},
    config::LlmConfig,
    connection,
    error::LlmError,
    exchange::{Answer, exchange, not_sent, rejected},
    request::ChatRequest,
    wire::{self, ProviderError},
};

/// The model, ready for use. Cheap to clone: clones share connections and what was learnt about the model.
#[derive(Clone)]
pub struct Model(Arc<Inner>);

struct Inner {
    config: LlmConfig,
    client: Client,
    completions: Url,
    models: Url,
    memory: Memory,
}

/// What the provider's list of models says about the configured one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Probe {
    /// It is in the list.
    Listed,
    /// It is not; some servers answer under any name all the same.
    NotListed,
    /// The server is there and accepts the key, but keeps no list.
    NoList,
}

impl Model {
    /// Connects to nothing yet.
    ///
    /// # Errors
    /// The TLS roots of this machine cannot be read.
    pub fn new(config: LlmConfig) -> anyhow::Result<Self> {
        Ok(Self(Arc::new(Inner {
            client: connection::client(&config).context("prepare the model's HTTP client")?,
            completions: connection::endpoint(&config.base_url, &["chat", "completions"]),
            models: connection::endpoint(&config.base_url, &["models"]),
            memory: Memory::default(),
            config,
        })))
    }

    /// Names the model that a question asks for, in the operator's words.
    pub fn alias(&self, model: Option<&str>) -> Alias {
        match model {
            None => Alias::Default,
            Some(alias) if self.0.config.resolve(Some(alias)).is_some() => Alias::Named(alias.to_owned()),
            Some(_) => Alias::Unlisted,
        }
    }

    /// Asks one question. Dropping the future hangs up.
    ///
    /// An answer that was received is `Ok` even where it is truncated, refused or filtered, because it was paid for: keep
    /// it, then see [`Completion::usable`].
    ///
    /// # Errors
    /// No answer was received; the code says why, and `retry_after` how long the provider asks us to wait.
    pub async fn complete(&self, question: &ChatRequest<'_>) -> Result<Completion, JobError> {
        let total = self.0.config.total;
        let started = Instant::now();
        // In a box, because a job's future would have this room for all of the job's life.
        let mut completion = timeout(total, Box::pin(self.ask(question)))
            .await
            .unwrap_or_else(|_| Err(LlmError::timeout("no complete answer", total, "LLM_TIMEOUT_MS")))?;
        completion.elapsed = started.elapsed();
        Ok(completion)
    }

    /// Finds out whether the endpoint is there, takes the key and lists the model. Buys nothing.
    ///
    /// # Errors
    /// As for a call, in so far as a list of models can show it.
    pub async fn probe(&self) -> Result<Probe, LlmError> {
        let Inner { config, client, models, .. } = &*self.0;
        let work = async {
            let mut response = client.get(models.clone()).send().await.map_err(|error| not_sent(error, config))?;
            let status = response.status().as_u16();
            if matches!(status, 404 | 405 | 501) {
                return Ok(Probe::NoList);
            }
            if !response.status().is_success() {
                let error = ProviderError::parse(&body::read_error(&mut response, config.idle).await);
                return Err(rejected("list the models", status, &error, response.headers()));
            }
            let list = body::read(&mut response, config.idle, config.answer_max_bytes).await?;
            Ok(wire::lists(&list, &config.model)
                .map_or(Probe::NoList, |listed| if listed { Probe::Listed } else { Probe::NotListed }))
        };
        // A list needs no thinking: what does not come within the connect and idle deadlines does not come.
        let limit = config.total.min(config.connect + config.idle);
        timeout(limit, work).await.unwrap_or_else(|_| {
            Err(LlmError::timeout("no list of models", limit, "LLM_CONNECT_TIMEOUT_MS + LLM_IDLE_TIMEOUT_MS"))
        })
    }

    /// Asks, and asks once more without each part that the server rejects.
    async fn ask(&self, question: &ChatRequest<'_>) -> Result<Completion, LlmError> {
        let Inner { config, client, completions, memory, .. } = &*self.0;
        let model = config.resolve(question.model).ok_or_else(|| {
            LlmError::new(
                Code::LlmModelNotFound,
                "choose the model: the prompt names an alias that LLM_MODELS does not have",
            )
        })?;
        let limit = question.max_output_tokens.or(config.max_output_tokens);
        let carries = Carries {
            schema: question.answer_schema.is_some(),
            temperature: question.temperature.is_some(),
            token_limit: limit.is_some(),
        };
        let known = memory.recall(model, question.answer_schema);
        let mut adapted = known;
        loop {
            let request = wire::request(question, model, limit, adapted).map_err(|_| {
                LlmError::new(Code::GuestBadOutput, "write the request: the prompt's answer schema is not JSON")
            })?;
            // As a body that cannot be cloned: of one that can, reqwest keeps a copy for redirects until the answer comes,
            // and takes as much memory for thousands of waiting jobs as their prompts.
            let request = Body::wrap(Full::new(Bytes::from(request)));
            let request = client.post(completions.clone()).header(CONTENT_TYPE, "application/json").body(request);
            let failure = match exchange(request, config).await? {
                Ok(choice) => {
                    if adapted != known {
                        memory.remember(model, question.answer_schema, adapted);
                    }
                    return self.completion(choice, model, carries.narrow(adapted));
                }
                Err(failure) => failure,
            };
            let Some(next) = adapt::after(adapted, carries, failure.status, &failure.error) else {
                return Err(rejected("call the model", failure.status, &failure.error, &failure.headers));
            };
            tracing::info!(
                llm.model = model,
                llm.json_object = next.json_object,
                llm.temperature_dropped = next.temperature_dropped,
                llm.max_completion_tokens = next.max_completion_tokens,
                http.status = failure.status,
                "the model rejected a part of the request; asking once more without it"
            );
            adapted = next;
        }
    }

    fn completion(&self, answer: Answer, asked: &str, adapted: Adapted) -> Result<Completion, LlmError> {
        let finish_reason = answer.choice.finish_reason.as_str().unwrap_or_default();
        let ending = Ending::of(finish_reason);
        if ending == Ending::Broken {
            return Err(LlmError::new(
                Code::LlmProvider5xx,
                "call the model: the generation failed on the provider's side",
            ));
        }
        // Kept in rows and shown to operators, so a word, or nothing that a provider could have put content into.
        let finish_reason = if finish_reason.is_empty() {
            String::new()
        } else {
            wire::token(finish_reason).unwrap_or_else(|| "other".to_owned())
        };
        let (text, refusal) = answer.choice.message.unwrap_or_default().into_text();
        let limit = self.0.config.answer_max_bytes;
        if text.len().max(refusal.as_ref().map_or(0, String::len)) > limit {
            return Err(body::too_large(limit));
        }
        // Nothing was received that a journal could keep, and another try may bring an answer.
        if text.trim().is_empty() && refusal.is_none() && ending == Ending::Whole {
            return Err(LlmError::new(Code::LlmBadEnvelope, "read the answer: it is empty"));
        }
        Ok(Completion {
            text,
            refusal,
            model: answer.model.as_str().and_then(wire::model_name).unwrap_or(asked).to_owned(),
            finish_reason,
            usage: usage(&answer.usage),
            adapted,
            elapsed: Duration::ZERO,
        })
    }
}

fn usage(usage: &serde_json::Value) -> Option<Usage> {
    let tokens = |name: &str| usage.get(name).and_then(serde_json::Value::as_u64);
    Some(Usage { input_tokens: tokens("prompt_tokens")?, output_tokens: tokens("completion_tokens").unwrap_or(0) })
}
