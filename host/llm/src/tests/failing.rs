//! Deadlines, broken connections and refusals.

use super::*;

async fn timed(reply: Reply, change: impl FnOnce(&mut LlmConfig)) -> JobError {
    let server = ScriptedServer::start([reply]).await;
    let mut config = config(&server);
    change(&mut config);
    Model::new(config).unwrap().complete(&question()).await.expect_err("the deadline passes").into()
}

#[tokio::test]
async fn each_deadline_has_its_own_message() {
    // A TLS handshake without an answer: the TCP connection exists, but is not ready.
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
    // A model may be silent before its first byte for longer than the idle deadline. Only the total deadline counts.
    let error = timed(vec![Act::Hold], |config| (config.idle, config.total) = (SHORT / 5, SHORT)).await;
    assert!(error.message.contains("(LLM_TIMEOUT_MS)"), "{}", error.message);
}

#[tokio::test]
async fn a_connection_that_breaks_at_any_point_is_a_network_error() {
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
async fn an_unreachable_server_is_a_network_error() {
    let mut config = config(&ScriptedServer::start([]).await);
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    config.base_url.set_port(Some(closed)).unwrap();
    let error = Model::new(config).unwrap().complete(&question()).await.unwrap_err();
    assert_eq!(error.code, Code::LlmNetworkError);
    assert_eq!(error.message, "call the model: the connection was refused");
}

#[tokio::test]
async fn a_refusal_shows_status_and_codes_and_nothing_else() {
    let error = json!({ "message": "SECRET", "type": "requests", "code": "rate_limit_exceeded", "param": "SECRET" });
    let headers = [("retry-after", "20"), ("x-request-id", "req_1"), ("x-debug", "SECRET")];
    let error = fail(response(429, &headers, &json!({ "error": error }).to_string())).await;
    assert_eq!((error.code, error.retry_after), (Code::LlmRateLimited, Some(Duration::from_secs(20))));
    assert_eq!(error.message, "call the model: 429 rate_limit_exceeded requests (request req_1)");
}

#[tokio::test]
async fn a_word_that_no_provider_is_known_for_is_not_shown() {
    let words = json!({ "code": "SECRET words of a document", "type": "x/SECRET" });
    let plain = json!({ "code": "SECRET", "type": "SECRET-2", "param": "SECRET", "status": "SECRET" });
    for error in [words, plain] {
        let headers = [("x-request-id", "SECRET"), ("content-type", "SECRET/SECRET"), ("retry-after", "SECRET")];
        let error = fail(response(400, &headers, &json!({ "error": error }).to_string())).await;
        assert_eq!((error.code, error.message.as_str()), (Code::LlmRequestRejected, "call the model: 400"));
    }
    let error = fail(response(200, &[("content-type", "SECRET/SECRET")], "SECRET")).await;
    assert_eq!(error.message, "read the answer: a body of 6 bytes is no completion");
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
