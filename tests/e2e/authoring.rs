//! `assay guest …`, as an author uses it: the real binary, without a database and without a bucket.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use assay_tests::{AssayProcess, Reply, World};
use serde_json::Value;

use crate::fixtures::{TRANSCRIPT, with, worker};

struct Ended {
    ok: bool,
    stdout: String,
    stderr: String,
}

impl Ended {
    fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {}{}", self.stdout, self.stderr))
    }
}

/// Runs a command with nothing but these variables.
async fn assay_with(environment: &BTreeMap<String, String>, arguments: &[&str]) -> Ended {
    let mut process = AssayProcess::spawn(arguments, environment);
    let ok = process.wait().await.success();
    Ended { ok, stdout: process.stdout().join("\n"), stderr: process.stderr().join("\n") }
}

async fn assay(arguments: &[&str]) -> Ended {
    assay_with(&BTreeMap::new(), arguments).await
}

/// Returns a new guest without code, in a folder of the test's own.
async fn new_guest(name: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    let ended = assay(&["guest", "new", name, "--dir", path.to_str().unwrap()]).await;
    assert!(ended.ok, "{}", ended.stderr);
    (folder, path)
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn replace(file: &Path, from: &str, to: &str) {
    let before = fs::read_to_string(file).unwrap();
    assert!(before.contains(from), "{from} is in {before}");
    fs::write(file, before.replace(from, to)).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_guest_passes_its_tests_and_keeps_every_rule_at_once() {
    let (_folder, guest) = new_guest("minutes-v1").await;
    let tested = assay(&["guest", "test", text(&guest)]).await;
    assert!(tested.ok, "{}", tested.stdout);
    assert!(tested.stdout.contains("fixture result: ok. 3 passed; 0 failed"), "{}", tested.stdout);
    let checked = assay(&["guest", "check", text(&guest), "--json"]).await;
    assert!(checked.ok, "{}", checked.stdout);
    let rules = checked.json()["rules"].as_array().unwrap().clone();
    assert!(rules.iter().all(|rule| rule["verdict"] == "ok"), "{rules:?}");
    // What is there is left alone.
    let again = assay(&["guest", "new", "minutes-v1", "--dir", text(&guest)]).await;
    assert!(!again.ok && again.stderr.contains("is there already"), "{}", again.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_without_code_is_built_to_the_same_bytes_and_serves_jobs() {
    let (folder, guest) = new_guest("minutes-v1").await;
    let guests = folder.path().join("guests");
    let out = guests.join("minutes-v1.wasm");
    let first = assay(&["guest", "build", text(&guest), "--out", text(&out), "--json"]).await;
    assert!(first.ok, "{}", first.stderr);
    let elsewhere = folder.path().join("elsewhere");
    fs::rename(&guest, &elsewhere).unwrap();
    let second = assay(&["guest", "build", text(&elsewhere), "--json"]).await;
    assert_eq!(first.json()["digest"], second.json()["digest"]);
    assert_eq!(first.json()["name"], "minutes-v1");
    assert_eq!(first.json()["revision"], second.json()["revision"]);
    assert!(elsewhere.join("minutes-v1.wasm").is_file());

    let world = World::start().await;
    world.model.always(Reply::answer(r#"{"title":"t","summary":"s","decisions":[],"follow_up_date":null}"#));
    let environment = with(world.env(), &[("GUEST_DIR", text(&guests)), ("REPORT_PROMPT_VERSION", "minutes-v1")]);
    let _worker = worker(&environment).await;
    let id = world.upload("txt", TRANSCRIPT).await;
    world.enqueue_file(id, None).await;
    world.wait_for_status(id, "succeeded").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fault_of_the_folder_is_shown_with_its_place() {
    let (_folder, guest) = new_guest("minutes-v1").await;
    replace(&guest.join("prompt.md"), "{{transcript}}", "{{transkript}}");
    let built = assay(&["guest", "build", text(&guest)]).await;
    assert!(!built.ok);
    assert!(built.stderr.contains("unknown placeholder {{transkript}}"), "{}", built.stderr);
    replace(&guest.join("prompt.md"), "{{transkript}}", "{{transcript}}");
    replace(&guest.join("guest.toml"), "prompt-version", "promt-version");
    let built = assay(&["guest", "build", text(&guest)]).await;
    assert!(built.stderr.contains("guest.toml") && built.stderr.contains("promt-version"), "{}", built.stderr);
    let nowhere = assay(&["guest", "build", text(&guest.join("fixtures"))]).await;
    assert!(nowhere.stderr.contains("neither guest.toml nor Cargo.toml"), "{}", nowhere.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_component_is_written_into_a_folder_under_its_own_name() {
    let (folder, guest) = new_guest("minutes-v1").await;
    let built = assay(&["guest", "build", text(&guest), "--out", text(folder.path()), "--json"]).await;
    assert!(built.ok, "{}", built.stderr);
    assert_eq!(built.json()["file"], text(&folder.path().join("minutes-v1.wasm")));
    assert!(folder.path().join("minutes-v1.wasm").is_file());
    let fresh = folder.path().join("guests/");
    assert!(assay(&["guest", "build", text(&guest), "--out", &format!("{}/", fresh.display())]).await.ok);
    assert!(fresh.join("minutes-v1.wasm").is_file());
    let refused = assay(&["guest", "build", text(&guest.join("guest.toml"))]).await;
    let cure = format!("name the guest's folder, {}", guest.display());
    assert!(!refused.ok && refused.stderr.contains(&cure), "{}", refused.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_component_with_unreadable_fixtures_fails_that_rule_only() {
    let (folder, guest) = new_guest("minutes-v1").await;
    let component = folder.path().join("minutes-v1.wasm");
    assert!(assay(&["guest", "build", text(&guest), "--out", text(&component)]).await.ok);
    let mut bytes = fs::read(&component).unwrap();
    let fixtures = b"[{\"name\":\"asks\"";
    let at = bytes.windows(fixtures.len()).position(|window| window == fixtures).unwrap();
    bytes[at] = b'#';
    fs::write(&component, bytes).unwrap();

    let checked = assay(&["guest", "check", text(&component), "--json"]).await;
    assert!(!checked.ok);
    let rules = checked.json()["rules"].as_array().unwrap().clone();
    let verdict = |name: &str| rules.iter().find(|rule| rule["name"] == name).unwrap()["verdict"].clone();
    assert_eq!(["schema", "fixtures", "second check"].map(verdict), ["ok", "failed", "skipped"], "{rules:?}");
    let call = folder.path().join("call.txt");
    fs::write(&call, TRANSCRIPT).unwrap();
    let tried = assay(&["guest", "try", text(&component), text(&call), "--stand-in"]).await;
    assert!(tried.ok, "{}{}", tried.stdout, tried.stderr);
    let tested = assay(&["guest", "test", text(&component)]).await;
    assert!(!tested.ok && tested.stderr.contains("assay:fixtures"), "{}", tested.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_over_the_limit_of_size_breaks_that_rule_and_is_not_built() {
    let (_folder, guest) = new_guest("minutes-v1").await;
    let environment: BTreeMap<_, _> = [("GUEST_COMPONENT_BYTES".to_owned(), "1000000".to_owned())].into();
    let cure = "leave out what it does not need";
    let checked = assay_with(&environment, &["guest", "check", text(&guest)]).await;
    let row = |rule: &str| checked.stdout.lines().find(|line| line.starts_with(rule)).unwrap_or_default().to_owned();
    assert!(!checked.ok && row("size").contains("FAILED"), "{}{}", checked.stdout, checked.stderr);
    assert!(row("fixtures").contains("skipped") && checked.stdout.contains(cure), "{}", checked.stdout);
    let built = assay_with(&environment, &["guest", "build", text(&guest)]).await;
    assert!(!built.ok && built.stderr.contains(cure), "{}", built.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_error_without_fixtures_says_where_they_are_recorded() {
    let (folder, guest) = new_guest("minutes-v1").await;
    fs::remove_dir_all(guest.join("fixtures")).unwrap();
    let tested = assay(&["guest", "test", text(&guest)]).await;
    let of_folder = format!("`assay guest try {} TRANSCRIPT --record NAME` writes one", guest.display());
    assert!(!tested.ok && tested.stderr.contains(&of_folder), "{}", tested.stderr);
    let component = folder.path().join("minutes-v1.wasm");
    assert!(assay(&["guest", "build", text(&guest), "--out", text(&component)]).await.ok);
    let tested = assay(&["guest", "test", text(&component)]).await;
    let of_component = "record one into the folder of its sources, and build it again";
    assert!(!tested.ok && tested.stderr.contains(of_component), "{}", tested.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_build_warns_of_what_the_models_schema_cannot_say() {
    let (_folder, guest) = new_guest("minutes-v1").await;
    replace(
        &guest.join("schema.json"),
        r#""type": "object","#,
        r#""type": "object", "anyOf": [{"required": ["title"]}],"#,
    );
    let built = assay(&["guest", "build", text(&guest)]).await;
    assert!(built.ok, "{}", built.stderr);
    assert!(built.stdout.contains("warning: schema for the model: anyOf at the root"), "{}", built.stdout);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_step_is_shown_and_accepted_as_the_expectation() {
    let (_folder, guest) = new_guest("minutes-v1").await;
    replace(&guest.join("prompt.md"), "Report only what it says.", "Say nothing else.");
    let failed = assay(&["guest", "test", text(&guest)]).await;
    assert!(!failed.ok);
    assert!(failed.stdout.contains("fixture asks ... FAILED"), "{}", failed.stdout);
    assert!(
        failed.stdout.contains("+            \"Write in the language of the transcript. Say nothing else."),
        "{}",
        failed.stdout
    );
    assert!(failed.stdout.contains("2 passed; 1 failed"), "{}", failed.stdout);
    let accepted = assay(&["guest", "test", text(&guest), "--accept"]).await;
    assert!(accepted.ok && accepted.stdout.contains("+            \"Write"), "{}", accepted.stdout);
    assert!(assay(&["guest", "test", text(&guest)]).await.ok);
    // The component carries them.
    let out = guest.join("built.wasm");
    assert!(assay(&["guest", "build", text(&guest), "--out", text(&out)]).await.ok);
    let carried = assay(&["guest", "test", text(&out), "asks"]).await;
    assert!(carried.stdout.contains("1 passed; 0 failed; 2 filtered out"), "{}", carried.stdout);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenth_more_fuel_than_the_budget_fails_until_it_is_accepted() {
    let (_folder, guest) = new_guest("minutes-v1").await;
    assert!(assay(&["guest", "test", text(&guest), "--accept"]).await.ok);
    let budgets = guest.join("fixtures/fuel.toml");
    let mut table: toml::Table = toml::from_str(&fs::read_to_string(&budgets).unwrap()).unwrap();
    let (_, fixtures) = table.iter_mut().next().unwrap();
    let good = fixtures.get_mut("good").unwrap();
    let fuel = good.as_integer().unwrap();
    *good = (fuel * 10 / 12).into();
    fs::write(&budgets, toml::to_string(&table).unwrap()).unwrap();
    let failed = assay(&["guest", "test", text(&guest)]).await;
    assert!(!failed.ok && failed.stdout.contains("over a tenth above the budget"), "{}", failed.stdout);
    let xml = guest.join("results.xml");
    let failed = assay(&["guest", "test", text(&guest), "--json", "--junit", text(&xml)]).await;
    let json = failed.json();
    let outcome = json["fixtures"].as_array().unwrap().iter().find(|fixture| fixture["name"] == "good").unwrap();
    assert_eq!(outcome["result"], "too_much_fuel");
    assert!(fs::read_to_string(&xml).unwrap().contains("failures=\"1\""));
    assert!(assay(&["guest", "test", text(&guest), "--accept"]).await.ok);
    assert!(assay(&["guest", "test", text(&guest)]).await.ok);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trial_shows_questions_answers_and_step_and_records_a_fixture() {
    let (folder, guest) = new_guest("minutes-v1").await;
    let call = folder.path().join("call.vtt");
    fs::write(&call, "WEBVTT\n\n00:01.000 --> 00:02.000\n<v Ana>We ship on Friday.\n").unwrap();
    let arguments = ["guest", "try", text(&guest), text(&call), "--stand-in", "--attribute", "team=blue"];
    let shown = assay(&arguments).await;
    assert!(shown.ok, "{}{}", shown.stdout, shown.stderr);
    for part in
        ["question 1:", "- team: blue", "answer 1: stand-in, stop", "\naccept\n", "second check: the schema allows it"]
    {
        assert!(shown.stdout.contains(part), "{part} in {}", shown.stdout);
    }
    let recorded = assay(&[&arguments[..], &["--json", "--record", "first"]].concat()).await;
    let story = recorded.json();
    assert_eq!(story["rounds"][0]["answers"][0]["model"], "stand-in");
    assert!(story["cost"]["fuel"].as_u64().unwrap() > 0 && story["step"]["accept"].is_object());
    assert!(guest.join("fixtures/first/transcript.vtt").is_file());
    let tested = assay(&["guest", "test", text(&guest), "first"]).await;
    assert!(tested.stdout.contains("1 passed"), "{}", tested.stdout);
    // A name that is taken is refused before the model is asked.
    let again = assay(&[&arguments[..], &["--record", "first"]].concat()).await;
    assert!(!again.ok && again.stderr.contains("a fixture of this name"), "{}", again.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trial_takes_its_answers_from_the_model_or_from_files() {
    let (folder, guest) = new_guest("minutes-v1").await;
    let call = folder.path().join("call.txt");
    fs::write(&call, TRANSCRIPT).unwrap();
    let world = World::start().await;
    world.model.always(Reply::answer(r#"{"title": "from the model"}"#));
    let environment = world.env();
    let asked = assay_with(&environment, &["guest", "try", text(&guest), text(&call), "--json"]).await;
    assert!(!asked.ok, "a report that lacks what the schema requires is rejected");
    assert_eq!(asked.json()["step"]["reject"]["invalid"][0]["code"], "required");
    let answer = folder.path().join("answer.json");
    fs::write(&answer, r#"{"title":"t","summary":"s","decisions":[],"follow_up_date":null}"#).unwrap();
    let answered = assay(&["guest", "try", text(&guest), text(&call), "--answer", text(&answer), "--json"]).await;
    assert_eq!(answered.json()["step"]["accept"]["document"]["title"], "t");
    // A missing answer is an error, after what came before it.
    let none = folder.path().join("none.json");
    let missing = ["guest", "try", text(&guest), text(&call), "--answer", text(&none)];
    let missing = assay(&missing).await;
    assert!(!missing.ok && missing.stdout.contains("question 1:"), "{}", missing.stdout);
    assert!(missing.stdout.contains("none.json"), "{}", missing.stdout);
    // A name outside of the guest is refused.
    for name in ["../outside", "/outside", "a/b", "fuel.toml"] {
        let refused = ["guest", "try", text(&guest), text(&call), "--answer", text(&answer), "--record", name];
        let refused = assay(&refused).await;
        assert!(!refused.ok && refused.stderr.contains("no name for a fixture"), "{name}: {}", refused.stderr);
    }
    // Without a model there is nothing to ask.
    let unasked = assay(&["guest", "try", text(&guest), text(&call)]).await;
    assert!(!unasked.ok && unasked.stderr.contains("LLM_BASE_URL"), "{}", unasked.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trial_takes_what_a_worker_takes_of_a_transcript() {
    let (folder, guest) = new_guest("minutes-v1").await;
    let call = folder.path().join("CALL.TXT");
    fs::write(&call, TRANSCRIPT).unwrap();
    let arguments = ["guest", "try", text(&guest), text(&call), "--stand-in"];
    let limited = |bytes: usize| [("TRANSCRIPT_MAX_BYTES".to_owned(), bytes.to_string())].into();
    let taken = assay_with(&limited(TRANSCRIPT.len()), &arguments).await;
    assert!(taken.ok, "{}{}", taken.stdout, taken.stderr);
    let refused = assay_with(&limited(TRANSCRIPT.len() - 1), &arguments).await;
    assert!(!refused.ok && refused.stderr.contains("TRANSCRIPT_MAX_BYTES"), "{}", refused.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watched_trial_runs_again_and_buys_no_answer_twice() {
    let (folder, guest) = new_guest("minutes-v1").await;
    let call = folder.path().join("call.txt");
    fs::write(&call, TRANSCRIPT).unwrap();
    let world = World::start().await;
    world.model.always(Reply::answer(r#"{"title":"t","summary":"s","decisions":[],"follow_up_date":null}"#));
    let arguments = ["guest", "try", text(&guest), text(&call), "--watch", "--received-at", "2026-01-05T09:00:00Z"];
    let process = AssayProcess::spawn(&arguments, &world.env());
    process.wait_for_line("watching").await;
    // What people read of a guest is no part of its question.
    replace(&guest.join("guest.toml"), "\"Minutes of a conversation", "\"Changed minutes of a conversation");
    let times = |lines: &[String], needle: &str| lines.iter().filter(|line| line.contains(needle)).count();
    process.wait_for_stdout("a second trial", |lines| times(lines, "second check") == 2).await;
    assert_eq!(world.model.calls(), 1, "the question is the same, and so is its answer");
    replace(&guest.join("prompt.md"), "Report only what it says.", "Say nothing else.");
    process.wait_for_stdout("another question", |lines| times(lines, "Say nothing else.") > 0).await;
    process.wait_for_stdout("a third trial", |lines| times(lines, "second check") == 3).await;
    assert_eq!(world.model.calls(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watched_trial_waits_for_a_transcript_that_is_not_there_yet() {
    let (folder, guest) = new_guest("minutes-v1").await;
    let call = folder.path().join("call.txt");
    let process =
        AssayProcess::spawn(&["guest", "try", text(&guest), text(&call), "--stand-in", "--watch"], &BTreeMap::new());
    process.wait_for_line("watching").await;
    fs::write(&call, TRANSCRIPT).unwrap();
    process.wait_for_stdout("a trial", |lines| lines.iter().any(|line| line.contains("second check"))).await;
}
