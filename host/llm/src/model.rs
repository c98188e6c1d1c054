//! Asks the model: one question, one answer, under three deadlines. It never retries; the job does.

use std::{sync::Arc, time::Duration};

use anyhow::Context;
use assay_core::{
    breaker::Alias,
    code::Code,
    job_error::JobError,
    secret::{Secret, SecretFileError},
};
use bytes::Bytes;
use http_body_util::Full;
use reqwest::{Body, header::CONTENT_TYPE};
use secrecy::{ExposeSecret, SecretString};
use tokio::time::{Instant, timeout};
use url::Url;

use crate::{
    adapted::{Adapted, SchemaForm},
    answer::Asked,
    chat_request::{ChatMessage, ChatRequest},
    client_pool::ClientPool,
    completion::{Completion, Usage},
    fallback::{OptionalParts, next_fallback},
    finish_reason::{Ending, FinishReason, is_cut},
    http_client,
    input_window::{is_input_lost, is_input_truncated},
    llm_config::LlmConfig,
    llm_error::LlmError,
    model_list::lists_model,
    model_memory::ModelMemory,
    plain_word::model_name,
    provider_error::ProviderError,
    reply::{self, Received, Reply, not_sent, rejected},
    request_body::request_body,
    response_body,
    schema_for_model::has_strict_form,
};

/// Keys that one call tries besides the first: a file may be replaced while it is written.
const MAX_OTHER_KEYS: u32 = 2;

/// The model. Cheap to clone: clones share connections and the memory of rejections.
#[derive(Clone)]
pub struct Model(Arc<Inner>);

struct Inner {
    config: LlmConfig,
    clients: ClientPool,
    completions: Url,
    models: Url,
    memory: ModelMemory,
}

/// The configured model in the provider's list of models.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Probe {
    /// The list has the model.
    Listed,
    /// The list lacks the model; some servers answer under any name.
    NotListed,
    /// The server accepts the key, but has no list.
    NoList,
}

impl Model {
    /// Opens no connection yet.
    ///
    /// # Errors
    /// Fails if the TLS roots of this machine cannot be read.
    pub fn new(config: LlmConfig) -> anyhow::Result<Self> {
        Ok(Self(Arc::new(Inner {
            clients: ClientPool::new(&config).context("prepare the model's HTTP client")?,
            completions: http_client::endpoint(&config.base_url, &["chat", "completions"]),
            models: http_client::endpoint(&config.base_url, &["models"]),
            memory: ModelMemory::default(),
            config,
        })))
    }

    /// Reads the file of the key again. Returns whether it has another key; without a file it never has.
    ///
    /// # Errors
    /// The file cannot be used. The key of before stays.
    pub fn read_key_again(&self) -> Result<bool, SecretFileError> {
        self.0.config.key.as_ref().map_or(Ok(false), Secret::read_again)
    }

    /// Returns whether there is another key than the one that was refused.
    fn has_other_key(&self, used: Option<&SecretString>) -> bool {
        if let Err(error) = self.read_key_again() {
            tracing::warn!(%error, "the key of the model was not read again");
        }
        let current = self.0.config.key.as_ref().map(Secret::current);
        current.as_ref().map(ExposeSecret::expose_secret) != used.map(ExposeSecret::expose_secret)
    }

    /// Returns the breaker's name for the model of a question.
    pub fn alias(&self, model: Option<&str>) -> Alias {
        match model {
            None => Alias::Default,
            Some(alias) if self.0.config.resolve(Some(alias)).is_some() => Alias::Named(alias.to_owned()),
            Some(_) => Alias::Unlisted,
        }
    }

    /// Asks one question. Dropping the future closes the connection.
    ///
    /// A received answer is `Ok` even if it is truncated, refused or filtered, because it is paid for: keep it, then check
    /// [`Completion::usable`].
    ///
    /// # Errors
    /// Fails if no answer was received. `retry_after` holds the wait that the provider asks for, `unreadable` a success that
    /// holds no answer.
    pub async fn complete(&self, question: &ChatRequest<'_>) -> Result<Completion, LlmError> {
        let total = self.0.config.total;
        let started = Instant::now();
        // Boxed, so that the job's future holds this memory only during the call.
        let mut completion = timeout(total, Box::pin(self.ask(question)))
            .await
            .unwrap_or_else(|_| Err(LlmError::timeout("no complete answer", total, "LLM_TIMEOUT_MS")))?;
        completion.elapsed = started.elapsed();
        Ok(completion)
    }

