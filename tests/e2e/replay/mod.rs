//! Stored answers through a guest before it goes live: what it would change, and on which files.

mod live;

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use assay_runtime::{Digest, testing::WatGuest};
use assay_tests::{AssayProcess, Fault, Gate, Operation, Reply, Signal, World};
use serde_json::Value;
use uuid::Uuid;

use crate::fixtures::{Env, TRANSCRIPT, env_with_guests, with, worker};

const SCHEMA: &str = r#"{"type":"object","properties":{"title":{},"steps":{}}}"#;
const REPORT: &str = r#"{"title":"a plan","steps":[{"who":"Ana"}]}"#;

/// Asks about the document, then accepts this report.
fn accepts(version: &str, report: &str) -> WatGuest {
    WatGuest::new(version).schema(SCHEMA).document(report)
}

/// Asks `question`, and then does what `then` makes of the answer.
fn asks(version: &str, question: &str, then: impl FnOnce(&mut WatGuest) -> String) -> WatGuest {
    let mut guest = WatGuest::new(version).schema(SCHEMA);
    let question = guest.data.text(question);
    let prompt = guest.data.prompt(question, Some(SCHEMA));
    let ask = guest.data.ask(&[prompt]);
    let then = then(&mut guest);
    guest.advance(format!("(if (result i32) (local.get $answers_len) (then {then}) (else (i32.const {ask})))"))
}

/// Asks the same, then finds the title missing.
fn rejects(version: &str) -> WatGuest {
    asks(version, "What is it about?", |guest| {
        format!("(i32.const {})", guest.data.reject("required", "/title", "<b>no title</b>"))
    })
}

/// Asks something else.
fn asks_otherwise(version: &str) -> WatGuest {
    asks(version, "Who was there?", |guest| {
        let report = guest.data.text(REPORT);
        format!("(i32.const {})", guest.data.accept(report))
    })
}

/// Asks the same, and traps at the answer.
fn traps(version: &str) -> WatGuest {
    asks(version, "What is it about?", |_| "(unreachable)".to_owned())
}

/// A world in which one guest makes reports and another one rejects the answers.
struct Stage {
    world: World,
    env: Env,
}

impl Stage {
    async fn new() -> Self {
        let world = World::start().await;
        world.model.always(Reply::answer("{}"));
        let env = env_with_guests(&world, &[accepts("accepting", REPORT), rejects("rejecting")]);
        let env = with(env, &[("REPORT_PROMPT_VERSION", "accepting")]);
        Self { world, env }
    }

    /// Runs a job of each version to its end.
    async fn finished(&self, versions: &[&str]) -> Vec<Uuid> {
        let mut worker = worker(&self.env).await;
        let mut files = Vec::new();
        // One after the other, so that their order is known.
        for version in versions {
            let file = self.world.upload("txt", TRANSCRIPT).await;
            self.world.enqueue_file(file, Some(version)).await;
            let status = if *version == "rejecting" { "failed" } else { "succeeded" };
            self.world.wait_for_status(file, status).await;
            files.push(file);
        }
        worker.signal(Signal::TERM);
        worker.wait().await;
        files
    }

    fn component(&self, guest: &WatGuest) -> (String, String) {
        let bytes = guest.build();
        let digest = Digest::of(&bytes).to_string();
        let path = self.world.folder().join(format!("{digest}.wasm"));
        fs::write(&path, &bytes).expect("a file");
        (path.display().to_string(), digest)
    }

    fn out(&self, name: &str) -> PathBuf {
        self.world.folder().join(name)
    }

    /// Runs `assay replay` into the folder `out`; what it printed, or how it failed.
    async fn replay(&self, out: &str, arguments: &[&str]) -> Result<String, String> {
        let out = self.out(out).display().to_string();
        let mut process = AssayProcess::spawn(&[&["replay", "--out", &out], arguments].concat(), &self.env);
        let ok = process.wait().await.success();
        let (stdout, stderr) = (process.stdout().join("\n"), process.stderr().join("\n"));
        if ok { Ok(stdout) } else { Err(format!("{stdout}{stderr}")) }
    }

