//! Adapts requests to what a model rejects.

use super::*;

fn param(name: &str) -> Reply {
    rejection(400, &json!({ "param": name, "code": "unsupported_value", "message": "SECRET" }))
}

#[tokio::test]
async fn a_rejected_schema_falls_back_to_json_mode_once_and_is_remembered() {
    let server = ScriptedServer::start([param("response_format"), answer("{}")]).await;
    let model = Model::new(config(&server)).unwrap();
    let mut question = with_schema();
    question.messages.insert(0, ChatMessage { role: "system", content: "Be brief." });
    for _ in 0..2 {
        assert!(model.complete(&question).await.unwrap().adapted.schema > SchemaForm::AsGiven);
    }
    let requests = bodies(&server);
    assert_eq!(requests.len(), 3, "the second call goes there directly");
    assert_eq!(requests[0]["response_format"]["type"], "json_schema");
    assert_eq!(requests[1], requests[2]);
    insta::assert_json_snapshot!(requests[1]);
}

#[tokio::test]
async fn a_schema_goes_down_one_form_at_a_time() {
    let loose = r#"{"type":"object","properties":{"a":{"type":"string","format":"date"}}}"#;
    let question = ChatRequest { answer_schema: Some(loose), ..question() };
    let server = ScriptedServer::start([param("response_format"), param("response_format"), answer("{}")]).await;
    let model = Model::new(config(&server)).unwrap();
    assert_eq!(model.complete(&question).await.unwrap().adapted.schema, SchemaForm::JsonObject);
    let formats: Vec<_> = bodies(&server).into_iter().map(|mut body| body["response_format"].take()).collect();
    assert_eq!(formats[0]["json_schema"]["schema"], serde_json::from_str::<Value>(loose).unwrap(), "as it was given");
    assert_eq!(formats[1]["json_schema"]["schema"]["required"], json!(["a"]), "in the strict subset");
    assert_eq!(formats[2], json!({ "type": "json_object" }));
    assert_eq!(model.complete(&with_schema()).await.unwrap().adapted.schema, SchemaForm::AsGiven, "another schema");
}

#[tokio::test]
async fn a_schema_gets_its_own_system_message_if_there_is_none() {
    let (result, requests) = ask([param("response_format"), answer("{}")], &with_schema()).await;
    assert!(result.is_ok());
    assert_eq!(requests[1]["messages"][0]["role"], "system");
    assert!(requests[1]["messages"][0]["content"].as_str().unwrap().contains(SCHEMA));
    assert_eq!(requests[1]["messages"][1], json!({ "role": "user", "content": "SECRET-TRANSCRIPT" }));
}

#[tokio::test]
async fn a_server_that_rejects_every_form_is_asked_once_for_each_and_not_remembered() {
    let server = ScriptedServer::start([param("response_format")]).await;
    let model = Model::new(config(&server)).unwrap();
    for calls in [3, 6] {
        let error = model.complete(&with_schema()).await.unwrap_err();
        assert_eq!((error.code, server.received().len()), (Code::LlmRequestRejected, calls));
    }
}

#[tokio::test]
async fn a_rejected_temperature_is_dropped_and_remembered() {
    let server = ScriptedServer::start([param("temperature"), answer("hi")]).await;
    let model = Model::new(config(&server)).unwrap();
    let warm = ChatRequest { temperature: Some(0.7), ..question() };
    for _ in 0..2 {
        assert!(model.complete(&warm).await.unwrap().adapted.temperature_dropped);
    }
    assert!(!model.complete(&question()).await.unwrap().adapted.temperature_dropped, "there was none to drop");
    let sent: Vec<_> = bodies(&server).iter().map(|body| body.get("temperature").is_some()).collect();
    assert_eq!(sent, [true, false, false, false]);
}

#[tokio::test]
async fn every_part_can_be_rejected_in_one_call() {
    let renamed = rejection(400, &json!({ "param": "max_tokens", "code": "unsupported_parameter" }));
    let replies = [param("temperature"), renamed, param("response_format"), answer("{}")];
    let question = ChatRequest { temperature: Some(0.7), max_output_tokens: Some(5), ..with_schema() };
    let (result, requests) = ask(replies, &question).await;
    let all = Adapted { schema: SchemaForm::JsonObject, temperature_dropped: true, max_completion_tokens: true };
    assert_eq!((result.unwrap().adapted, requests.len()), (all, 4));
    assert_eq!((&requests[3]["max_completion_tokens"], requests[3].get("max_tokens")), (&json!(5), None));
}

#[tokio::test]
async fn a_fall_back_shares_the_one_total_deadline() {
    let server = ScriptedServer::start([param("response_format"), vec![Act::Hold]]).await;
    let config = LlmConfig { total: Duration::from_secs(1), ..config(&server) };
    let error = Model::new(config).unwrap().complete(&with_schema()).await.unwrap_err();
    assert_eq!((error.code, server.received().len()), (Code::LlmTimeout, 2));
}

#[tokio::test]
async fn a_schema_that_is_not_json_is_the_guests_fault_and_not_sent() {
    let (result, requests) = ask([answer("{}")], &ChatRequest { answer_schema: Some("{SECRET"), ..question() }).await;
    let error = result.unwrap_err();
    assert_eq!((error.code, requests.len()), (Code::GuestBadOutput, 0));
    assert!(!error.chain().contains("SECRET"));
}
