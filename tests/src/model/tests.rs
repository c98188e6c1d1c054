//! Each reply as an HTTP client sees it.

use reqwest::Client;

use super::*;

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
async fn a_call_that_nobody_scripted_fails_for_good() {
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