    /// Returns the same for a guest in a file: its summary, and the result of each file.
    async fn results(&self, out: &str, guest: &WatGuest, arguments: &[&str]) -> (Value, BTreeMap<Uuid, Value>) {
        let (path, _) = self.component(guest);
        let arguments = [&["--guest", &path, "--json"], arguments].concat();
        let output = self.replay(out, &arguments).await.unwrap_or_else(|error| panic!("{arguments:?}: {error}"));
        (serde_json::from_str(&output).expect("JSON"), lines(&self.out(out)))
    }

    async fn release(&self, arguments: &[&str]) {
        let mut process = AssayProcess::spawn(&[&["release"], arguments].concat(), &self.env);
        assert!(process.wait().await.success(), "{arguments:?}: {:?}", process.stderr());
    }

    /// Returns how often something of a file was read.
    fn reads(&self, file: Uuid) -> usize {
        self.world.objects.count(Operation::Get, &file.to_string())
    }
}

/// Returns the last line of each file.
fn lines(out: &Path) -> BTreeMap<Uuid, Value> {
    let text = fs::read_to_string(out.join("results.jsonl")).expect("results");
    let lines = text.lines().skip(1).map(|line| serde_json::from_str::<Value>(line).expect("a line of JSON"));
    lines.map(|line| (line["file_id"].as_str().expect("an id").parse().expect("an id"), line)).collect()
}

fn page(out: &Path) -> String {
    fs::read_to_string(out.join("index.html")).expect("a page")
}

