//! Requests, the shapes and sizes of answers, and the probe.

use std::io::Write;

use flate2::{Compression, write::GzEncoder};

use super::*;

#[tokio::test]
async fn a_question_is_asked_once_with_the_key_and_answered() {
    let server = ScriptedServer::start([answer("hello")]).await;
    let model = Model::new(config(&server)).unwrap();
    let question = ChatRequest { temperature: Some(0.2), max_output_tokens: Some(9), ..with_schema() };
    let completion = model.complete(&question).await.unwrap();
    assert_eq!((completion.text.as_str(), completion.model.as_str()), ("hello", "big-2026"));
    assert_eq!(completion.usage, Some(Usage { input_tokens: 7, output_tokens: 3, ..Usage::default() }));
    assert_eq!(completion.adapted, Adapted::default());
    assert!(completion.usable().is_ok());

    let received = server.received();
    assert!(received[0].head.starts_with("post /v1/chat/completions http/1.1"), "{}", received[0].head);
    assert!(received[0].head.contains("authorization: bearer hush"));
    // Some servers of models do not read a chunked request.
    assert!(received[0].head.contains("\r\ncontent-length: "), "{}", received[0].head);
    insta::assert_json_snapshot!(bodies(&server));
}

#[tokio::test]
async fn connections_are_reused() {
    let server = ScriptedServer::start([answer("hello")]).await;
    let model = Model::new(config(&server)).unwrap();
    for _ in 0..3 {
        model.complete(&question()).await.unwrap();
    }
    assert_eq!((server.received().len(), server.connections()), (3, 1));
}

#[tokio::test]
async fn an_alias_selects_a_model_and_an_unknown_alias_holds_the_job() {
    let named = |alias: &'static str| ChatRequest { model: Some(alias), ..question() };
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
    Model::new(config).unwrap().complete(&question()).await.unwrap();
    assert!(server.received()[0].head.starts_with("post /open/v1/chat/completions?api-version=1 "));
}

#[tokio::test]
async fn truncated_and_refused_answers_are_received_and_not_usable() {
    for (choice, code) in [
        (json!({ "message": { "content": "{\"a\":" }, "finish_reason": "length" }), Code::LlmOutputTruncated),
        (json!({ "message": { "content": null }, "finish_reason": "length" }), Code::LlmOutputTruncated),
        (json!({ "message": { "content": "" }, "finish_reason": "content_filter" }), Code::LlmContentFiltered),
        (json!({ "message": { "content": null, "refusal": "no" }, "finish_reason": "stop" }), Code::LlmRefused),
        (json!({ "message": { "content": [{ "type": "refusal", "refusal": "no" }] } }), Code::LlmRefused),
    ] {
        let (result, _) = ask([completion(&choice)], &question()).await;
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
        json!({ "code": 0, "data": { "choices": [{ "message": { "content": "hi" } }] } }),
    ] {
        let (result, _) = ask([ok(&body)], &question()).await;
        let completion = result.unwrap_or_else(|error| panic!("{body}: {error}"));
        assert_eq!((completion.text.as_str(), completion.model.as_str()), ("hi", "big"), "{body}");
        assert!(completion.usable().is_ok() && completion.usage.is_none());
    }
}

