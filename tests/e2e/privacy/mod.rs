//! No word of a document leaves for a log, a metric, an error, a row or what a command shows of a job.

mod clean;
mod guests;

use assay_runtime::testing::{WatGuest, hostile};
use assay_tests::{AssayProcess, Call, Fault, Gate, Operation, Reply, Signal, World};
use serde_json::json;
use uuid::Uuid;

use crate::{
    fixtures::{Env, VERSION, admin, answer, env_with_guests, with},
    privacy::clean::{assert_clean, shown_by_commands},
};

/// In every transcript; also what a model that quotes it says.
const IN_TRANSCRIPT: &str = "MARKERTRANSCRIPT";
const IN_ANSWER: &str = "MARKERANSWER";
/// In the errors, headers and names of model and store, in file names and attributes.
const IN_METADATA: &str = "MARKERMETADATA";
const MARKERS: [&str; 3] = [IN_TRANSCRIPT, IN_ANSWER, IN_METADATA];

/// Bytes, of a transcript and of an answer.
const LIMIT: usize = 8192;

/// Every path of a job: the word of its transcript that leads down it, and the code at its end; none for a success.
const PATHS: [(&str, Option<&str>); 27] = [
    ("FINE", None),
    ("VTT", None),
    // The original.
    ("LATIN", Some("transcript_invalid_encoding")),
    ("MISSING", Some("transcript_not_found")),
    ("EMPTY", Some("transcript_empty")),
    ("LARGE", Some("transcript_too_large")),
    ("NOREAD", Some("s3_read_failed")),
    // The model.
    ("TRUNCATE", Some("llm_output_truncated")),
    ("REFUSE", Some("llm_refused")),
    ("FILTER", Some("llm_content_filtered")),
    ("VERBOSE", Some("llm_answer_too_large")),
    ("SILENT", Some("llm_timeout")),
    ("QUOTE2", Some("llm_bad_envelope")),
    ("QUOTE400", Some("llm_request_rejected")),
    ("QUOTE401", Some("llm_auth_failed")),
    ("QUOTE429", Some("llm_rate_limited")),
    ("QUOTA", Some("llm_quota_exhausted")),
    ("QUOTE500", Some("llm_provider_5xx")),
    ("RESET", Some("llm_network_error")),
    ("CUT", Some("llm_network_error")),
    ("HTML", Some("llm_bad_envelope")),
    // The guest and its report.
    ("PROSE", Some("schema_validation_failed")),
    ("BREAK", Some("schema_validation_failed")),
    ("TRAP", Some("guest_trap")),
    ("KEY", Some("report_invalid")),
    ("VALUE", Some("report_invalid")),
    ("NOWRITE", Some("s3_write_failed")),
];

/// Paths on which the model fails. Five such calls among ten would open its breaker, and then no other path would be taken.
const FAILURES: [&str; 6] = ["SILENT", "QUOTE2", "QUOTE500", "RESET", "CUT", "HTML"];
/// Paths that open a breaker with a single call.
const FAULTS: [&str; 2] = ["QUOTE401", "QUOTA"];

#[tokio::test(flavor = "multi_thread")]
async fn no_text_of_a_document_reaches_a_log() {
    for (level, format) in
        [("error", "text"), ("warn", "text"), ("info", "text"), ("debug", "text"), ("trace", "text"), ("trace", "json")]
    {
        every_path(level, format).await;
    }
}

/// One worker, one job down every path that a job can take.
async fn every_path(level: &str, format: &str) {
    let world = World::start().await;
    let never = Gate::new();
    world.model.respond(move |call| reply(call, &never));
    // The worker starts when every job is in the queue, so that none has more attempts than it is given here.
    let mut files = Vec::new();
    for (path, code) in PATHS {
        files.push((path, enqueue(&world, path).await, code));
    }
    sqlx::query("UPDATE processing_jobs SET max_attempts = 2").execute(world.database.pool()).await.expect("jobs");
    let apart = |path: &str| FAILURES.contains(&path) || FAULTS.contains(&path);
    for (_, id, _) in files.iter().filter(|(path, ..)| apart(path)) {
        let later = "UPDATE processing_jobs SET next_run_at = now() + interval '1 hour' WHERE file_id = $1";
        sqlx::query(later).bind(id).execute(world.database.pool()).await.expect("a job");
    }
    let mut worker = AssayProcess::spawn(&["worker"], &guests_and_limits(&world, level, format));
    for file in files.iter().filter(|(path, ..)| !apart(path)) {
        taken(&world, file).await;
    }
    for file in files.iter().filter(|(path, ..)| FAILURES.contains(path)) {
        // Of ten calls, no more than those of two such paths fail.
        for _ in 0..4 {
            taken(&world, &("FINE", enqueue(&world, "FINE").await, None)).await;
        }
        world.make_due(file.1).await;
        taken(&world, file).await;
    }
    for file in files.iter().filter(|(path, ..)| FAULTS.contains(path)) {
        world.make_due(file.1).await;
        taken(&world, file).await;
    }

    // At the two upper levels a worker does not say where it serves.
    let metrics = if ["error", "warn"].contains(&level) { String::new() } else { metrics(&worker).await };
    worker.signal(Signal::TERM);
    assert!(worker.wait().await.success());
    let log = worker.stderr();
    outcomes_are_told(&files, &log, level);
    assert_clean(&world, &[log, lines(&metrics), worker.stdout()].concat(), level).await;
    if (level, format) == ("info", "text") {
        let ids: Vec<_> = files.iter().map(|(_, id, _)| *id).collect();
        assert_clean(&world, &shown_by_commands(&world, &ids).await, "commands").await;
    }
}