    /// Checks whether the endpoint answers, accepts the key and lists the model. Costs nothing.
    ///
    /// # Errors
    /// Fails as a call would, as far as the list of models shows it.
    pub async fn probe(&self) -> Result<Probe, LlmError> {
        let Inner { config, clients, models, .. } = &*self.0;
        let work = async {
            let lent = clients.lend().map_err(no_client)?;
            let key = config.key.as_ref().map(Secret::current);
            let request = http_client::with_key(lent.client().get(models.clone()), config.auth, key.as_ref());
            let mut response = request.send().await.map_err(|error| not_sent(error, config))?;
            let status = response.status().as_u16();
            if matches!(status, 404 | 405 | 501) {
                return Ok(Probe::NoList);
            }
            if !response.status().is_success() {
                let error = ProviderError::parse(&response_body::read_error(&mut response, config.idle).await);
                return Err(rejected("list the models", status, &error, response.headers()));
            }
            let list = response_body::read(&mut response, config.idle, config.answer_max_bytes).await?;
            Ok(lists_model(&list, &config.model)
                .map_or(Probe::NoList, |listed| if listed { Probe::Listed } else { Probe::NotListed }))
        };
        // A list needs no generation, so the connect and idle deadlines are enough.
        let limit = config.total.min(config.connect + config.idle);
        timeout(limit, work).await.unwrap_or_else(|_| {
            Err(LlmError::timeout("no list of models", limit, "LLM_CONNECT_TIMEOUT_MS + LLM_IDLE_TIMEOUT_MS"))
        })
    }

    /// Asks the model for one token, to learn whether endpoint, key and model work. A list of models does not show whether
    /// quota is left, or whether the key may use the model.
    ///
    /// # Errors
    /// Fails as a call would. An empty or truncated answer is one.
    pub async fn ping(&self, model: Option<&str>) -> Result<(), JobError> {
        let messages = [ChatMessage { role: "user", content: "ping" }];
        let question = ChatRequest {
            model,
            messages: messages.to_vec(),
            max_output_tokens: Some(1),
            answer_schema: None,
            temperature: None,
        };
        let config = &self.0.config;
        let limit = config.total.min(config.connect + config.idle);
        let asked = timeout(limit, Box::pin(self.answer(&question))).await;
        asked.unwrap_or_else(|_| Err(LlmError::timeout("no answer to one token", limit, "LLM_IDLE_TIMEOUT_MS")))?;
        Ok(())
    }

    async fn ask(&self, question: &ChatRequest<'_>) -> Result<Completion, LlmError> {
        let (received, sent) = self.answer(question).await?;
        self.completion(received, sent)
    }

