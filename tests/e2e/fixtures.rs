//! What several modules of tests share: workers with short times, answers that the reference guest accepts, and guests
//! of a test's own.

use std::{collections::BTreeMap, path::PathBuf};

use assay::{
    guests::{Guests, GuestsConfig},
    variables::Variables,
};
use assay_runtime::{
    Compiler,
    testing::{WatGuest, hostile},
};
use assay_tests::{AssayProcess, Signal, World, binary};
use serde_json::{Value, json};
use tokio::sync::OnceCell;

/// The environment of a worker.
pub type Env = BTreeMap<String, String>;

/// The prompt version of the reference guest that most tests run.
pub const VERSION: &str = "meeting-v1";

/// A transcript that says enough.
pub const TRANSCRIPT: &str = "Ana: We ship on Friday.\nBen: I will write the notes.\n";

/// An answer that `meeting-v1` accepts.
pub fn answer() -> Value {
    json!({
        "overview": "Ana and Ben plan a release.",
        "highlights": ["The release is on Friday."],
        "next_steps": [{ "owner": "Ben", "action": "Write the notes.", "due_date": null }],
        "risk_level": "low"
    })
}

/// The world's environment with the reference guest as the default.
pub fn env(world: &World) -> Env {
    with(world.env(), &[("REPORT_PROMPT_VERSION", VERSION)])
}

/// Leases of two seconds, so that the rescue of a dead worker's job is a matter of seconds.
pub fn short_leases(env: Env) -> Env {
    with(env, &[("WORKER_LEASE_MS", "2000"), ("WORKER_BEAT_MS", "400"), ("REAPER_EVERY_MS", "200")])
}

/// Some variables set anew.
pub fn with(mut env: Env, changes: &[(&str, &str)]) -> Env {
    env.extend(changes.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    env
}

/// A worker that has loaded its guests and claims.
pub async fn worker(env: &Env) -> AssayProcess {
    compile_once(env).await;
    let worker = AssayProcess::spawn(&["worker"], env);
    worker.wait_for_line("worker started").await;
    worker
}

/// Ends a worker as a crash does: at once, with its claims held.
pub async fn die(worker: &mut AssayProcess) {
    worker.signal(Signal::KILL);
    worker.wait().await;
}

/// Where a worker serves its health and metrics, as it says itself.
pub async fn admin(worker: &AssayProcess) -> String {
    let line = worker.wait_for_line("serving /livez").await;
    let (_, address) = line.split_once("127.0.0.1:").expect("the address in the line");
    let port: String = address.chars().take_while(char::is_ascii_digit).collect();
    format!("http://127.0.0.1:{port}")
}

/// Where the built example guests lie.
pub fn examples() -> PathBuf {
    assay_tests::guests().join("examples")
}

/// Compiles the reference guests, the examples and the verifiers of the tests' schemas into the cache that all workers share, once and
/// without a deadline: a cold cache on a busy machine takes longer than any test waits for a worker.
async fn compile_once(env: &Env) {
    static COMPILED: OnceCell<()> = OnceCell::const_new();
    COMPILED
        .get_or_init(|| async {
            let folder = tempfile::tempdir().expect("a temporary folder");
            let schemas = [WatGuest::new("plain"), hostile::breaks_its_own_schema(), hostile::accepts_nested(1)];
            for (number, guest) in schemas.into_iter().enumerate() {
                let version = format!("schema-{number}");
                std::fs::write(
                    folder.path().join(&version).with_extension("wasm"),
                    guest.prompt_version(&version).build(),
                )
                .expect("a guest on disk");
            }
            for guests in [assay_tests::guests(), examples(), folder.path().to_owned()] {
                let mut vars = Variables::from_map(with(env.clone(), &[("GUEST_DIR", &guests.display().to_string())]));
                let config = GuestsConfig { default_version: None, ..GuestsConfig::load(&mut vars) };
                let compiler = Compiler::Child { program: binary(), args: vec!["compile-guest".into()] };
                Guests::open(&config, compiler).await.expect("guests that load");
            }
        })
        .await;
}

/// A folder with these guests as the releases.
pub fn folder_of(world: &World, guests: &[WatGuest]) -> PathBuf {
    let folder = world.folder().join("guests");
    std::fs::create_dir_all(&folder).expect("a folder for guests");
    for (number, guest) in guests.iter().enumerate() {
        std::fs::write(folder.join(format!("{number}.wasm")), guest.build()).expect("a guest on disk");
    }
    folder
}

/// The world's environment with guests of the test's own; the first one is the default where there is only one.
pub fn env_with_guests(world: &World, guests: &[WatGuest]) -> Env {
    let folder = folder_of(world, guests);
    with(world.env(), &[("GUEST_DIR", &folder.display().to_string())])
}

/// A JSON object in the bucket.
pub async fn object(world: &World, key: &str) -> Value {
    let bytes = world.objects.get(key).await.unwrap_or_else(|| panic!("no object {key}"));
    serde_json::from_slice(&bytes).expect("artifacts are JSON")
}

/// Seconds between the moment a job's row was last written and its next run, both by the database's clock.
pub async fn wait_of(world: &World, file: uuid::Uuid) -> f64 {
    sqlx::query_scalar(
        "SELECT extract(epoch FROM next_run_at - updated_at)::float8 FROM processing_jobs WHERE file_id = $1",
    )
    .bind(file)
    .fetch_one(world.database.pool())
    .await
    .expect("a row in processing_jobs")
}

/// How each claim of a file's job ended, by its token.
pub async fn outcomes(world: &World, file: uuid::Uuid) -> Vec<(i64, String)> {
    world.attempts(file).await.into_iter().map(|attempt| (attempt.lease_token, attempt.outcome)).collect()
}