/// Waits until a job has come to the end of its path.
async fn taken(world: &World, (path, id, code): &(&str, Uuid, Option<&str>)) {
    let ended = |status: &str| ["succeeded", "failed"].contains(&status);
    // What is held or put off waits, with the code beside it.
    let waits = |found: Option<&str>| {
        found == *code && matches!(found, Some("llm_auth_failed" | "llm_rate_limited" | "llm_quota_exhausted"))
    };
    let job = world.wait_for_job(*id, |job| ended(&job.status) || waits(job.last_error_code.as_deref())).await;
    match code {
        None => assert_eq!(job.status, "succeeded", "{path}: {job:?}"),
        Some(code) => assert_eq!(job.last_error_code.as_deref(), Some(*code), "{path}: {job:?}"),
    }
}

/// Returns what the model says, with a marker in every text beside the answer.
fn reply(call: &Call, never: &Gate) -> Reply {
    const HEADERS: [&str; 9] = [
        "x-request-id",
        "request-id",
        "retry-after",
        "retry-after-ms",
        "x-should-retry",
        "location",
        "server",
        "set-cookie",
        "www-authenticate",
    ];
    let reply = HEADERS.iter().fold(said(call, never), |reply, name| reply.header(name, IN_METADATA));
    if !reply.is_completion() {
        return reply.header("content-type", &format!("{IN_METADATA}/{IN_METADATA}"));
    }
    reply.edit(|completion| {
        for name in ["model", "object", "system_fingerprint", "service_tier"] {
            completion[name] = json!(IN_METADATA);
        }
        let end = &mut completion["choices"][0]["finish_reason"];
        if *end == "stop" {
            *end = json!(IN_METADATA);
        }
    })
}

/// Returns what the model says, by the word of the path in what it is asked.
fn said(call: &Call, never: &Gate) -> Reply {
    let text = call.text();
    let quote = |code: &str| {
        let message = format!("{IN_METADATA} {IN_TRANSCRIPT}");
        let error = json!({ "message": message, "type": IN_METADATA, "code": code, "param": IN_METADATA });
        json!({ "error": error, "detail": IN_METADATA, "status": IN_METADATA }).to_string()
    };
    let mut good = answer();
    good["overview"] = json!(IN_ANSWER);
    match text {
        text if text.contains("PROSE") => Reply::answer(IN_ANSWER),
        text if text.contains("BREAK") => {
            Reply::json(&json!({ "overview": IN_ANSWER, IN_ANSWER: 1, "risk_level": IN_ANSWER }))
        }
        text if text.contains("TRUNCATE") => Reply::json(&good).finish_reason("length"),
        text if text.contains("FILTER") => Reply::json(&good).finish_reason("content_filter"),
        text if text.contains("REFUSE") => Reply::refusal(IN_ANSWER),
        text if text.contains("VERBOSE") => Reply::answer(IN_ANSWER.repeat(LIMIT / IN_ANSWER.len() + 1)),
        text if text.contains("SILENT") => Reply::json(&good).held(never),
        text if text.contains("QUOTE2") => Reply::status(200, quote(IN_METADATA)),
        text if text.contains("QUOTE400") => Reply::status(400, quote(IN_METADATA)),
        text if text.contains("QUOTE401") => Reply::status(401, quote("invalid_api_key")),
        text if text.contains("QUOTE429") => Reply::status(429, quote("rate_limit_exceeded")),
        text if text.contains("QUOTA") => Reply::status(429, quote("insufficient_quota")),
        text if text.contains("QUOTE500") => Reply::status(500, quote(IN_METADATA)),
        text if text.contains("RESET") => Reply::reset(),
        text if text.contains("CUT") => Reply::json(&good).cut_after(40),
        text if text.contains("HTML") => Reply::status(200, format!("<html>{IN_ANSWER}</html>")),
        _ => Reply::json(&good),
    }
}