#[tokio::test]
async fn a_field_that_is_not_needed_cannot_make_an_answer_unreadable() {
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let answered = |odd: &str| format!(r#"{{"choices":[{{"message":{{"content":"hi"}}}}],"usage":{odd}}}"#);
    for body in [
        answered(&deep),
        answered(r#""half a pair: \ud800""#),
        answered(r#"{"prompt_tokens":1e999}"#),
        format!("\u{feff}{}", answered("null")),
        format!(
            r#"{{"choices":[{{"message":{{"content":"hi","refusal":{deep}}},"finish_reason":{deep}}}],"model":{deep}}}"#
        ),
    ] {
        let server = ScriptedServer::start([response(200, &[], &body)]).await;
        let config = LlmConfig { answer_max_bytes: 1 << 20, ..config(&server) };
        let completion = Model::new(config).unwrap().complete(&question()).await;
        let completion = completion.unwrap_or_else(|error| panic!("{}: {error}", &body[..80]));
        assert_eq!((completion.text.as_str(), completion.usage), ("hi", None));
    }
}

#[tokio::test]
async fn a_finish_reason_that_is_not_a_word_is_not_kept() {
    for word in ["SECRET words of a document", "SECRET"] {
        let choice = json!({ "message": { "content": "hi" }, "finish_reason": word });
        let (result, _) = ask([completion(&choice)], &question()).await;
        assert_eq!(result.unwrap().finish_reason, "other");
    }
}

#[tokio::test]
async fn a_model_under_another_name_is_shown_by_its_configured_name() {
    for (named, shown) in [("big-2026", "big-2026"), ("SECRET", "big"), ("big-SECRET", "big")] {
        let body = json!({ "choices": [{ "message": { "content": "hi" } }], "model": named });
        let (result, _) = ask([ok(&body)], &question()).await;
        let completion = result.unwrap();
        assert_eq!(
            (completion.model.as_str(), completion.shown_model()),
            (named, shown),
            "a guest sees the name as it came"
        );
        assert!(!format!("{completion:?}").contains("SECRET"));
    }
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
    assert!(error.message.contains("of type text/html"), "{}", error.message);
}

#[tokio::test]
async fn a_generation_that_failed_at_the_provider_is_retried() {
    let broken = completion(&json!({ "message": { "content": "half an ans" }, "finish_reason": "error" }));
    assert_eq!(fail(broken).await.code, Code::LlmProvider5xx);
    let upstream = json!({ "message": { "content": "" }, "error": { "code": 502, "message": "SECRET" } });
    assert_eq!(fail(completion(&upstream)).await.code, Code::LlmProvider5xx);
}

#[tokio::test]
async fn an_answer_over_the_limit_is_refused_in_every_form() {
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
    let (result, _) = ask([response(200, &[], &body)], &question()).await;
    assert_eq!(result.unwrap().text.len(), 1000);
}

#[tokio::test]
async fn a_probe_shows_whether_the_model_is_listed() {
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

fn event_stream(events: &[Value], end: &str) -> Reply {
    let events: String = events.iter().map(|event| format!("data: {event}\n\n")).collect();
    response(200, &[("content-type", "text/event-stream")], &format!(": a comment\n\n{events}{end}"))
}

#[tokio::test]
async fn a_stream_that_was_not_asked_for_is_read_and_a_half_one_is_no_answer() {
    let delta = |text: &str| json!({ "choices": [{ "delta": { "content": text }, "finish_reason": null }] });
    let last = json!({ "choices": [{ "delta": {}, "finish_reason": "stop" }] });
    let counted = json!({ "choices": [], "usage": { "prompt_tokens": 7, "completion_tokens": 3 } });
    let whole = event_stream(&[delta("h"), delta("i"), last, counted], "data: [DONE]\n\n");
    let (result, _) = ask([whole], &question()).await;
    let completion = result.unwrap();
    assert_eq!((completion.text.as_str(), completion.finish_reason.as_str()), ("hi", "stop"));
    assert_eq!(completion.usage.map(|usage| usage.input_tokens), Some(7));

    let error = fail(event_stream(&[delta("h")], "")).await;
    assert_eq!(error.code, Code::LlmNetworkError);
    assert!(error.message.contains("the stream ended before its end mark"), "{}", error.message);
    let error = fail(event_stream(&[delta("h"), json!({ "error": { "type": "overloaded_error" } })], "")).await;
    assert_eq!(error.code, Code::LlmProvider5xx);
    let error = fail(event_stream(&vec![delta(&"x".repeat(100)); 11], "data: [DONE]\n\n")).await;
    assert_eq!(error.code, Code::LlmAnswerTooLarge);
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[tokio::test]
async fn a_compressed_answer_is_read_and_bounded_after_it_was_expanded() {
    let compressed = |text: &str| {
        let body = json!({ "choices": [{ "message": { "content": text } }] }).to_string();
        let bytes = gzip(body.as_bytes());
        let head = format!("HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: {}\r\n\r\n", bytes.len());
        vec![Act::Send([head.into_bytes(), bytes].concat())]
    };
    let (result, _) = ask([compressed("hi")], &question()).await;
    assert_eq!(result.unwrap().text, "hi");
    assert_eq!(fail(compressed(&"x".repeat(10 << 20))).await.code, Code::LlmAnswerTooLarge);
}

#[tokio::test]
async fn a_success_without_an_answer_is_kept_with_what_it_cost() {
    for (body, usage) in [
        (json!({ "choices": [], "usage": { "prompt_tokens": 100, "completion_tokens": 0 } }), Some((100, 0))),
        (
            json!({ "choices": [{ "message": { "content": null, "reasoning_content": "hm" } }],
                "usage": { "prompt_tokens": 100, "completion_tokens": 20 } }),
            Some((100, 20)),
        ),
        (json!({ "choices": [] }), None),
    ] {
        let server = ScriptedServer::start([ok(&body)]).await;
        let error = Model::new(config(&server)).unwrap().complete(&with_schema()).await.unwrap_err();
        assert_eq!(error.code, Code::LlmBadEnvelope);
        let kept = error.unreadable.expect("the body");
        assert_eq!(kept.body, body.to_string());
        assert_eq!(kept.usage.map(|usage| (usage.input_tokens, usage.output_tokens)), usage);
        assert!(error.message.contains(&kept.name().unwrap()), "{}", error.message);
    }
}

#[tokio::test]
async fn a_prompt_that_the_server_cut_is_noted_and_one_that_it_lost_is_no_answer() {
    let long = "word ".repeat(60_000);
    let counted = |tokens: u64| {
        ok(&json!({ "choices": [{ "message": { "content": "hi" } }], "usage": { "prompt_tokens": tokens } }))
    };
    let question = ChatRequest { messages: vec![ChatMessage { role: "user", content: &long }], ..question() };
    for (tokens, is_noted) in [(2050, true), (60_000, false), (1, false)] {
        let (result, _) = ask([counted(tokens)], &question).await;
        assert_eq!(result.unwrap().input_truncated, is_noted, "{tokens}");
    }
    let (result, _) = ask([counted(300)], &question).await;
    assert_eq!(result.unwrap_err().code, Code::LlmContextTooLong);
}