#[tokio::test(flavor = "multi_thread")]
async fn every_result_of_a_comparison_is_listed_for_each_file() {
    let stage = Stage::new().await;
    let [accepted, rejected] = stage.finished(&["accepting", "rejecting"]).await[..] else { panic!("two files") };
    let asked = stage.world.model.calls();
    for (name, guest, of_accepted, of_rejected) in [
        ("as-before", accepts("x", REPORT), "same", "newly_accepted"),
        ("other-report", accepts("x", r#"{"title":"<script>","steps":[{}, 1]}"#), "changed", "newly_accepted"),
        ("rejecting", rejects("x"), "newly_rejected", "same"),
        ("other-question", asks_otherwise("x"), "diverged", "diverged"),
        ("trapping", traps("x"), "fault", "fault"),
        ("breaking-its-schema", accepts("x", "[]"), "fault", "fault"),
    ] {
        let (summary, lines) = stage.results(name, &guest, &[]).await;
        assert_eq!(lines[&accepted]["result"], of_accepted, "{name}");
        assert_eq!(lines[&rejected]["result"], of_rejected, "{name}");
        assert_eq!(summary["files"], 2, "{name}: {summary}");
        assert_eq!(summary["files_of_this_run"], 2, "{name}: {summary}");
    }
    assert_eq!(stage.world.model.calls(), asked, "the model was not asked");

    let changed = &lines(&stage.out("other-report"))[&accepted];
    assert_eq!(changed["pointers"], serde_json::json!(["/steps/0/who", "/steps/1", "/title"]));
    assert!(changed["guest_micros"].as_u64().is_some_and(|micros| micros > 0), "{changed}");
    let shown = page(&stage.out("other-report"));
    assert!(shown.contains("&quot;&lt;script&gt;&quot;") && !shown.contains("<script"), "{shown}");
    assert!(shown.contains("&quot;a plan&quot;"), "before, too: {shown}");
    let shown = page(&stage.out("rejecting"));
    assert!(shown.contains("/title") && shown.contains("&lt;b&gt;no title&lt;/b&gt;"), "{shown}");
    assert!(page(&stage.out("other-question")).contains("Who was there?"));
    assert_eq!(lines(&stage.out("trapping"))[&accepted]["code"], "guest_trap");
    assert_eq!(lines(&stage.out("breaking-its-schema"))[&accepted]["code"], "report_invalid");
    for file in ["results.jsonl", "index.html"] {
        let mode = fs::metadata(stage.out("rejecting").join(file)).expect("a file").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{file} is its owner's alone");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_table_names_places_in_the_schemas_words_only() {
    let stage = Stage::new().await;
    stage.finished(&["accepting"]).await;
    let (path, _) = stage.component(&accepts("x", r#"{"title":"a plan","steps":[{"who":"Ana","Bob owes Ana":1}]}"#));
    let output = stage.replay("out", &["--guest", &path]).await.expect("it runs");
    assert!(output.contains("changed  1 (100.0 %)  /steps/*/* (1)") && !output.contains("Bob"), "{output}");
    assert!(output.contains("hold content of documents"), "{output}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_that_has_not_changed_is_checked_again_where_the_schema_has() {
    let stage = Stage::new().await;
    let [file] = stage.finished(&["accepting"]).await[..] else { panic!("one file") };
    let candidate = asks("x", "What is it about?", |guest| {
        let report = guest.data.text(REPORT);
        format!("(i32.const {})", guest.data.accept(report))
    });
    let (_, lines) = stage.results("as-before", &candidate, &[]).await;
    assert_eq!(lines[&file]["result"], "same");
    let strict = candidate.schema(r#"{"type":"object","required":["overview"]}"#);
    let (_, lines) = stage.results("strict", &strict, &[]).await;
    assert_eq!((&lines[&file]["result"], &lines[&file]["code"]), (&"fault".into(), &"report_invalid".into()));
    let (path, _) = stage.component(&strict);
    assert!(stage.replay("strict", &["--guest", &path, "--fail-on", "newly_rejected"]).await.is_ok());
    let failed = stage.replay("strict", &["--guest", &path, "--fail-on", "changed,fault"]).await.unwrap_err();
    assert!(failed.contains("fault   1 (100.0 %)  report_invalid (1)"), "{failed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_guests_are_compared_on_the_same_answers() {
    let stage = Stage::new().await;
    let other = r#"{"title":"another plan"}"#;
    let [accepted, rejected] = stage.finished(&["accepting", "rejecting"]).await[..] else { panic!("two files") };
    let (path, digest) = stage.component(&accepts("second", other));
    stage.release(&["publish", &path]).await;
    let candidate = accepts("third", other);
    let (_, lines) = stage.results("stored", &candidate, &[]).await;
    assert_eq!(
        (&lines[&accepted]["result"], &lines[&rejected]["result"]),
        (&"changed".into(), &"newly_accepted".into())
    );
    let (summary, lines) = stage.results("beside", &candidate, &["--against", "second"]).await;
    assert_eq!((&lines[&accepted]["result"], &lines[&rejected]["result"]), (&"same".into(), &"same".into()));
    assert_eq!(summary["against"]["digest"], digest);

    // A release whose questions have no stored answers has nothing to compare.
    let (path, _) = stage.component(&asks_otherwise("curious"));
    stage.release(&["publish", &path]).await;
    let (_, lines) = stage.results("curious", &candidate, &["--against", "curious"]).await;
    assert_eq!(
        (&lines[&accepted]["result"], &lines[&accepted]["code"]),
        (&"skipped".into(), &"against_diverged".into())
    );

    let (path, _) = stage.component(&candidate);
    let refused = stage.replay("beside", &["--guest", &path]).await.unwrap_err();
    assert!(refused.contains("has a comparison with the release sha256:") && refused.contains("--out"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_is_named_by_its_folder_its_file_or_its_release() {
    let stage = Stage::new().await;
    let [file] = stage.finished(&["accepting"]).await[..] else { panic!("one file") };
    let (path, digest) = stage.component(&accepts("published", REPORT));
    stage.release(&["publish", &path]).await;
    // Another machine: what it has not compiled it has to fetch.
    let cache = stage.out("elsewhere").display().to_string();
    let here = stage.env.clone();
    let elsewhere = Stage { env: with(here.clone(), &[("GUEST_CACHE_DIR", &cache)]), ..stage };
    for meant in ["published", "published@1", &digest[..12]] {
        let output = elsewhere.replay("release", &["--guest", meant, "--json"]).await.expect("it runs");
        let output: Value = serde_json::from_str(&output).expect("JSON");
        assert_eq!(
            (&output["guest"]["digest"], &output["results"]["same"]["files"]),
            (&digest.clone().into(), &1.into())
        );
    }
    let stage = Stage { env: here, ..elsewhere };
    let folder = stage.out("minutes-v1").display().to_string();
    let mut made = AssayProcess::spawn(&["guest", "new", "minutes-v1", "--dir", &folder], &stage.env);
    assert!(made.wait().await.success());
    stage.replay("folder", &["--guest", &folder]).await.expect("it is built and runs");
    assert_eq!(lines(&stage.out("folder"))[&file]["result"], "diverged", "it has a prompt of its own");

    let refused = stage.replay("nothing", &["--guest", "minutes-v9"]).await.unwrap_err();
    assert!(
        refused.contains("there is no file or folder minutes-v9") && refused.contains("is not published"),
        "{refused}"
    );
    let nonsense = stage.out("nonsense.wasm");
    fs::write(&nonsense, "\0asm and no more").expect("a file");
    let refused = stage.replay("nothing", &["--guest", &nonsense.display().to_string()]).await.unwrap_err();
    assert!(refused.contains("FAILED") && refused.contains("breaks a rule of admission"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn time_channel_and_limit_choose_the_jobs_and_the_newest_come_first() {
    let stage = Stage::new().await;
    let files = stage.finished(&["accepting", "accepting", "accepting"]).await;
    sqlx::query("update processing_jobs set channel = 'batch' where file_id = $1")
        .bind(files[1])
        .execute(stage.world.database.pool())
        .await
        .expect("a channel");
    let guest = accepts("x", REPORT);
    let chosen = async |out: &str, arguments: &[&str]| {
        let (summary, lines) = stage.results(out, &guest, arguments).await;
        assert_eq!(summary["jobs"], lines.len(), "{arguments:?}");
        lines.into_keys().collect::<std::collections::BTreeSet<_>>()
    };
    assert_eq!(chosen("all", &["--since", "24h"]).await.len(), 3);
    assert_eq!(chosen("newest", &["--limit", "1"]).await, [files[2]].into());
    assert_eq!(chosen("two", &["--limit", "2"]).await, [files[1], files[2]].into());
    assert_eq!(chosen("channel", &["--channel", "batch"]).await, [files[1]].into());
    assert_eq!(chosen("future", &["--since", "2999-01-01T00:00:00Z"]).await, [].into());
    sqlx::query("update job_attempts set ended_at = ended_at - interval '2 days' where job_id = (select id from processing_jobs where file_id = $1)")
        .bind(files[2])
        .execute(stage.world.database.pool())
        .await
        .expect("an older job");
    assert_eq!(chosen("day", &["--since", "1d"]).await, [files[0], files[1]].into());
    let refused = stage.replay("never", &["--guest", "x", "--since", "yesterday"]).await.unwrap_err();
    assert!(refused.contains("24h"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_run_goes_on_behind_the_last_line() {
    let stage = Stage::new().await;
    let files = stage.finished(&["accepting", "accepting", "rejecting"]).await;
    let guest = accepts("x", REPORT);
    let (_, first) = stage.results("out", &guest, &["--limit", "1"]).await;
    assert_eq!(first.into_keys().collect::<Vec<_>>(), [files[2]]);
    let read = stage.reads(files[2]);
    let path = stage.out("out").join("results.jsonl");
    let whole = fs::read_to_string(&path).expect("results");
    // As a process leaves it behind that is killed while it writes.
    fs::write(&path, format!("{whole}{{\"file_id\":\"{}\",\"resu", files[1])).expect("results");
    let (summary, lines) = stage.results("out", &guest, &[]).await;
    assert_eq!(lines.keys().copied().collect::<std::collections::BTreeSet<_>>(), files.iter().copied().collect());
    assert_eq!((&summary["files"], &summary["files_of_this_run"]), (&3.into(), &2.into()));
    assert_eq!(stage.reads(files[2]), read, "it has a line, and is not read again");
    assert!(fs::read_to_string(&path).expect("results").starts_with(&whole), "what was there stays");
    assert!(page(&stage.out("out")).contains(&files[2].to_string()), "what the first run saw is on the page");

    let (path, _) = stage.component(&accepts("y", REPORT));
    let refused = stage.replay("out", &["--guest", &path]).await.unwrap_err();
    assert!(refused.contains("has the results of another guest, x (sha256:") && refused.contains("--out"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_written_stays_at_a_signal_and_when_the_bucket_fails() {
    let stage = Stage::new().await;
    let files = stage.finished(&["accepting", "accepting"]).await;
    let guest = accepts("x", REPORT);
    let (path, _) = stage.component(&guest);
    let out = stage.out("out").display().to_string();
    let gate = Gate::new();
    stage.world.objects.fault(Operation::Get, &files[0].to_string(), Fault::Stall(gate.clone()));
    let mut process = AssayProcess::spawn(&["replay", "--out", &out, "--guest", &path], &stage.env);
    gate.reached().await;
    let results = stage.out("out").join("results.jsonl");
    let written = async || fs::read_to_string(&results).is_ok_and(|text| text.contains(&files[1].to_string()));
    stage.world.wait_until("the line of the other file", written).await;
    process.signal(Signal::INT);
    assert_eq!(process.wait().await.code(), Some(1));
    let output = process.stderr().join("\n");
    assert!(output.contains("the same command continues after them") && output.contains("interrupted"), "{output}");
    gate.release();

    let denied = Fault::Status { status: 403, code: "AccessDenied" };
    stage.world.objects.fault_always(Operation::Get, &files[0].to_string(), denied);
    let output = stage.replay("out", &["--guest", &path]).await.unwrap_err();
    assert!(output.contains("AccessDenied") && output.contains(&files[0].to_string()), "{output}");
    assert!(output.contains("the same command continues after them"), "{output}");
    stage.world.objects.clear_faults();
    let (summary, lines) = stage.results("out", &guest, &[]).await;
    assert_eq!((lines.len(), &summary["files_of_this_run"]), (2, &1.into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_replayed_is_skipped_with_its_code() {
    let stage = Stage::new().await;
    let files = stage.finished(&["accepting"; 5]).await;
    let row = stage.world.file(files[0]).await;
    stage.world.objects.delete(&row.storage_key_original).await;
    let report = stage.world.file(files[1]).await.storage_key_report.expect("a report");
    stage.world.objects.delete(&report).await;
    let answers = async |file: Uuid| {
        let user = stage.world.file(file).await.user_id;
        stage.world.objects.list(&format!("users/{user}/files/{file}/answers/"))
    };
    stage.world.objects.delete(&answers(files[2]).await[0]).await;
    stage.world.objects.put(&answers(files[3]).await[0], "another one").await;
    let (summary, lines) = stage.results("out", &accepts("x", REPORT), &[]).await;
    let result_of = |file: Uuid| (lines[&file]["result"].as_str(), lines[&file]["code"].as_str());
    assert_eq!(result_of(files[0]), (Some("skipped"), Some("transcript_not_found")));
    assert_eq!(result_of(files[1]), (Some("skipped"), Some("report_not_found")));
    assert_eq!(result_of(files[2]), (Some("skipped"), Some("journal_unreadable")));
    assert_eq!(result_of(files[3]), (Some("skipped"), Some("journal_unreadable")));
    assert_eq!(result_of(files[4]), (Some("same"), None));
    assert_eq!(summary["results"]["skipped"]["most"][0], serde_json::json!(["journal_unreadable", 2]));

    // What the worker pruned has no answers any more, and is not meant.
    sqlx::query("delete from job_answers").execute(stage.world.database.pool()).await.expect("no answers");
    let (summary, _) = stage.results("pruned", &accepts("x", REPORT), &[]).await;
    assert_eq!(summary["files"], 0);
}