/// Returns a job that goes down a path, with markers in everything that is a user's.
async fn enqueue(world: &World, path: &str) -> Uuid {
    let mut transcript = match path {
        "EMPTY" => " \n".to_owned(),
        "LARGE" => IN_TRANSCRIPT.repeat(LIMIT / IN_TRANSCRIPT.len() + 1),
        "VTT" => format!("WEBVTT\n\n00:01.000 --> 00:02.000\n<v Ana>{IN_TRANSCRIPT}\n"),
        _ => format!("Ana: {IN_TRANSCRIPT} {path}.\n"),
    }
    .into_bytes();
    if path == "LATIN" {
        transcript.push(0xe9);
    }
    let id = match path {
        "MISSING" => world.row("txt", transcript.len()).await,
        "VTT" => world.upload("vtt", transcript).await,
        _ => world.upload("txt", transcript).await,
    };
    let marked =
        "UPDATE files SET original_filename = $2, attributes = jsonb_build_object('team', $2::text) WHERE id = $1";
    sqlx::query(marked).bind(id).bind(IN_METADATA).execute(world.database.pool()).await.expect("a file");
    let denied = Fault::Status { status: 500, code: IN_METADATA };
    match path {
        "NOWRITE" => world.objects.fault_always(Operation::Put, &format!("{id}/runs"), denied),
        "NOREAD" => world.objects.fault_always(Operation::Get, &format!("{id}/original"), denied),
        _ => {}
    }
    let guest = match path {
        "TRAP" => "traps",
        "KEY" => "unknown-key",
        "VALUE" => "wrong-value",
        _ => VERSION,
    };
    world.enqueue_file(id, Some(guest)).await;
    id
}

/// Returns the environment of the worker: the reference guest, and three whose reports or ends are at fault.
fn guests_and_limits(world: &World, level: &str, format: &str) -> Env {
    let report = format!(r#"{{"{IN_ANSWER}":"{IN_ANSWER}"}}"#);
    let guests = [
        hostile::traps("(unreachable)"),
        WatGuest::new("unknown-key")
            .schema(r#"{"type":"object","required":["overview"],"additionalProperties":false}"#)
            .document(&report),
        WatGuest::new("wrong-value")
            .schema(r#"{"type":"object","additionalProperties":{"type":"number"}}"#)
            .document(&report),
    ];
    let env = env_with_guests(world, &guests);
    let name = format!("{VERSION}.wasm");
    std::fs::copy(assay_tests::guests().join(&name), world.folder().join("guests").join(&name)).expect("the guest");
    let limit = LIMIT.to_string();
    let changes = [
        ("LOG_LEVEL", level),
        ("LOG_FORMAT", format),
        ("REPORT_PROMPT_VERSION", VERSION),
        ("WORKER_CONCURRENCY", "16"),
        ("JOB_BACKOFF_MS", "1"),
        ("S3_OPERATION_TIMEOUT_MS", "1500"),
        ("LLM_TIMEOUT_MS", "3000"),
        ("TRANSCRIPT_MAX_BYTES", &limit),
        ("ANSWER_MAX_BYTES", &limit),
    ];
    with(env, &changes)
}

/// Every outcome that the level shows has its line: what is looked through below is not an empty log.
fn outcomes_are_told(files: &[(&str, Uuid, Option<&str>)], log: &[String], level: &str) {
    let outcomes: Vec<_> =
        log.iter().filter(|line| line.contains("job settled") || line.contains("job held")).collect();
    if ["error", "warn"].contains(&level) {
        // A job's span, and its id with it, begins at `info`.
        let shown =
            files.iter().filter(|(_, _, code)| code.is_some_and(|code| level == "warn" || code != "llm_rate_limited"));
        let shown = shown.count();
        assert!(outcomes.len() >= shown, "{} of {shown} outcomes at level {level}", outcomes.len());
        return;
    }
    for (path, id, code) in files {
        let id = id.to_string();
        let printed = outcomes.iter().any(|line| line.contains(&id) && code.is_none_or(|code| line.contains(code)));
        assert!(printed, "the outcome of {path} is not logged at level {level}:\n{outcomes:#?}");
    }
}

async fn metrics(worker: &AssayProcess) -> String {
    let page = reqwest::get(format!("{}/metrics", admin(worker).await)).await.expect("the page");
    let text = page.text().await.expect("a body");
    assert!(text.contains("assay_outcomes_total{"), "{text}");
    text
}

fn lines(text: &str) -> Vec<String> {
    text.lines().map(str::to_owned).collect()
}
