//! The adapter against a server that says exactly what the test wants: every deadline, every broken body, every refusal.

/// Included, because a file cannot be the module of two parents, and siblings do not import each other.
mod scripted_server {
    include!("../../testing/scripted_server.rs");
}

use std::{collections::BTreeMap, time::Duration};

use assay_runtime::{Message, Prompt};
use serde_json::{Value, json};
use url::Url;

use self::scripted_server::{Act, Reply, ScriptedServer, beginning, response};
use super::{Adapted, Completion, LlmConfig, Model, Probe, Usage};
use crate::error::{Class, Code, JobError};

const SCHEMA: &str = r#"{"type":"object"}"#;

/// Long enough for a busy machine, short enough to wait for where a deadline is what is tested.
const SHORT: Duration = Duration::from_millis(150);
const LONG: Duration = Duration::from_secs(30);

fn config(server: &ScriptedServer) -> LlmConfig {
    LlmConfig {
        base_url: Url::parse(&format!("http://127.0.0.1:{}/v1", server.port)).unwrap(),
        model: "big".to_owned(),
        key: Some("hush".into()),
        models: BTreeMap::from([("small".to_owned(), "tiny".to_owned())]),
        connect: LONG,
        idle: LONG,
        total: LONG,
        answer_max_bytes: 1000,
        max_output_tokens: None,
    }
}

fn prompt() -> Prompt {
    Prompt {
        messages: vec![Message { role: "user".to_owned(), content: "SECRET-TRANSCRIPT".to_owned() }],
        answer_schema: None,
        model: None,
        max_output_tokens: None,
        temperature: None,
    }
}

