//! Candidates in the shadow: tried on the answers of real jobs, without any effect on them.

use assay_runtime::testing::{WatGuest, hostile};
use assay_tests::{Reply, World};
use rustix::process::Signal;
use serde_json::Value;

use crate::{
    fixtures::{Env, TRANSCRIPT, object, with, worker},
    releases::{done, publish, release, world},
};

/// Reports of these guests: the words that pointers may show.
const SCHEMA: &str = r#"{"type":"object","properties":{"title":{},"steps":{"items":{"properties":{"owner":{}}}}}}"#;

fn guest(version: &str, document: &str) -> WatGuest {
    WatGuest::new(version).schema(SCHEMA).document(document)
}

/// Returns a guest that asks the same and then ends so.
fn asks_the_same(mut guest: WatGuest, end: impl FnOnce(&mut WatGuest) -> u32) -> WatGuest {
    let question = guest.data.text("What is it about?");
    let prompt = guest.data.prompt(question, Some(SCHEMA));
    let ask = guest.data.ask(&[prompt]);
    let end = end(&mut guest);
    guest.advance(format!("(select (i32.const {end}) (i32.const {ask}) (local.get $answers_len))"))
}

/// Returns a guest that rejects.
fn picky(version: &str) -> WatGuest {
    let guest = WatGuest::new(version).schema(SCHEMA);
    asks_the_same(guest, |guest| guest.data.reject("owner-unknown", "/steps/0/owner", "Alice is nobody"))
}

