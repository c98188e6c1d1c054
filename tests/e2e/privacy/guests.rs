//! Guests that put a marker into every text that the contract lets them choose.

use assay_runtime::testing::WatGuest;
use assay_tests::{JobRow, Reply, Signal, TRANSCRIPT, World};
use serde_json::json;

use crate::{
    fixtures::{env_with_guests, with, worker},
    privacy::{
        IN_ANSWER, IN_METADATA, IN_TRANSCRIPT,
        clean::{assert_clean, shown_by_commands},
        outcomes_are_told,
    },
};

/// Makes a guest that logs a marker at each call and asks a question with markers. Over an answer it takes the step that `last` lays
/// out. `schema` is asked for and described.
fn guest(version: &str, schema: &str, last: impl FnOnce(&mut WatGuest) -> u32) -> WatGuest {
    let mut guest = WatGuest::new(version).imports_log().schema(schema);
    let (at, length) = guest.data.text(IN_ANSWER);
    let question = guest.data.text(IN_METADATA);
    let prompt = guest.data.prompt(question, Some(schema));
    let ask = guest.data.ask(&[prompt]);
    let last = last(&mut guest);
    guest.advance(format!(
        "(call $log (i32.const 2) (i32.const {at}) (i32.const {length}))
         (select (i32.const {last}) (i32.const {ask}) (local.get $answers_len))"
    ))
}

/// Lays out a question to a model, in a role, for a schema.
fn asks(guest: &mut WatGuest, role: &str, model: &str, schema: &str) -> u32 {
    let (role, content, model) = (guest.data.text(role), guest.data.text(IN_ANSWER), guest.data.text(model));
    let mut prompt = guest.data.prompt(content, Some(schema));
    prompt[0] = guest.data.words(&[role.0, role.1, content.0, content.1]);
    prompt[5..8].copy_from_slice(&[1, model.0, model.1]);
    guest.data.ask(&[prompt])
}

/// Lays out a rejection of a case with two texts.
fn rejects(guest: &mut WatGuest, case: u32, texts: &[&str]) -> u32 {
    let texts: Vec<u32> = texts.iter().flat_map(|text| <[u32; 2]>::from(guest.data.text(text))).collect();
    guest.data.step(&[&[2, case], texts.as_slice()].concat())
}

/// Lays out a report with a note.
fn accepts(guest: &mut WatGuest, document: &str) -> u32 {
    let document = guest.data.text(document);
    let note = [IN_ANSWER, &format!("/{IN_ANSWER}"), IN_ANSWER].map(|text| guest.data.text(text));
    let note = guest.data.words(&note.map(|(at, length)| [at, length]).concat());
    guest.data.step(&[1, document.0, document.1, note, 1])
}

/// A guest, and how its job ends; without a code it succeeds.
struct Talker {
    guest: WatGuest,
    version: &'static str,
    code: Option<&'static str>,
}

impl Talker {
    fn new(version: &'static str, code: Option<&'static str>, last: impl FnOnce(&mut WatGuest) -> u32) -> Self {
        Self { guest: guest(version, r#"{"type":"object"}"#, last), version, code }
    }
}

/// Returns a guest for each text that it can choose over an answer.
fn talkers() -> Vec<Talker> {
    // Only what it declares may be shown.
    let titled = format!(r#"{{"title":"{IN_ANSWER}","properties":{{"a":{{"enum":["{IN_ANSWER}"]}}}}}}"#);
    let pointer = format!("/{IN_ANSWER}/0");
    let (rejected, bad_output) = (Some("schema_validation_failed"), Some("guest_bad_output"));
    let quoted = IN_TRANSCRIPT.to_lowercase();
    let any = r#"{"type":"object"}"#;
    vec![
        Talker::new("finding", rejected, |g| g.data.reject(IN_ANSWER, &pointer, IN_ANSWER)),
        Talker::new("lower-case", rejected, |g| g.data.reject(&quoted, "", IN_ANSWER)),
        Talker {
            guest: guest("titled", &titled, |g| g.data.reject(IN_ANSWER, &pointer, IN_ANSWER)),
            version: "titled",
            code: rejected,
        },
        Talker::new("not-json", rejected, |g| rejects(g, 0, &[IN_ANSWER])),
        Talker::new("unsupported", rejected, |g| rejects(g, 2, &[IN_ANSWER])),
        Talker::new("other", rejected, |g| rejects(g, 3, &[IN_ANSWER, IN_ANSWER])),
        Talker::new("no-code", bad_output, |g| rejects(g, 3, &["two words", IN_ANSWER])),
        Talker::new("role", bad_output, |g| asks(g, IN_ANSWER, "known", any)),
        Talker::new("model", Some("llm_model_not_found"), |g| asks(g, "user", IN_ANSWER, any)),
        Talker::new("schema", bad_output, |g| asks(g, "user", "known", IN_ANSWER)),
        Talker::new("prose", Some("report_invalid"), |g| accepts(g, IN_ANSWER)),
        Talker::new("note", None, |g| accepts(g, &format!(r#"{{"{IN_ANSWER}":"{IN_ANSWER}"}}"#))),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn no_word_of_a_guest_reaches_a_log_or_a_row() {
    let world = World::start().await;
    world.model.always(Reply::answer(IN_ANSWER));
    let talkers = talkers();
    let guests: Vec<_> = talkers.iter().map(|talker| talker.guest.clone()).collect();
    let changes = [("LOG_LEVEL", "trace"), ("LLM_MODELS", "known=scripted")];
    let mut worker = worker(&with(env_with_guests(&world, &guests), &changes)).await;
    let mut files = Vec::new();
    for Talker { version, code, .. } in talkers {
        let id = world.upload("txt", format!("{TRANSCRIPT}{IN_TRANSCRIPT}")).await;
        world.enqueue_file(id, Some(version)).await;
        let ended = |job: &JobRow| job.last_error_code.is_some() || job.status == "succeeded";
        let job = world.wait_for_job(id, ended).await;
        assert_eq!(job.last_error_code.as_deref(), code, "{version}");
        files.push((version, id, code));
    }
    worker.signal(Signal::TERM);
    assert!(worker.wait().await.success());
    outcomes_are_told(&files, &worker.stderr(), "trace");
    assert_clean(&world, &worker.stderr(), "the log").await;
    let ids: Vec<_> = files.iter().map(|(_, id, _)| *id).collect();
    assert_clean(&world, &shown_by_commands(&world, &ids).await, "commands").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guests_own_code_is_shown_where_its_schema_declares_it() {
    let world = World::start().await;
    world.model.always(Reply::answer("{}"));
    let schema = r#"{"x-assay-codes":["quote-not-found"],"type":"object","properties":{"quotes":{}}}"#;
    let declared = guest("declared", schema, |g| g.data.reject("quote-not-found", "/quotes/0", IN_ANSWER));
    let mut worker = worker(&env_with_guests(&world, &[declared])).await;
    let id = world.enqueue(IN_TRANSCRIPT).await;
    let message = world.wait_for_status(id, "failed").await.error_message.expect("a message");
    assert!(message.contains("1 finding: quote-not-found at /quotes/*"), "{message}");
    let sent = world.model.requests()[0].schema().expect("a schema").clone();
    assert_eq!(sent, json!({"type": "object", "properties": {"quotes": {}}}), "no model sees the codes");
    worker.signal(Signal::TERM);
    assert!(worker.wait().await.success());
    assert_clean(&world, &worker.stderr(), "the log").await;
}
