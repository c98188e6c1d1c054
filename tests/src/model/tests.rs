//! Each reply as an HTTP client sees it.

use std::time::Duration;

use reqwest::Client;

use super::*;
use crate::Gate;

async fn ask(model: &ScriptedModel) -> reqwest::Result<(u16, String)> {
    let question = json!({ "messages": [{ "role": "user", "content": "What was decided?" }] });
    let response = Client::new().post(format!("{}/chat/completions", model.base_url())).json(&question).send().await?;
    let status = response.status().as_u16();
    Ok((status, response.text().await?))
}

#[tokio::test]
async fn replies_come_in_order_and_then_by_the_rule() {
    let model = ScriptedModel::start().await;
    model.push(Reply::answer("first").finish_reason("length").usage(7, 5));
    model.push(Reply::rate_limited("2"));
    model.respond(|call| Reply::answer(format!("call {}", call.number)));
    let first: Value = serde_json::from_str(&ask(&model).await.unwrap().1).unwrap();
    assert_eq!(first["choices"][0]["message"]["content"], "first");
    assert_eq!(first["choices"][0]["finish_reason"], "length");
    assert_eq!(first["usage"]["total_tokens"], 12);
    assert_eq!(ask(&model).await.unwrap().0, 429);
    assert!(ask(&model).await.unwrap().1.contains("call 3"));
    model.wait_for_calls(3).await;
    assert_eq!(model.calls(), 3);
    assert_eq!(model.requests()[0].text(), "What was decided?");
}

#[tokio::test]
async fn an_unscripted_call_fails_for_good() {
    let model = ScriptedModel::start().await;
    assert_eq!(ask(&model).await.unwrap().0, 501);
}

#[tokio::test]
async fn broken_answers_break() {
    let model = ScriptedModel::start().await;
    model.push(Reply::reset());
    model.push(Reply::answer("0123456789").cut_after(20));
    model.push(Reply::html());
    model.push(Reply::huge(1 << 20));
    model.push(Reply::answer("drop by drop").dripping(64, Duration::from_millis(1)));
    assert!(ask(&model).await.unwrap_err().is_request(), "no answer at all");
    assert!(!ask(&model).await.unwrap_err().is_request(), "an answer that breaks off");
    assert!(ask(&model).await.unwrap().1.starts_with("<!doctype html>"));
    assert!(ask(&model).await.unwrap().1.len() > 1 << 20);
    assert!(ask(&model).await.unwrap().1.contains("drop by drop"));
}

#[tokio::test]
async fn a_held_answer_waits_for_its_gate() {
    let model = ScriptedModel::start().await;
    let (whole, body) = (Gate::new(), Gate::new());
    model.push(Reply::answer("late").held(&whole).stalled_after(10, &body));
    let asking = async { ask(&model).await.unwrap().1 };
    let releasing = async {
        whole.reached().await;
        whole.release();
        body.reached().await;
        body.release();
    };
    let (answer, ()) = within("the answer", futures::future::join(asking, releasing)).await;
    assert!(answer.contains("late"));
}

#[tokio::test]
async fn a_call_that_is_turned_away_is_not_counted() {
    let model = ScriptedModel::start().await;
    model.always(Reply::answer("served"));
    model.turn_away(|| true);
    assert!(ask(&model).await.unwrap_err().is_request(), "no answer at all");
    assert_eq!((model.calls(), model.turned_away()), (0, 1));
    model.turn_away(|| false);
    assert!(ask(&model).await.unwrap().1.contains("served"));
    assert_eq!((model.calls(), model.turned_away()), (1, 1));
}

#[tokio::test]
async fn a_caller_is_known_by_its_address() {
    let model = ScriptedModel::start().await;
    model.always(Reply::answer("served"));
    let url = model.base_url().replace("/v1", "/w2/v1/chat/completions");
    let response = Client::new().post(url).json(&json!({ "messages": [] })).send().await.unwrap();
    assert_eq!(response.status().as_u16(), 200);
    assert_eq!(ask(&model).await.unwrap().0, 200);
    let prefixes: Vec<_> = model.requests().into_iter().map(|call| call.prefix).collect();
    assert_eq!(prefixes, ["/w2", ""]);
}

#[tokio::test]
async fn an_odd_answer_has_a_sound_envelope_and_the_reverse() {
    let model = ScriptedModel::start().await;
    let document = json!({ "risk_level": "low" });
    let oddities = [
        Oddity::Nested(1_000_000),
        Oddity::NotANumber,
        Oddity::NameTwice,
        Oddity::LoneSurrogate,
        Oddity::ByteOrderMark,
    ];
    for oddity in oddities {
        model.push(Reply::json(&document).odd_text(oddity));
        model.push(Reply::json(&document).odd_envelope(oddity));
        let envelope: Value = serde_json::from_str(&ask(&model).await.unwrap().1).unwrap();
        let text = envelope["choices"][0]["message"]["content"].as_str().unwrap();
        let twice = oddity == Oddity::NameTwice;
        assert_eq!(serde_json::from_str::<Value>(text).is_ok(), twice, "no JSON, or JSON with a name twice");
        let body = ask(&model).await.unwrap().1;
        assert_eq!(serde_json::from_str::<Value>(&body).is_ok(), twice);
        assert!(body.contains(r#"{\"risk_level\":\"low\"}"#), "the answer is in it");
    }
}

#[tokio::test]
async fn an_overloaded_model_says_529_and_a_length_may_be_missing() {
    let model = ScriptedModel::start().await;
    model.push(Reply::overloaded());
    model.push(Reply::huge(1 << 20).unannounced());
    assert_eq!(ask(&model).await.unwrap().0, 529);
    let question = json!({ "messages": [] });
    let response = Client::new().post(format!("{}/chat/completions", model.base_url())).json(&question).send().await;
    let response = response.unwrap();
    assert_eq!(response.content_length(), None);
    assert!(response.text().await.unwrap().len() > 1 << 20);
}

#[tokio::test]
async fn spoiling_comes_over_whatever_is_scripted_until_it_is_spared() {
    let model = ScriptedModel::start().await;
    model.push(Reply::answer("queued"));
    model.always(Reply::answer("as ever"));
    model.spoil(|call, reply| if call.number == 1 { reply.finish_reason("length") } else { Reply::overloaded() });
    assert!(ask(&model).await.unwrap().1.contains(r#""finish_reason":"length""#));
    assert_eq!(ask(&model).await.unwrap().0, 529);
    model.turn_away(|| true);
    model.spare();
    assert!(ask(&model).await.unwrap().1.contains("as ever"));
}

#[tokio::test]
async fn an_answer_in_place_of_another_waits_at_its_gate() {
    let model = ScriptedModel::start().await;
    let gate = Gate::new();
    model.push(Reply::overloaded().instead_of(Reply::answer("late").held(&gate)));
    let releasing = async {
        gate.reached().await;
        gate.release();
    };
    let (answer, ()) = within("the answer", futures::future::join(ask(&model), releasing)).await;
    assert_eq!(answer.unwrap().0, 529);
}