/// Returns a guest whose own schema takes no title.
fn stricter(version: &str, document: &str) -> WatGuest {
    let guest = WatGuest::new(version).schema(r#"{"type":"object","properties":{"title":false}}"#);
    asks_the_same(guest, |guest| {
        let document = guest.data.text(document);
        guest.data.accept(document)
    })
}

/// Returns what the shadow came to, as `show` says it.
async fn tally(env: &Env, candidate: &str) -> Vec<Value> {
    let shown: Value = serde_json::from_str(&done(env, &["show", candidate, "--json"]).await).expect("JSON");
    shown["shadow"].as_array().cloned().unwrap_or_default()
}

/// Runs jobs until the candidate has come to something on one of them.
async fn first_result(world: &World, env: &Env, candidate: &str, ends: &str) -> Value {
    done(env, &["shadow", candidate]).await;
    world
        .wait_until("a result", async || {
            let id = world.enqueue(TRANSCRIPT).await;
            world.wait_for_status(id, ends).await;
            !tally(env, candidate).await.is_empty()
        })
        .await;
    let tally = tally(env, candidate).await;
    assert_eq!(tally.len(), 1, "{tally:?}");
    tally[0].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shadow_is_compared_on_the_same_answers_only() {
    let (world, env) = world().await;
    let report = r#"{"title":"Plan","steps":[{"owner":"Ana"},{"owner":"Ben"}],"Cleo said":1}"#;
    let active = publish(&world, &env, "active", &guest("active", report)).await;
    let other_question = hostile::asks_with_the_answer().prompt_version("diverging");
    for (name, candidate) in [
        ("same", guest("same", r#"{"Cleo said": 1, "title": "Plan", "steps": [{"owner":"Ana"},{"owner":"Ben"}]}"#)),
        ("changed", guest("changed", r#"{"title":"Plan","steps":[{"owner":"Dan"},{"owner":"Eve"}],"Cleo said":2}"#)),
        ("picky", picky("picky")),
        ("diverging", other_question),
        ("trapping", guest("trapping", "{}").advance("(unreachable)")),
        ("invalid", guest("invalid", "[]")),
        ("stricter", stricter("stricter", report)),
    ] {
        publish(&world, &env, name, &candidate).await;
    }
    done(&env, &["activate", "active"]).await;
    let worker = worker(&with(env.clone(), &[("RELEASE_POLL_MS", "100")])).await;
    for (candidate, result, most) in [
        ("same", "same", None),
        ("changed", "changed", Some(["/*", "/steps/*/owner"].as_slice())),
        ("picky", "newly_rejected", None),
        ("diverging", "diverged", None),
        ("trapping", "fault", Some(&["guest_trap"])),
        ("invalid", "fault", Some(&["report_invalid"])),
        // The very document that the schema of the active release takes.
        ("stricter", "fault", Some(&["report_invalid"])),
    ] {
        let shown = first_result(&world, &env, candidate, "succeeded").await;
        assert_eq!(shown["result"], result, "{candidate}: {shown}");
        let places: Vec<_> = shown["most"].as_array().expect("places").iter().map(|place| place[0].clone()).collect();
        assert_eq!(places, most.unwrap_or_default(), "{candidate}: {shown}");
    }
    done(&env, &["shadow", "--off"]).await;
    let refused = release(&env, &["shadow", "--off"]).await.unwrap_err();
    assert!(refused.contains("nothing would change"), "{refused}");

    // Every file has its report from the active release, and each job has asked once.
    let files = sqlx::query_as::<_, (String, Option<String>, Option<String>)>(
        "select status, guest_digest, storage_key_report from files",
    );
    let files = files.fetch_all(world.database.pool()).await.expect("files");
    assert_eq!(world.model.calls(), files.len());
    for (status, digest, key) in files {
        assert_eq!((status.as_str(), digest.as_deref()), ("succeeded", Some(active.as_str())));
        assert_eq!(object(&world, &key.expect("a report")).await["title"], "Plan");
    }
    // Words of a document are in none of its lines.
    assert!(!worker.stderr().iter().any(|line| line.contains("Cleo") || line.contains("Alice")));
    let kept: i64 = sqlx::query_scalar("select count(*) from release_shadows s where s::text ~ 'Cleo|Alice|Dan'")
        .fetch_one(world.database.pool())
        .await
        .expect("a count");
    assert_eq!(kept, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_active_release_rejects_a_candidate_may_newly_accept() {
    let (world, env) = world().await;
    publish(&world, &env, "active", &picky("active")).await;
    publish(&world, &env, "lenient", &guest("lenient", "{}")).await;
    done(&env, &["activate", "active"]).await;
    let _worker = worker(&with(env.clone(), &[("RELEASE_POLL_MS", "100")])).await;
    let shown = first_result(&world, &env, "lenient", "failed").await;
    assert_eq!(shown["result"], "newly_accepted", "{shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_candidate_that_loops_delays_no_job_and_no_stop() {
    let (world, env) = world().await;
    publish(&world, &env, "active", &guest("active", "{}")).await;
    publish(&world, &env, "looping", &guest("looping", "{}").advance("(loop $for_ever (br $for_ever)) (i32.const 0)"))
        .await;
    done(&env, &["activate", "active"]).await;
    done(&env, &["shadow", "looping"]).await;
    // Longer than any test waits.
    let mut worker = worker(&with(env.clone(), &[("GUEST_CALL_TIMEOUT_MS", "600000"), ("LOG_LEVEL", "debug")])).await;
    for round in 0..6 {
        let id = world.enqueue(TRANSCRIPT).await;
        world.wait_for_status(id, "succeeded").await;
        if round == 0 {
            worker.wait_for_line("candidate runs in the shadow").await;
        }
    }
    let none: Vec<Value> = Vec::new();
    assert_eq!(tally(&env, "looping").await, none, "it still loops");
    worker.signal(Signal::TERM);
    assert!(worker.wait().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_fails_otherwise_says_nothing_of_a_candidate() {
    let (world, env) = world().await;
    publish(&world, &env, "active", &guest("active", "{}")).await;
    publish(&world, &env, "same", &guest("same", "{}")).await;
    done(&env, &["activate", "active"]).await;
    done(&env, &["shadow", "same"]).await;
    let _worker = worker(&env).await;
    world.model.push(Reply::refusal("no"));
    let refused = world.enqueue(TRANSCRIPT).await;
    world.wait_for_status(refused, "failed").await;
    let good = world.enqueue(TRANSCRIPT).await;
    world.wait_for_status(good, "succeeded").await;
    // Cases are run in their order.
    world.wait_until("the result of the second", async || !tally(&env, "same").await.is_empty()).await;
    assert_eq!(tally(&env, "same").await[0]["files"], 1);
}
