//! A replay that asks the model again: its cost is shown first, bounded, and spent once.

use std::{fs, os::unix::fs::PermissionsExt};

use assay_tests::{AssayProcess, Reply};
use serde_json::Value;

use super::{REPORT, SCHEMA, Stage, asks, asks_otherwise, lines};
use crate::fixtures::with;

/// Returns the arguments of a run that may spend so much.
fn within(budget: &str) -> [&str; 3] {
    ["--live", "--budget-tokens", budget]
}

#[tokio::test(flavor = "multi_thread")]
async fn the_model_is_asked_afresh_only_where_it_is_wanted_and_priced_first() {
    let stage = Stage::new().await;
    let files = stage.finished(&["accepting", "rejecting"]).await;
    let asked = stage.world.model.calls();
    let guest = asks_otherwise("curious");
    let (path, _) = stage.component(&guest);
    let refused = stage.replay("out", &["--guest", &path, "--live"]).await.unwrap_err();
    assert!(refused.contains("--budget-tokens"), "{refused}");
    let without = Stage { env: with(stage.env.clone(), &[("LLM_MODEL", "")]), ..stage };
    let refused = without.replay("out", &[&["--guest", &path][..], &within("1000")].concat()).await.unwrap_err();
    assert!(refused.contains("missing LLM_MODEL"), "{refused}");
    without.replay("out", &["--guest", &path]).await.expect("who asks nothing needs no model");
    assert_eq!(without.world.model.calls(), asked);

    let stage = Stage { env: with(without.env.clone(), &[("LLM_MODEL", "scripted")]), ..without };
    let out = stage.out("out").display().to_string();
    let arguments = [&["replay", "--guest", &path, "--out", &out, "--json"], &within("1000")[..]].concat();
    let mut process = AssayProcess::spawn(&arguments, &stage.env);
    assert!(process.wait().await.success(), "{:?}", process.stderr());
    let printed = process.stderr().join("\n");
    assert!(printed.contains("2 files ask other questions; asking the model afresh takes about "), "{printed}");
    assert!(printed.contains("the budget is 1000"), "{printed}");
    let summary: Value = serde_json::from_str(&process.stdout().join("\n")).expect("JSON");
    assert_eq!(summary["live"]["answers"], 2);
    assert_eq!(summary["live"]["tokens"], 320, "as the provider counted: {summary}");
    assert_eq!(summary["results"].get("diverged"), None, "{summary}");
    let results = lines(&stage.out("out"));
    assert_eq!((&results[&files[0]]["result"], &results[&files[0]]["live"]), (&"same".into(), &true.into()));
    assert_eq!((&results[&files[1]]["result"], &results[&files[1]]["live"]), (&"newly_accepted".into(), &true.into()));
    let request = stage.world.model.requests().pop().expect("a call");
    assert!(request.text().contains("Who was there?"), "{}", request.text());
    let mode = fs::metadata(stage.out("out").join("answers.jsonl")).expect("answers").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);

    let (summary, _) = stage.results("out", &guest, &within("1000")).await;
    assert_eq!((stage.world.model.calls(), &summary["live"]["answers"]), (asked + 2, &0.into()), "nothing twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn asking_ends_at_the_budget_and_goes_on_with_a_larger_one() {
    let stage = Stage::new().await;
    stage.finished(&["accepting", "accepting", "accepting"]).await;
    let asked = stage.world.model.calls();
    // A question is expected to take some 60 tokens, and takes 30.
    stage.world.model.always(Reply::answer("{}").usage(10, 20));
    let guest = asks_otherwise("curious");
    let (summary, _) = stage.results("out", &guest, &within("100")).await;
    assert_eq!(stage.world.model.calls(), asked + 2);
    assert_eq!((&summary["live"]["tokens"], &summary["live"]["budget_exhausted"]), (&60.into(), &true.into()));
    assert_eq!((&summary["results"]["same"]["live"], &summary["results"]["diverged"]["files"]), (&2.into(), &1.into()));
    let (summary, _) = stage.results("out", &guest, &within("100")).await;
    assert_eq!(stage.world.model.calls(), asked + 2, "what was spent before counts");
    assert_eq!(summary["live"]["tokens"], 60);
    let (summary, _) = stage.results("out", &guest, &within("1000")).await;
    assert_eq!(stage.world.model.calls(), asked + 3);
    assert_eq!((&summary["live"]["tokens"], &summary["live"]["budget_exhausted"]), (&90.into(), &false.into()));
    assert_eq!((&summary["files"], &summary["results"]["same"]["live"]), (&3.into(), &3.into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_was_received_is_not_bought_again() {
    let stage = Stage::new().await;
    let [file] = stage.finished(&["accepting"]).await[..] else { panic!("one file") };
    let asked = stage.world.model.calls();
    let guest = asks("thorough", "Who was there?", |guest| {
        let question = guest.data.text("And who was not?");
        let prompt = guest.data.prompt(question, Some(SCHEMA));
        let ask = guest.data.ask(&[prompt]);
        let report = guest.data.text(REPORT);
        let accept = guest.data.accept(report);
        format!("(select (i32.const {ask}) (i32.const {accept}) (i32.eq (local.get $answers_len) (i32.const 1)))")
    });
    let (path, _) = stage.component(&guest);
    stage.world.model.push(Reply::answer("{}"));
    stage.world.model.push(Reply::error(401, "invalid_request_error", "invalid_api_key"));
    let arguments = [&["--guest", &path][..], &within("10000")].concat();
    let printed = stage.replay("out", &arguments).await.unwrap_err();
    assert!(
        printed.contains("ask the model") && printed.contains("the same command continues after them"),
        "{printed}"
    );
    assert_eq!(stage.world.model.calls(), asked + 2);
    let (summary, lines) = stage.results("out", &guest, &within("10000")).await;
    assert_eq!(stage.world.model.calls(), asked + 3, "the first question has its answer");
    assert!(stage.world.model.requests().pop().expect("a call").text().contains("And who was not?"));
    assert_eq!((&lines[&file]["result"], &summary["live"]["tokens"]), (&"same".into(), &320.into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_no_guest_may_see_is_a_fault_and_stays_one() {
    let stage = Stage::new().await;
    let [file] = stage.finished(&["accepting"]).await[..] else { panic!("one file") };
    stage.world.model.always(Reply::answer("{").finish_reason("length"));
    let guest = asks_otherwise("curious");
    let (_, lines) = stage.results("out", &guest, &within("10000")).await;
    assert_eq!((&lines[&file]["result"], &lines[&file]["code"]), (&"fault".into(), &"llm_output_truncated".into()));
    assert_eq!(lines[&file]["live"], true);
    let asked = stage.world.model.calls();
    stage.results("out", &guest, &within("10000")).await;
    assert_eq!(stage.world.model.calls(), asked);
}
