//! The stand-in model over HTTP.

use std::time::{Duration, Instant};

use assay_dev::{MODEL, StandIn, StandInOptions};
use reqwest::{Client, Response};
use serde_json::{Value, json};

const TRANSCRIPT: &str = "Mara: We decided to move the pharmacy stock count to Thursday.\n\
    Jonas: I will print the shelf labels by Friday.\n\
    Mara: Who tells the night shift about the fridge alarm?\n\
    Jonas: The fridge alarm is a risk, it failed twice last week.\n";

/// Returns a schema that no guest has.
fn inventory() -> Value {
    json!({
        "type": "object",
        "additionalProperties": false,
        "required": ["headline", "shelves", "sealed", "temperature", "contact"],
        "properties": {
            "headline": { "type": "string", "minLength": 10, "maxLength": 60 },
            "sealed": { "type": "boolean" },
            "temperature": { "type": "number", "exclusiveMinimum": 2, "maximum": 8 },
            "contact": { "anyOf": [{ "type": "string", "format": "email" }, { "type": "null" }] },
            "shelves": {
                "type": "array", "minItems": 2, "maxItems": 4,
                "items": { "$ref": "#/$defs/shelf" }
            }
        },
        "$defs": {
            "shelf": {
                "type": "object",
                "additionalProperties": false,
                "required": ["code", "task", "assignee", "due"],
                "properties": {
                    "code": { "type": "string", "pattern": "^[A-Z]{2}-[0-9]{3}$" },
                    "task": { "type": "string", "maxLength": 200 },
                    "assignee": { "type": ["string", "null"] },
                    "due": { "type": ["string", "null"], "format": "date" }
                }
            }
        }
    })
}

fn question(transcript: &str, schema: Option<Value>) -> Value {
    let mut question = json!({
        "model": "any",
        "messages": [
            { "role": "system", "content": "Answer in JSON. Received 2026-03-03T08:00:00Z." },
            { "role": "user", "content": format!("Summarize what follows.\n\n{transcript}") },
        ],
    });
    if let Some(schema) = schema {
        question["response_format"] =
            json!({ "type": "json_schema", "json_schema": { "name": "inventory", "strict": true, "schema": schema } });
    }
    question
}

async fn ask(model: &StandIn, question: &Value) -> Response {
    Client::new().post(format!("{}/chat/completions", model.base_url())).json(question).send().await.unwrap()
}

async fn completion(model: &StandIn, question: &Value) -> Value {
    let response = ask(model, question).await;
    assert_eq!(response.status(), 200);
    response.json().await.unwrap()
}

fn content(completion: &Value) -> &str {
    completion["choices"][0]["message"]["content"].as_str().unwrap()
}

fn is_valid(schema: &Value, document: &str) -> bool {
    let validator = jsonschema::options().should_validate_formats(true).build(schema).unwrap();
    serde_json::from_str::<Value>(document).is_ok_and(|document| validator.is_valid(&document))
}

async fn start() -> StandIn {
    StandIn::start(StandInOptions::default()).await.unwrap()
}

#[tokio::test]
async fn an_unknown_schema_is_answered_from_the_transcript() {
    let model = start().await;
    let completion = completion(&model, &question(TRANSCRIPT, Some(inventory()))).await;
    assert!(is_valid(&inventory(), content(&completion)), "{completion:#}");
    let answer: Value = serde_json::from_str(content(&completion)).unwrap();
    let first = &answer["shelves"][0];
    assert!(TRANSCRIPT.contains(first["task"].as_str().unwrap()), "{answer:#}");
    assert_eq!(first["assignee"], "Jonas");
    assert_eq!(first["due"], "2026-03-06", "the Friday after the day in the question: {answer:#}");
    assert_eq!(model.calls(), 1);
}

#[tokio::test]
async fn a_completion_has_openais_shape_and_names_the_stand_in() {
    let model = start().await;
    let completion = completion(&model, &question(TRANSCRIPT, None)).await;
    assert_eq!(completion["object"], "chat.completion");
    assert_eq!(completion["model"], MODEL);
    assert_eq!(completion["system_fingerprint"], MODEL);
    assert_eq!(completion["choices"][0]["finish_reason"], "stop");
    assert_eq!(completion["choices"][0]["message"]["role"], "assistant");
    let usage = |name: &str| completion["usage"][name].as_u64().unwrap();
    assert!(usage("prompt_tokens") > 50 && usage("completion_tokens") > 5);
    assert_eq!(usage("total_tokens"), usage("prompt_tokens") + usage("completion_tokens"));
    let models: Value = reqwest::get(format!("{}/models", model.base_url())).await.unwrap().json().await.unwrap();
    assert_eq!(models["data"][0]["id"], MODEL);
}