fn with_schema() -> Prompt {
    Prompt { answer_schema: Some(SCHEMA.to_owned()), ..prompt() }
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

async fn ask(replies: impl IntoIterator<Item = Reply>, prompt: &Prompt) -> (Result<Completion, JobError>, Vec<Value>) {
    let server = ScriptedServer::start(replies).await;
    let result = Model::new(config(&server)).unwrap().complete(prompt).await;
    (result, bodies(&server))
}

async fn fail(reply: Reply) -> JobError {
    let (result, requests) = ask([reply], &prompt()).await;
    assert_eq!(requests.len(), 1, "the adapter never retries");
    let error = result.expect_err("no answer was sent");
    for secret in ["SECRET", "hush"] {
        assert!(!format!("{error:?} {}", error.chain()).contains(secret), "{}", error.chain());
    }
    error
}

fn bodies(server: &ScriptedServer) -> Vec<Value> {
    server.received().iter().map(|request| serde_json::from_slice(&request.body).unwrap_or_default()).collect()
}

// What is sent, and what comes of an ordinary answer.

#[tokio::test]
async fn a_question_is_asked_once_with_the_key_and_answered() {
    let server = ScriptedServer::start([answer("hello")]).await;
    let model = Model::new(config(&server)).unwrap();
    let prompt = Prompt { temperature: Some(0.2), max_output_tokens: Some(9), ..with_schema() };
    let completion = model.complete(&prompt).await.unwrap();
    assert_eq!((completion.text.as_str(), completion.model.as_str()), ("hello", "big-2026"));
    assert_eq!(completion.usage, Some(Usage { input_tokens: 7, output_tokens: 3 }));
    assert_eq!(completion.adapted, Adapted::default());
    assert!(completion.usable().is_ok());

    let received = server.received();
    assert!(received[0].head.starts_with("post /v1/chat/completions http/1.1"), "{}", received[0].head);
    assert!(received[0].head.contains("authorization: bearer hush"));
    insta::assert_json_snapshot!(bodies(&server));
}

#[tokio::test]
async fn connections_are_reused() {
    let server = ScriptedServer::start([answer("hello")]).await;
    let model = Model::new(config(&server)).unwrap();
    for _ in 0..3 {
        model.complete(&prompt()).await.unwrap();
    }
    assert_eq!((server.received().len(), server.connections()), (3, 1));
}

#[tokio::test]
async fn an_alias_leads_to_the_operators_model_and_an_unknown_one_holds_the_job() {
    let named = |alias: &str| Prompt { model: Some(alias.to_owned()), ..prompt() };
    let (result, requests) = ask([answer("hello")], &named("small")).await;
    assert!(result.is_ok());
    assert_eq!(requests[0]["model"], "tiny");

    let (result, requests) = ask([answer("hello")], &named("SECRET-NAME")).await;
    let error = result.unwrap_err();
    assert_eq!((error.code, error.class()), (Code::LlmModelNotFound, Class::Hold));
    assert!(requests.is_empty() && !error.chain().contains("SECRET"), "{}", error.chain());
}

#[tokio::test]
async fn a_base_url_keeps_its_path_and_query() {
    let server = ScriptedServer::start([answer("hello")]).await;
    let mut config = config(&server);
    config.base_url = Url::parse(&format!("http://127.0.0.1:{}/open/v1/?api-version=1", server.port)).unwrap();
    Model::new(config).unwrap().complete(&prompt()).await.unwrap();
    assert!(server.received()[0].head.starts_with("post /open/v1/chat/completions?api-version=1 "));
}

// How answers end, and how compatible servers spell them.

#[tokio::test]
async fn answers_that_ended_badly_are_received_and_not_usable() {
    for (choice, code) in [
        (json!({ "message": { "content": "{\"a\":" }, "finish_reason": "length" }), Code::LlmOutputTruncated),
        (json!({ "message": { "content": null }, "finish_reason": "length" }), Code::LlmOutputTruncated),
        (json!({ "message": { "content": "" }, "finish_reason": "content_filter" }), Code::LlmContentFiltered),
        (json!({ "message": { "content": null, "refusal": "no" }, "finish_reason": "stop" }), Code::LlmRefused),
        (json!({ "message": { "content": [{ "type": "refusal", "refusal": "no" }] } }), Code::LlmRefused),
    ] {
        let (result, _) = ask([completion(&choice)], &prompt()).await;
        let received = result.unwrap_or_else(|error| panic!("{choice}: {error}"));
        assert_eq!(received.usage.map(|usage| usage.input_tokens), Some(7), "what was paid is known");
        assert_eq!(received.usable().unwrap_err().code, code, "{choice}");
    }
}

#[tokio::test]
async fn answers_of_compatible_servers_are_read_leniently() {
    for body in [
        json!({ "choices": [{ "message": { "content": "hi" }, "finish_reason": "" }] }),
        json!({ "choices": [{ "message": { "content": "hi" }, "finish_reason": null }], "usage": null, "model": 7 }),
        json!({ "choices": [{ "message": { "content": "hi", "refusal": null, "tool_calls": [] } }], "usage": "free" }),
        json!({ "choices": [{ "message": { "content": [{ "type": "text", "text": "h" }, { "text": "i" }] } }], "error": null }),
        json!({ "choices": [{ "message": { "content": "hi" }, "error": {} }], "error": "" }),
        json!({ "choices": [{ "message": { "content": "hi", "reasoning_content": "hm" }, "index": "0" }], "x": [1] }),
    ] {
        let (result, _) = ask([ok(&body)], &prompt()).await;
        let completion = result.unwrap_or_else(|error| panic!("{body}: {error}"));
        assert_eq!((completion.text.as_str(), completion.model.as_str()), ("hi", "big"), "{body}");
        assert!(completion.usable().is_ok() && completion.usage.is_none());
    }
}

#[tokio::test]
async fn a_finish_reason_that_is_no_word_is_not_kept() {
    let choice = json!({ "message": { "content": "hi" }, "finish_reason": "SECRET words of a document" });
    let (result, _) = ask([completion(&choice)], &prompt()).await;
    assert_eq!(result.unwrap().finish_reason, "other");
}

#[tokio::test]
async fn a_success_that_holds_no_answer_is_a_bad_envelope() {
    for reply in [
        response(200, &[("content-type", "text/html; charset=utf-8")], "<html>SECRET</html>"),
        response(200, &[], ""),
        response(204, &[], ""),
        ok(&json!({ "choices": [] })),
        ok(&json!({ "object": "chat.completion" })),
        ok(&json!([])),
        completion(&json!({ "message": { "content": " \n" }, "finish_reason": "stop" })),
        completion(&json!({ "message": {} })),
        completion(&json!({ "message": null })),
        ok(&json!({ "choices": null })),
        completion(&json!({})),
    ] {
        let error = fail(reply.clone()).await;
        assert_eq!(error.code, Code::LlmBadEnvelope, "{reply:?}");
    }
    let error = fail(response(200, &[("content-type", "text/html")], "<html>")).await;
    assert!(error.message.contains("text.html"), "{}", error.message);
}

#[tokio::test]
async fn a_generation_that_failed_on_the_providers_side_is_tried_again() {
    let broken = completion(&json!({ "message": { "content": "half an ans" }, "finish_reason": "error" }));
    assert_eq!(fail(broken).await.code, Code::LlmProvider5xx);
    let upstream = json!({ "message": { "content": "" }, "error": { "code": 502, "message": "SECRET" } });
    assert_eq!(fail(completion(&upstream)).await.code, Code::LlmProvider5xx);
}

// Sizes.

#[tokio::test]
async fn an_answer_over_the_limit_is_refused_however_it_comes() {
    let long = "x".repeat(1001);
    assert_eq!(fail(answer(&long)).await.code, Code::LlmAnswerTooLarge);

    let announced = vec![beginning(200, 50_000_000, "{"), Act::Hold];
    assert_eq!(fail(announced).await.code, Code::LlmAnswerTooLarge);

    let head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
    let chunk = format!("10000\r\n{}\r\n", "x".repeat(0x10000)).into_bytes();
    let endless = vec![Act::Send(head), Act::Send(chunk.clone()), Act::Send(chunk), Act::Hold];
    assert_eq!(fail(endless).await.code, Code::LlmAnswerTooLarge);
}

#[tokio::test]
async fn an_answer_at_the_limit_fits_even_if_every_letter_is_escaped() {
    let escaped = "\\u0436".repeat(500);
    let body = format!(r#"{{"choices":[{{"message":{{"content":"{escaped}"}}}}]}}"#);
    let (result, _) = ask([response(200, &[], &body)], &prompt()).await;
    assert_eq!(result.unwrap().text.len(), 1000);
}

// Deadlines and broken connections.

async fn timed(reply: Reply, change: impl FnOnce(&mut LlmConfig)) -> JobError {
    let server = ScriptedServer::start([reply]).await;
    let mut config = config(&server);
    change(&mut config);
    Model::new(config).unwrap().complete(&prompt()).await.expect_err("the deadline passes")
}

#[tokio::test]
async fn each_deadline_has_its_own_words() {
    // A TLS handshake that nobody answers: the connection is there, but it is not ready.
    let error = timed(vec![Act::Hold], |config| {
        config.base_url.set_scheme("https").unwrap();
        config.connect = SHORT;
    })
    .await;
    assert_eq!(error.code, Code::LlmTimeout);
    assert!(error.message.contains("no connection within 150ms (LLM_CONNECT_TIMEOUT_MS)"), "{}", error.message);

    let stalled = vec![beginning(200, 100, "{\"choices\""), Act::Hold];
    let error = timed(stalled, |config| config.idle = SHORT).await;
    assert_eq!(error.code, Code::LlmTimeout);
    assert!(error.message.contains("within 150ms (LLM_IDLE_TIMEOUT_MS)"), "{}", error.message);

    let error = timed(vec![Act::Hold], |config| config.total = SHORT).await;
    assert_eq!(error.code, Code::LlmTimeout);
    assert!(error.message.contains("within 150ms (LLM_TIMEOUT_MS)"), "{}", error.message);
}

#[tokio::test]
async fn the_idle_deadline_begins_with_the_first_byte_of_the_response() {
    // Silent before its first byte for longer than the idle deadline: a model that thinks. Only the total deadline counts.
    let error = timed(vec![Act::Hold], |config| (config.idle, config.total) = (SHORT / 5, SHORT)).await;
    assert!(error.message.contains("(LLM_TIMEOUT_MS)"), "{}", error.message);
}

#[tokio::test]
async fn a_connection_that_breaks_is_a_network_error_wherever_it_breaks() {
    for reply in [
        vec![Act::Reset],
        vec![Act::Close],
        vec![beginning(200, 100, "{\"choices\""), Act::Close],
        vec![beginning(200, 100, "{\"choices\""), Act::Reset],
    ] {
        let error = fail(reply.clone()).await;
        assert_eq!((error.code, error.class()), (Code::LlmNetworkError, Class::Retry), "{reply:?}");
        assert!(!error.chain().contains("127.0.0.1:"), "no address in {}", error.chain());
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_is_a_network_error() {
    let mut config = config(&ScriptedServer::start([]).await);
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    config.base_url.set_port(Some(closed)).unwrap();
    let error = Model::new(config).unwrap().complete(&prompt()).await.unwrap_err();
    assert_eq!(error.code, Code::LlmNetworkError);
    assert!(error.message.contains("no connection"), "{}", error.message);
}

// Refusals.

#[tokio::test]
async fn a_refusal_tells_status_and_codes_and_nothing_else() {
    let error = json!({ "message": "SECRET", "type": "requests", "code": "rate_limit_exceeded", "param": "SECRET" });
    let headers = [("retry-after", "20"), ("x-request-id", "req_1"), ("x-debug", "SECRET")];
    let error = fail(response(429, &headers, &json!({ "error": error }).to_string())).await;
    assert_eq!((error.code, error.retry_after), (Code::LlmRateLimited, Some(Duration::from_secs(20))));
    assert_eq!(error.message, "call the model: 429 rate_limit_exceeded requests (request req_1)");
}

#[tokio::test]
async fn a_code_that_is_no_word_is_not_shown() {
    let error = fail(rejection(400, &json!({ "code": "SECRET words of a document", "type": "x/SECRET" }))).await;
    assert_eq!((error.code, error.message.as_str()), (Code::LlmRequestRejected, "call the model: 400"));
}

#[tokio::test]
async fn refusals_have_the_class_of_their_cause() {
    for (reply, code, class) in [
        (rejection(401, &json!({ "code": "invalid_api_key" })), Code::LlmAuthFailed, Class::Hold),
        (rejection(429, &json!({ "type": "insufficient_quota" })), Code::LlmQuotaExhausted, Class::Hold),
        (rejection(404, &json!({ "code": "model_not_found" })), Code::LlmModelNotFound, Class::Hold),
        (rejection(400, &json!({ "code": "context_length_exceeded" })), Code::LlmContextTooLong, Class::Fail),
        (
            response(400, &[], r#"[{"error":{"code":429,"status":"RESOURCE_EXHAUSTED"}}]"#),
            Code::LlmRateLimited,
            Class::Snooze,
        ),
        (response(503, &[], "<html>down</html>"), Code::LlmProvider5xx, Class::Retry),
        (response(302, &[("location", "http://127.0.0.1:1/")], ""), Code::LlmModelNotFound, Class::Hold),
        (response(400, &[("x-should-retry", "true")], "{}"), Code::LlmProvider5xx, Class::Retry),
        (response(500, &[("x-should-retry", "false")], "{}"), Code::LlmRequestRejected, Class::Fail),
        // A refusal whose body breaks off is still that refusal.
        (vec![beginning(429, 1000, "{\"err"), Act::Close], Code::LlmRateLimited, Class::Snooze),
    ] {
        let error = fail(reply.clone()).await;
        assert_eq!((error.code, error.class()), (code, class), "{reply:?}");
    }
}

#[tokio::test]
async fn an_error_inside_a_success_is_classified_like_one() {
    for (error, code) in [
        (json!({ "type": "overloaded_error", "message": "SECRET" }), Code::LlmProvider5xx),
        (json!({ "code": 429, "message": "SECRET" }), Code::LlmRateLimited),
        (json!({ "code": "insufficient_quota" }), Code::LlmQuotaExhausted),
        (json!("SECRET"), Code::LlmBadEnvelope),
    ] {
        let error = fail(ok(&json!({ "error": error, "choices": null }))).await;
        assert_eq!(error.code, code);
    }
}

// Adapting to what a model does not take.

fn param(name: &str) -> Reply {
    rejection(400, &json!({ "param": name, "code": "unsupported_value", "message": "SECRET" }))
}

#[tokio::test]
async fn a_rejected_schema_falls_back_to_json_mode_once_and_is_remembered() {
    let server = ScriptedServer::start([param("response_format"), answer("{}")]).await;
    let model = Model::new(config(&server)).unwrap();
    let mut prompt = with_schema();
    prompt.messages.insert(0, Message { role: "system".to_owned(), content: "Be brief.".to_owned() });
    for _ in 0..2 {
        assert!(model.complete(&prompt).await.unwrap().adapted.json_object);
    }
    let requests = bodies(&server);
    assert_eq!(requests.len(), 3, "the second call goes there directly");
    assert_eq!(requests[0]["response_format"]["type"], "json_schema");
    assert_eq!(requests[1], requests[2]);
    insta::assert_json_snapshot!(requests[1]);
}

#[tokio::test]
async fn a_schema_is_shown_in_a_system_message_of_its_own_where_there_is_none() {
    let (result, requests) = ask([param("response_format"), answer("{}")], &with_schema()).await;
    assert!(result.is_ok());
    assert_eq!(requests[1]["messages"][0]["role"], "system");
    assert!(requests[1]["messages"][0]["content"].as_str().unwrap().contains(SCHEMA));
    assert_eq!(requests[1]["messages"][1], json!({ "role": "user", "content": "SECRET-TRANSCRIPT" }));
}

#[tokio::test]
async fn a_server_that_takes_neither_is_asked_twice_and_not_remembered() {
    let server = ScriptedServer::start([param("response_format")]).await;
    let model = Model::new(config(&server)).unwrap();
    for calls in [2, 4] {
        let error = model.complete(&with_schema()).await.unwrap_err();
        assert_eq!((error.code, server.received().len()), (Code::LlmRequestRejected, calls));
    }
}

#[tokio::test]
async fn a_rejected_temperature_is_dropped_and_remembered() {
    let server = ScriptedServer::start([param("temperature"), answer("hi")]).await;
    let model = Model::new(config(&server)).unwrap();
    let warm = Prompt { temperature: Some(0.7), ..prompt() };
    for _ in 0..2 {
        assert!(model.complete(&warm).await.unwrap().adapted.temperature_dropped);
    }
    assert!(!model.complete(&prompt()).await.unwrap().adapted.temperature_dropped, "there was none to drop");
    let sent: Vec<_> = bodies(&server).iter().map(|body| body.get("temperature").is_some()).collect();
    assert_eq!(sent, [true, false, false, false]);
}

#[tokio::test]
async fn everything_that_can_be_rejected_can_be_rejected_in_one_call() {
    let renamed = rejection(400, &json!({ "param": "max_tokens", "code": "unsupported_parameter" }));
    let replies = [param("temperature"), renamed, param("response_format"), answer("{}")];
    let prompt = Prompt { temperature: Some(0.7), max_output_tokens: Some(5), ..with_schema() };
    let (result, requests) = ask(replies, &prompt).await;
    let all = Adapted { json_object: true, temperature_dropped: true, max_completion_tokens: true };
    assert_eq!((result.unwrap().adapted, requests.len()), (all, 4));
    assert_eq!((&requests[3]["max_completion_tokens"], requests[3].get("max_tokens")), (&json!(5), None));
}

#[tokio::test]
async fn a_fall_back_shares_the_one_total_deadline() {
    let server = ScriptedServer::start([param("response_format"), vec![Act::Hold]]).await;
    let config = LlmConfig { total: SHORT, ..config(&server) };
    let error = Model::new(config).unwrap().complete(&with_schema()).await.unwrap_err();
    assert_eq!((error.code, server.received().len()), (Code::LlmTimeout, 2));
}

#[tokio::test]
async fn a_schema_that_is_no_json_is_the_guests_fault_and_never_sent() {
    let (result, requests) =
        ask([answer("{}")], &Prompt { answer_schema: Some("{SECRET".to_owned()), ..prompt() }).await;
    let error = result.unwrap_err();
    assert_eq!((error.code, requests.len()), (Code::GuestBadOutput, 0));
    assert!(!error.chain().contains("SECRET"));
}

// The probe.

#[tokio::test]
async fn a_probe_tells_whether_the_model_is_listed() {
    for (reply, expected) in [
        (ok(&json!({ "data": [{ "id": "small" }, { "id": "big" }] })), Probe::Listed),
        (ok(&json!({ "data": [] })), Probe::NotListed),
        (ok(&json!({ "models": [] })), Probe::NoList),
        (response(404, &[], "no such page"), Probe::NoList),
    ] {
        let server = ScriptedServer::start([reply]).await;
        assert_eq!(Model::new(config(&server)).unwrap().probe().await.unwrap(), expected);
        assert!(server.received()[0].head.starts_with("get /v1/models "));
        assert!(server.received()[0].head.contains("authorization: bearer hush"));
    }
}

#[tokio::test]
async fn a_probe_with_a_wrong_key_says_so() {
    let server =
        ScriptedServer::start([rejection(401, &json!({ "code": "invalid_api_key", "message": "SECRET" }))]).await;
    let error = Model::new(config(&server)).unwrap().probe().await.unwrap_err();
    assert_eq!(error.to_string(), "list the models: 401 invalid_api_key");
    assert_eq!(error.code, Code::LlmAuthFailed);
}