    /// Asks, and asks again without each part that the server rejects.
    async fn answer<'a>(&'a self, question: &ChatRequest<'_>) -> Result<(Received, Sent<'a>), LlmError> {
        let Inner { config, clients, completions, memory, .. } = &*self.0;
        let lent = clients.lend().map_err(no_client)?;
        let model = config.resolve(question.model).ok_or_else(|| {
            LlmError::new(
                Code::LlmModelNotFound,
                "choose the model: the prompt names an alias that LLM_MODELS does not have",
            )
        })?;
        let limit = question.max_output_tokens.or(config.max_output_tokens);
        let parts = OptionalParts {
            schema: question.answer_schema.is_some(),
            temperature: question.temperature.is_some(),
            token_limit: limit.is_some(),
        };
        let known = memory.recall(model, question.answer_schema);
        let mut adapted = known;
        let mut keys_left = MAX_OTHER_KEYS;
        loop {
            let request = request_body(question, model, limit, adapted).map_err(|_| {
                LlmError::new(Code::GuestBadOutput, "write the request: the prompt's answer schema is not JSON")
            })?;
            // A body that cannot be cloned: reqwest keeps a copy of any other body until the answer arrives, and thousands
            // of waiting jobs would need twice the memory of their prompts.
            let request = Body::wrap(Full::new(Bytes::from(request)));
            let request =
                lent.client().post(completions.clone()).header(CONTENT_TYPE, "application/json").body(request);
            let used = config.key.as_ref().map(Secret::current);
            let request = http_client::with_key(request, config.auth, used.as_ref());
            let asked = Asked { json: question.answer_schema.is_some(), max_output_tokens: limit };
            let refusal = match reply::send(request, config, asked).await? {
                Reply::Answer(received) => {
                    if adapted != known {
                        memory.remember(model, question.answer_schema, adapted);
                    }
                    let prompt_bytes = question.messages.iter().map(|message| message.content.len()).sum();
                    let sent = Sent { model, adapted: parts.narrow(adapted), asked, prompt_bytes };
                    return Ok((*received, sent));
                }
                Reply::Refusal(refusal) => refusal,
            };
            let next = next_fallback(adapted, parts, refusal.status, &refusal.error).map(|next| {
                // The guest's schema is in the strict subset already.
                let is_same = next.schema == SchemaForm::Strict && !question.answer_schema.is_some_and(has_strict_form);
                if is_same { Adapted { schema: SchemaForm::JsonObject, ..next } } else { next }
            });
            let Some(next) = next else {
                let error = rejected("call the model", refusal.status, &refusal.error, &refusal.headers);
                // The file may have got another key since: then the refusal was of the old one.
                if error.code == Code::LlmAuthFailed && keys_left > 0 && self.has_other_key(used.as_ref()) {
                    keys_left -= 1;
                    continue;
                }
                return Err(error);
            };
            tracing::info!(
                llm.model = model,
                llm.schema = next.schema.as_str(),
                llm.temperature_dropped = next.temperature_dropped,
                llm.max_completion_tokens = next.max_completion_tokens,
                http.status = refusal.status,
                "the model rejected a part of the request; the next request leaves it out"
            );
            adapted = next;
        }
    }

    fn completion(&self, received: Received, sent: Sent<'_>) -> Result<Completion, LlmError> {
        let Received { answer, body } = received;
        let usage = answer.usage.and_then(|usage| self.plausible(usage, sent.model));
        let has_text = !answer.text.trim().is_empty();
        let ending = Ending { has_text, is_cut: is_cut(&answer.text, usage, sent.asked) };
        let reason = FinishReason::of(&answer.finish_reason, ending);
        if reason == FinishReason::Broken {
            return Err(LlmError::new(
                Code::LlmProvider5xx,
                "call the model: the generation failed on the provider's side",
            ));
        }
        if let Some(usage) = usage.filter(|usage| is_input_lost(sent.prompt_bytes, *usage)) {
            let message = format!(
                "call the model: it read {} tokens of a prompt of {} bytes: its window is too small",
                usage.input_tokens, sent.prompt_bytes
            );
            return Err(LlmError { code: Code::LlmContextTooLong, message, ..body.unreadable("", Some(usage)) });
        }
        let limit = self.0.config.answer_max_bytes;
        if answer.text.len().max(answer.refusal.as_ref().map_or(0, String::len)) > limit {
            return Err(response_body::too_large(limit));
        }
        // There is no answer to journal, and a retry may bring one.
        if !has_text && answer.refusal.is_none() && reason == FinishReason::Whole {
            return Err(body.unreadable("has an empty answer", usage));
        }
        Ok(Completion {
            text: answer.text,
            refusal: answer.refusal,
            model: answer.model.as_deref().and_then(model_name).unwrap_or(sent.model).to_owned(),
            asked: sent.model.to_owned(),
            // Rows keep it and operators see it.
            finish_reason: reason.shown(&answer.finish_reason),
            input_truncated: usage.is_some_and(|usage| is_input_truncated(sent.prompt_bytes, usage)),
            usage,
            adapted: sent.adapted,
            elapsed: Duration::ZERO,
        })
    }

    /// Returns the provider's counts, if they can be meant. Warns once per model where they cannot.
    fn plausible(&self, counted: Usage, model: &str) -> Option<Usage> {
        if counted.is_plausible() {
            return Some(counted);
        }
        if self.0.memory.is_first_odd_count(model) {
            tracing::warn!(
                llm.model = model,
                "the provider counts more than a billion tokens for one answer; such counts are taken as unknown"
            );
        }
        None
    }
}

/// The roots of trust were read for an earlier client, so this is no fault of the configuration.
fn no_client(error: anyhow::Error) -> LlmError {
    LlmError::new(Code::LlmNetworkError, format!("call the model: no client: {error:#}"))
}

/// What a call sent, as far as its answer is read by it.
struct Sent<'a> {
    model: &'a str,
    adapted: Adapted,
    asked: Asked,
    /// Bytes of all messages.
    prompt_bytes: usize,
}
