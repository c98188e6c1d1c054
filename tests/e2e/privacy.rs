//! No word of a document leaves for a log, a metric, an error or a row.

use assay_runtime::testing::hostile;
use assay_tests::{AssayProcess, Fault, Operation, Reply, World};
use serde_json::json;

use crate::fixtures::{answer, env, env_with_guests, with, worker};

/// In every transcript; also what a model that quotes it says.
const IN_TRANSCRIPT: &str = "MARKERTRANSCRIPT";
/// In every answer.
const IN_ANSWER: &str = "MARKERANSWER";
/// In the provider's error messages, file names and attributes.
const IN_METADATA: &str = "MARKERMETADATA";
const MARKERS: [&str; 3] = [IN_TRANSCRIPT, IN_ANSWER, IN_METADATA];

#[tokio::test(flavor = "multi_thread")]
async fn no_text_of_a_document_reaches_a_log() {
    for level in ["error", "warn", "info", "debug", "trace"] {
        every_path(level).await;
    }
}

/// One worker, one job down every path that a job can take.
async fn every_path(level: &str) {
    let world = World::start().await;
    world.model.respond(|call| {
        let text = call.text();
        let quote = json!({ "error": { "message": format!("{IN_METADATA} {IN_TRANSCRIPT}"), "type": "invalid_request_error", "code": "bad" } });
        let mut good = answer();
        good["overview"] = json!(IN_ANSWER);
        match text {
            text if text.contains("PROSE") => Reply::answer(IN_ANSWER),
            text if text.contains("BREAK") => Reply::json(&json!({ "overview": IN_ANSWER, IN_ANSWER: 1, "risk_level": IN_ANSWER })),
            text if text.contains("TRUNCATE") => Reply::json(&good).finish_reason("length"),
            text if text.contains("REFUSE") => Reply::refusal(IN_ANSWER),
            text if text.contains("QUOTE4") => Reply::status(400, quote.to_string()),
            text if text.contains("QUOTE5") => Reply::status(500, quote.to_string()),
            text if text.contains("QUOTE2") => Reply::status(200, quote.to_string()),
            text if text.contains("RESET") => Reply::reset(),
            text if text.contains("CUT") => Reply::json(&good).cut_after(40),
            text if text.contains("HTML") => Reply::status(200, format!("<html>{IN_ANSWER}</html>")),
            _ => Reply::json(&good),
        }
    });
    let env = with(env(&world), &[("LOG_LEVEL", level), ("JOB_BACKOFF_MS", "1"), ("S3_OPERATION_TIMEOUT_MS", "1500")]);
    // At `error` a worker says nothing when it starts, so nothing is waited for but the files.
    let worker = AssayProcess::spawn(&["worker"], &env);
    let paths = [
        ("FINE", "succeeded"),
        ("PROSE", "failed"),
        ("BREAK", "failed"),
        ("TRUNCATE", "failed"),
        ("REFUSE", "failed"),
        ("QUOTE4", "failed"),
        ("QUOTE5", "failed"),
        ("QUOTE2", "failed"),
        ("RESET", "failed"),
        ("CUT", "failed"),
        ("HTML", "failed"),
        ("NOWRITE", "failed"),
        ("NOREAD", "failed"),
        ("LATIN", "failed"),
    ];
    let mut files = Vec::new();
    for (path, end) in paths {
        let mut transcript = format!("Ana: {IN_TRANSCRIPT} {path}.\n").into_bytes();
        if path == "LATIN" {
            transcript.push(0xe9);
        }
        let id = world.upload("txt", transcript).await;
        let marked =
            "UPDATE files SET original_filename = $2, attributes = jsonb_build_object('team', $2::text) WHERE id = $1";
        sqlx::query(marked).bind(id).bind(IN_METADATA).execute(world.database.pool()).await.expect("a file");
        let denied = Fault::Status { status: 500, code: "InternalError" };
        match path {
            "NOWRITE" => world.objects.fault_always(Operation::Put, &format!("{id}/runs"), denied),
            "NOREAD" => world.objects.fault_always(Operation::Get, &format!("{id}/original"), denied),
            _ => {}
        }
        world.enqueue_file(id, None).await;
        files.push((id, end));
    }
    for (id, end) in files {
        world.wait_for_status(id, end).await;
    }
    assert_clean(&world, &worker.stderr().join("\n"), level).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_word_of_a_guest_reaches_a_log_or_a_row() {
    let world = World::start().await;
    world.model.always(Reply::answer(IN_ANSWER));
    let talker = hostile::rejects();
    let worker = worker(&with(env_with_guests(&world, &[talker]), &[("LOG_LEVEL", "trace")])).await;
    let id = world.enqueue(format!("Ana: {IN_TRANSCRIPT}")).await;
    let file = world.wait_for_status(id, "failed").await;
    assert_eq!(file.error_code.as_deref(), Some("schema_validation_failed"));
    assert_clean(&world, &worker.stderr().join("\n"), "trace").await;
}

/// No marker in the log, nor in what the queue's tables say.
async fn assert_clean(world: &World, log: &str, level: &str) {
    for marker in MARKERS {
        let leak = log.lines().find(|line| line.contains(marker));
        assert_eq!(leak, None, "at level {level}");
        let sql = "
            SELECT count(*) FROM (
                SELECT row_to_json(j)::text AS row FROM processing_jobs j
                UNION ALL SELECT row_to_json(a)::text FROM job_attempts a
                UNION ALL SELECT row_to_json(a)::text FROM job_answers a
                UNION ALL SELECT concat(f.error_code, f.error_message) FROM files f
            ) AS rows WHERE row LIKE '%' || $1 || '%'";
        let rows: i64 = sqlx::query_scalar(sql).bind(marker).fetch_one(world.database.pool()).await.expect("a count");
        assert_eq!(rows, 0, "{marker} is in a row");
    }
}