#[tokio::test]
async fn the_same_question_gets_the_same_answer() {
    let (one, two) = (start().await, start().await);
    let asked = question(TRANSCRIPT, Some(inventory()));
    assert_eq!(content(&completion(&one, &asked).await), content(&completion(&two, &asked).await));
}

#[tokio::test]
async fn a_schema_in_the_words_of_the_question_is_followed() {
    let model = start().await;
    let mut asked = question(TRANSCRIPT, None);
    asked["response_format"] = json!({ "type": "json_object" });
    asked["messages"][0]["content"] = json!(format!("Answer with JSON for this schema: {}", inventory()));
    assert!(is_valid(&inventory(), content(&completion(&model, &asked).await)));
    asked["messages"][0]["content"] = json!("Answer with any JSON.");
    let answer = completion(&model, &asked).await;
    assert!(serde_json::from_str::<Value>(content(&answer)).unwrap().is_object());
}

#[tokio::test]
async fn directives_in_a_transcript_make_the_stand_in_misbehave() {
    let model = start().await;
    let with = |directive: &str| question(&format!("{TRANSCRIPT}[stand-in: {directive}]\n"), Some(inventory()));

    let broken = completion(&model, &with("break the schema")).await;
    assert!(serde_json::from_str::<Value>(content(&broken)).is_ok());
    assert!(!is_valid(&inventory(), content(&broken)));

    let prose = completion(&model, &with("answer without json")).await;
    assert!(serde_json::from_str::<Value>(content(&prose)).is_err());

    let cut = completion(&model, &with("cut the answer short")).await;
    assert_eq!(cut["choices"][0]["finish_reason"], "length");
    assert!(serde_json::from_str::<Value>(content(&cut)).is_err());

    let refused = completion(&model, &with("refuse")).await;
    assert!(
        refused["choices"][0]["message"]["refusal"].is_string()
            && refused["choices"][0]["message"]["content"].is_null()
    );

    let filtered = completion(&model, &with("filter")).await;
    assert_eq!(filtered["choices"][0]["finish_reason"], "content_filter");

    let fenced = completion(&model, &with("fence the answer")).await;
    let inside = content(&fenced).strip_prefix("```json\n").and_then(|text| text.strip_suffix("\n```")).unwrap();
    assert!(is_valid(&inventory(), inside));

    let limited = ask(&model, &with("rate-limit once")).await;
    assert_eq!((limited.status().as_u16(), &limited.headers()["retry-after"]), (429, &"1".parse().unwrap()));
    completion(&model, &with("rate-limit once")).await;
}

#[tokio::test]
async fn an_answer_above_the_limit_is_cut_and_says_so() {
    let model = start().await;
    let mut asked = question(TRANSCRIPT, Some(inventory()));
    asked["max_completion_tokens"] = json!(10);
    let cut = completion(&model, &asked).await;
    assert_eq!(cut["choices"][0]["finish_reason"], "length");
    assert_eq!(cut["usage"]["completion_tokens"], 10);
}

#[tokio::test]
async fn errors_have_openais_shape() {
    let model =
        StandIn::start(StandInOptions { key: Some("sesame".to_owned()), ..StandInOptions::default() }).await.unwrap();
    let send = |key: &str, body: Value| {
        let request = Client::new().post(format!("{}/chat/completions", model.base_url())).bearer_auth(key).json(&body);
        async move {
            let response = request.send().await.unwrap();
            (response.status().as_u16(), response.json::<Value>().await.unwrap())
        }
    };
    let good = question(TRANSCRIPT, None);
    assert_eq!(send("sesame", good.clone()).await.0, 200);
    let (status, error) = send("open", good.clone()).await;
    assert_eq!((status, &error["error"]["code"]), (401, &json!("invalid_api_key")));
    let (status, error) = send("sesame", json!({ "messages": [] })).await;
    assert_eq!((status, &error["error"]["type"]), (400, &json!("invalid_request_error")));
    let (status, error) = send("sesame", question(TRANSCRIPT, Some(json!({ "type": "no such type" })))).await;
    assert_eq!((status, &error["error"]["param"]), (400, &json!("response_format")));
    assert_eq!(model.calls(), 3, "a request without the key is no call");
}

#[tokio::test]
async fn a_thousand_slow_answers_take_as_long_as_one() {
    const LATENCY: Duration = Duration::from_secs(2);
    let model = StandIn::start(StandInOptions { latency: LATENCY, ..StandInOptions::default() }).await.unwrap();
    let client = Client::new();
    let asked = question(TRANSCRIPT, None);
    let begun = Instant::now();
    let asking = (0..1000).map(|_| client.post(format!("{}/chat/completions", model.base_url())).json(&asked).send());
    for answer in futures::future::join_all(asking).await {
        assert_eq!(answer.unwrap().status(), 200);
    }
    assert!(begun.elapsed() >= LATENCY);
    assert!(begun.elapsed() < LATENCY * 20, "they were answered one after the other");
    assert_eq!(model.calls(), 1000);
}
