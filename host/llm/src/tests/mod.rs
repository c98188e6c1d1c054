//! The adapter against a scripted server: deadlines, broken bodies and refusals.

mod adapting;
mod answering;
mod failing;

use std::{collections::BTreeMap, time::Duration};

use assay_core::{
    code::{Class, Code},
    job_error::JobError,
    secret::Secret,
};
use assay_dev::scripted_server::{Act, Reply, ScriptedServer, beginning, response};
use serde_json::{Value, json};
use url::Url;

use crate::{Adapted, Auth, ChatMessage, ChatRequest, Completion, LlmConfig, Model, Probe, SchemaForm, Usage};

/// In the strict subset already.
const SCHEMA: &str =
    r#"{"type":"object","properties":{"a":{"type":"string"}},"required":["a"],"additionalProperties":false}"#;

/// Long enough for a busy machine, short enough to wait for where a deadline is what is tested.
const SHORT: Duration = Duration::from_millis(150);
const LONG: Duration = Duration::from_secs(30);

fn config(server: &ScriptedServer) -> LlmConfig {
    let base_url = Url::parse(&format!("http://127.0.0.1:{}/v1", server.port)).unwrap();
    LlmConfig { base_url, ..any_config() }
}

/// The configuration of an endpoint that is not there.
pub(crate) fn any_config() -> LlmConfig {
    LlmConfig {
        base_url: Url::parse("http://127.0.0.1:9/v1").unwrap(),
        model: "big".to_owned(),
        key: Some(Secret::fixed("LLM_API_KEY", "hush".to_owned())),
        auth: Auth::Bearer,
        models: BTreeMap::from([("small".to_owned(), "tiny".to_owned())]),
        connect: LONG,
        idle: LONG,
        total: LONG,
        answer_max_bytes: 1000,
        max_output_tokens: None,
    }
}

fn question() -> ChatRequest<'static> {
    ChatRequest {
        messages: vec![ChatMessage { role: "user", content: "SECRET-TRANSCRIPT" }],
        answer_schema: None,
        model: None,
        max_output_tokens: None,
        temperature: None,
    }
}

fn with_schema() -> ChatRequest<'static> {
    ChatRequest { answer_schema: Some(SCHEMA), ..question() }
}

fn answer(text: &str) -> Reply {
    completion(&json!({ "message": { "content": text }, "finish_reason": "stop" }))
}

fn completion(choice: &Value) -> Reply {
    ok(&json!({ "choices": [choice], "model": "big-2026", "usage": { "prompt_tokens": 7, "completion_tokens": 3 } }))
}

fn ok(body: &Value) -> Reply {
    response(200, &[("content-type", "application/json")], &body.to_string())
}

fn rejection(status: u16, error: &Value) -> Reply {
    response(status, &[], &json!({ "error": error }).to_string())
}

async fn ask(
    replies: impl IntoIterator<Item = Reply>,
    question: &ChatRequest<'_>,
) -> (Result<Completion, JobError>, Vec<Value>) {
    let server = ScriptedServer::start(replies).await;
    let result = Model::new(config(&server)).unwrap().complete(question).await.map_err(JobError::from);
    (result, bodies(&server))
}

async fn fail(reply: Reply) -> JobError {
    let (result, requests) = ask([reply], &question()).await;
    assert_eq!(requests.len(), 1, "the adapter never retries");
    let error = result.expect_err("no answer was sent");
    for secret in ["SECRET", "hush"] {
        let shown = format!("{error:?} {}", error.chain()).to_ascii_lowercase();
        assert!(!shown.contains(&secret.to_ascii_lowercase()), "{shown}");
    }
    error
}

fn bodies(server: &ScriptedServer) -> Vec<Value> {
    server.received().iter().map(|request| serde_json::from_slice(&request.body).unwrap_or_default()).collect()
}
