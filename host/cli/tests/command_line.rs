//! The commands as people and programs use them, against `assay dev`: a real Postgres, a real S3 server, a stand-in model.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Output, Stdio},
};

use serde_json::Value;

/// `assay dev` in its own folder. It stops when this value is dropped, or when this process ends.
struct Dev {
    child: Child,
    ready: Value,
    folder: PathBuf,
    _stdout: BufReader<ChildStdout>,
}

impl Dev {
    fn start(test: &str) -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(test);
        // Files of an earlier run.
        let _ = fs::remove_dir_all(&folder);
        let guests = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../guest/dist");
        let mut command = assay();
        command.args(["dev", "--json", "--stop-with-stdin", "--data"]).arg(&folder).arg("--guests").arg(guests);
        // An unexpected failure should end soon.
        command
            .env("ADMIN_ADDR", "127.0.0.1:0")
            .env("JOB_BACKOFF_MS", "50")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        let ready = serde_json::from_str(&line).expect("a line of JSON; what went wrong is on standard error");
        Self { child, ready, folder, _stdout: stdout }
    }

    fn environment(&self) -> PathBuf {
        self.folder.join("env")
    }

    /// Runs a command with the variables that `dev` wrote.
    fn run(&self, arguments: &[&str]) -> Output {
        assay().arg("--env-file").arg(self.environment()).args(arguments).output().unwrap()
    }

    /// Runs a command with more variables. An empty value removes a variable.
    fn run_with(&self, variables: &str, arguments: &[&str]) -> Output {
        let file = self.folder.join("other-env");
        fs::write(&file, fs::read_to_string(self.environment()).unwrap() + variables).unwrap();
        assay().arg("--env-file").arg(file).args(arguments).output().unwrap()
    }

    fn transcript(&self, name: &str, text: &str) -> String {
        let path = self.folder.join(name);
        fs::write(&path, text).unwrap();
        path.into_os_string().into_string().unwrap()
    }

    /// Returns the bytes of an object.
    fn object(&self, key: &Value) -> Vec<u8> {
        let folder = Path::new(self.ready["objects_folder"].as_str().unwrap());
        fs::read(folder.join(key.as_str().unwrap())).unwrap()
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

/// Returns the binary, with an environment of only what it needs to start.
#[expect(clippy::disallowed_methods, reason = "a child needs a few variables of the machine to start")]
fn assay() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_assay"));
    let kept = ["PATH", "HOME", "TMPDIR"].iter().filter_map(|name| Some((name, std::env::var_os(name)?)));
    command.env_clear().envs(kept);
    command
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

const CALL: &str =
    "Anna: We ship on Friday.\nBen: I will write the release notes by Thursday.\nAnna: What about the prices?\n";

#[test]
fn a_submitted_transcript_becomes_a_report_that_can_be_printed() {
    let dev = Dev::start("becomes_a_report");
    assert_eq!(dev.ready["model_is_stand_in"], true);
    let call = dev.transcript("weekly call.txt", CALL);

    let submitted = dev.run(&["submit", &call, "--wait", "--json"]);
    assert!(submitted.status.success(), "{submitted:?}");
    let submitted: Value = serde_json::from_slice(&submitted.stdout).unwrap();
    let state = &submitted[0]["status"];
    assert_eq!((&state["status"], &state["filename"]), (&"succeeded".into(), &"weekly call.txt".into()));

    let id = submitted[0]["file_id"].as_str().unwrap();
    let report = dev.run(&["report", id]);
    assert!(report.status.success(), "{report:?}");
    assert_eq!(report.stdout, dev.object(&state["report_key"]), "piped, it is the stored document");
    assert!(serde_json::from_slice::<Value>(&report.stdout).unwrap().is_object());

    let shown = dev.run(&["status", id]);
    assert!(text(&shown.stdout).contains("weekly call.txt"), "{shown:?}");
    assert!(text(&shown.stdout).contains("1 of 4, life 1"), "{shown:?}");

    // The same variables through a shell.
    let script = format!(
        "set -a; . '{}'; set +a; exec '{}' status --json",
        dev.environment().display(),
        env!("CARGO_BIN_EXE_assay")
    );
    let overview = Command::new("sh").args(["-c", &script]).output().unwrap();
    let overview: Value = serde_json::from_slice(&overview.stdout).unwrap();
    assert_eq!(
        overview["queue"][2],
        serde_json::json!({"status": "succeeded", "jobs": 1, "due": 0, "oldest_due_seconds": null})
    );
    assert_eq!(overview["workers"].as_array().unwrap().len(), 1);
}

#[test]
fn a_file_that_failed_says_why_and_gives_its_answers() {
    let dev = Dev::start("says_why");
    let (broken, empty) = (
        dev.transcript("broken.txt", &format!("{CALL}[stand-in: break the schema]\n")),
        dev.transcript("empty.txt", ""),
    );

    let submitted = dev.run(&["submit", &broken, &empty, "--wait", "--json"]);
    assert_eq!(submitted.status.code(), Some(1), "{submitted:?}");
    let submitted: Value = serde_json::from_slice(&submitted.stdout).unwrap();
    assert_eq!(submitted[0]["status"]["error_code"], "schema_validation_failed");
    assert_eq!(submitted[1]["status"]["error_code"], "transcript_empty");

    let key = &submitted[0]["status"]["raw_output_key"];
    let id = submitted[0]["file_id"].as_str().unwrap();
    let refused = dev.run(&["report", id]);
    assert_eq!((refused.status.code(), text(&refused.stdout)), (Some(1), ""));
    assert!(text(&refused.stderr).contains("schema_validation_failed"), "{refused:?}");
    assert!(text(&refused.stderr).contains(key.as_str().unwrap()), "{refused:?}");
    let raw = dev.run(&["report", id, "--raw"]);
    assert!(raw.status.success(), "{raw:?}");
    assert_eq!(raw.stdout, dev.object(key));

    let without_answer = dev.run(&["report", submitted[1]["file_id"].as_str().unwrap(), "--raw"]);
    assert_eq!(without_answer.status.code(), Some(1));
    let unknown = dev.run(&["report", "0198c0de-0000-7000-8000-000000000002"]);
    assert_eq!(text(&unknown.stderr), "error: there is no file 0198c0de-0000-7000-8000-000000000002\n");
}

#[test]
fn nothing_is_submitted_if_one_path_is_wrong() {
    let dev = Dev::start("nothing_is_submitted");
    let (call, slides) = (dev.transcript("call.txt", CALL), dev.transcript("slides.pdf", "%PDF"));
    let refused = dev.run(&["submit", &call, &slides, "missing.vtt"]);
    assert_eq!((refused.status.code(), text(&refused.stdout)), (Some(1), ""));
    for fault in ["slides.pdf: is not a transcript", "missing.vtt: cannot be read", "nothing was submitted"] {
        assert!(text(&refused.stderr).contains(fault), "{refused:?}");
    }
    let overview: Value = serde_json::from_slice(&dev.run(&["status", "--json"]).stdout).unwrap();
    assert_eq!(
        overview["queue"].as_array().unwrap().iter().map(|depth| depth["jobs"].as_u64().unwrap()).sum::<u64>(),
        0
    );
}

#[test]
fn check_gives_each_part_a_verdict_and_a_fix() {
    let dev = Dev::start("check");
    let good = dev.run(&["check", "--json"]);
    assert_eq!(good.status.code(), Some(0), "{good:?}");
    let good: Value = serde_json::from_slice(&good.stdout).unwrap();
    assert!(good["checks"].as_array().unwrap().iter().all(|check| check["verdict"] == "ok"), "{good}");

    let verdicts = |variables: &str| {
        let output = dev.run_with(variables, &["check", "--json"]);
        let found: Value = serde_json::from_slice(&output.stdout).unwrap();
        let bad = found["checks"].as_array().unwrap().iter().filter(|check| check["verdict"] != "ok");
        let shown = bad.map(|check| {
            let text = |field: &str| check[field].as_str().unwrap_or_default().to_owned();
            assert!(check["verdict"] == "skipped" || !text("cure").is_empty(), "{check}");
            format!("{} {}", text("name"), text("verdict"))
        });
        (output.status.code(), shown.collect::<Vec<_>>().join(", "))
    };
    assert_eq!(verdicts("S3_BUCKET=missing\n"), (Some(1), "bucket failed, sweep skipped".to_owned()));
    assert_eq!(verdicts("S3_SECRET_ACCESS_KEY=wrong\n"), (Some(1), "bucket failed, sweep skipped".to_owned()));
    assert_eq!(verdicts("LLM_MODEL=other\n"), (Some(0), "model warning".to_owned()));
    assert_eq!(verdicts("REPORT_PROMPT_VERSION=\n"), (Some(0), "guests warning".to_owned()));
    assert_eq!(verdicts("REPORT_PROMPT_VERSION=v0\n"), (Some(1), "guests failed".to_owned()));
    // Parts that do not need the wrong variable are still checked.
    let faulty = "database skipped, notifications skipped, sweep skipped";
    assert_eq!(verdicts("DATABASE_URL=\n"), (Some(64), format!("configuration failed, {faulty}")));
}

#[test]
fn requeue_runs_files_again_by_their_state_and_the_old_names_still_work() {
    let dev = Dev::start("requeue");
    let good = dev.transcript("good.txt", CALL);
    let broken = dev.transcript("broken.txt", &format!("{CALL}[stand-in: break the schema]\n"));
    let submitted = dev.run(&["submit", &good, &broken, "--wait", "--json"]);
    let submitted: Value = serde_json::from_slice(&submitted.stdout).unwrap();
    let id = |index: usize, name: &str| submitted[index][name].as_str().unwrap().to_owned();
    let (good, good_job, broken) = (id(0, "file_id"), id(0, "job_id"), id(1, "file_id"));
    assert!(dev.run(&["queue", "pause"]).status.success());
    let json = |arguments: &[&str]| {
        let output = dev.run(&[arguments, &["--json"]].concat());
        let document: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        (output.status.code().unwrap(), document)
    };

    let unknown = "0198c0de-0000-7000-8000-000000000002";
    let (code, planned) = json(&["requeue", &good_job, &broken, unknown, &good, "--dry-run"]);
    assert_eq!((code, &planned["jobs"], &planned["refused"][0]["id"]), (1, &2.into(), &unknown.into()), "{planned}");
    assert_eq!(planned["failed"][0]["code"], "schema_validation_failed");
    assert_eq!(planned["succeeded"][0]["files"], 1);
    let (code, planned) = json(&["rerun", &good, &broken, "--dry-run"]);
    assert_eq!((code, &planned["files"], &planned["refused"][0]["file_id"]), (1, &1.into(), &broken.clone().into()));
    let (code, planned) = json(&["jobs", "retry", &good, &broken, "--dry-run"]);
    assert_eq!((code, &planned["jobs"], &planned["refused"][0]["id"]), (1, &1.into(), &good.clone().into()));
    let (code, planned) = json(&["requeue", "--succeeded", "--since", "1h", "--dry-run"]);
    assert_eq!((code, &planned["jobs"], &planned["failed"]), (0, &1.into(), &serde_json::json!([])));
    let (code, planned) = json(&["requeue", "--failed", "--code", "llm_timeout", "--dry-run"]);
    assert_eq!((code, &planned["jobs"]), (0, &0.into()));

    let (code, done) = json(&["requeue", &good_job, &broken, "--rate", "1/h"]);
    assert_eq!((code, &done["jobs"]), (0, &2.into()), "{done}");
    let (code, again) = json(&["requeue", &good, &broken]);
    assert_eq!((code, &again["jobs"], again["refused"].as_array().unwrap().len()), (1, &0.into(), 2), "{again}");
    assert_eq!(again["refused"][0]["reason"], "it is already queued");

    for wrong in [
        &["requeue"][..],
        &["requeue", "--failed", "--succeeded"],
        &["requeue", "--since", "7d"],
        &["requeue", "--succeeded", "--code", "llm_timeout"],
        &["requeue", "--failed", "--prompt-version", "minutes-v1"],
        &["requeue", "--code", "llm_timeout"],
        &["requeue", &good, "--since", "7d"],
        &["requeue", &good, "--failed"],
        &["requeue", &good, "--code", "llm_timeout"],
    ] {
        assert_eq!(dev.run(wrong).status.code(), Some(2), "{wrong:?}");
    }
}
