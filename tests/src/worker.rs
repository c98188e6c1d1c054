//! A worker of the real binary: its environment, its guests, and their code compiled before any test waits for it.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use assay_core::env::Variables;
use assay_runtime::{
    Compiler,
    testing::{WatGuest, hostile},
};
use assay_worker::guests::{Guests, GuestsConfig};
use tokio::sync::OnceCell;

use crate::{AssayProcess, Signal, World, binary};

/// The environment of a worker.
pub type Env = BTreeMap<String, String>;

/// A transcript that says enough.
pub const TRANSCRIPT: &str = "Ana: We ship on Friday.\nBen: I will write the notes.\n";

/// Returns the environment with some variables changed.
#[must_use]
pub fn with(mut env: Env, changes: &[(&str, &str)]) -> Env {
    env.extend(changes.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    env
}

/// Returns a worker that has loaded its guests and claims.
///
/// # Panics
/// If it does not come so far.
pub async fn worker(env: &Env) -> AssayProcess {
    compile_once(env).await;
    let mut worker = AssayProcess::spawn(&["worker"], env);
    let started = worker.wait_for_line_or_end("worker started").await;
    assert!(started, "the worker ended: {:#?}", worker.stderr());
    worker
}

/// Ends a worker as a crash does: at once, with its claims held.
pub async fn die(worker: &mut AssayProcess) {
    worker.signal(Signal::KILL);
    worker.wait().await;
}

/// Returns where the built example guests lie.
pub fn examples() -> PathBuf {
    crate::guests().join("examples")
}

/// Returns where a worker serves its health and metrics, as it says itself.
///
/// # Panics
/// If its line has no address.
pub async fn admin(worker: &AssayProcess) -> String {
    let line = worker.wait_for_line("serving /livez").await;
    let (_, address) = line.split_once("127.0.0.1:").expect("the address in the line");
    let port: String = address.chars().take_while(char::is_ascii_digit).collect();
    format!("http://127.0.0.1:{port}")
}

/// Compiles what most tests run, once per test process.
async fn compile_once(env: &Env) {
    static COMPILED: OnceCell<()> = OnceCell::const_new();
    COMPILED
        .get_or_init(|| async {
            compile_folder(env, &crate::guests()).await;
            compile_folder(env, &examples()).await;
            compile(env, &[WatGuest::new("plain"), hostile::breaks_its_own_schema(), hostile::accepts_nested(1)]).await;
        })
        .await;
}

/// Compiles guests and the verifiers of their schemas into the cache that all workers share, without a deadline: a cold cache
/// on a busy machine takes longer than any test waits for a worker.
///
/// # Panics
/// If one does not load.
pub async fn compile(env: &Env, guests: &[WatGuest]) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for (number, guest) in guests.iter().enumerate() {
        let version = format!("schema-{number}");
        let file = folder.path().join(&version).with_extension("wasm");
        std::fs::write(file, guest.clone().prompt_version(&version).build()).expect("a guest on disk");
    }
    compile_folder(env, folder.path()).await;
}

/// Compiles the guests of a folder into the cache that `env` names, without a deadline.
///
/// # Panics
/// If one does not load.
pub async fn compile_folder(env: &Env, guests: &Path) {
    let mut vars = Variables::from_map(with(env.clone(), &[("GUEST_DIR", &guests.display().to_string())]));
    let config = GuestsConfig { default_version: None, ..GuestsConfig::load(&mut vars) };
    let compiler = Compiler::Child { program: binary(), args: vec!["compile-guest".into()] };
    let guests = Guests::open(&config, compiler).await.expect("a folder of guests");
    assert_eq!(guests.not_loaded(), [], "they load");
}

/// Returns a folder with these guests as the releases.
///
/// # Panics
/// If it cannot be written.
pub fn folder_of(world: &World, guests: &[WatGuest]) -> PathBuf {
    let folder = world.folder().join("guests");
    std::fs::create_dir_all(&folder).expect("a folder for guests");
    for (number, guest) in guests.iter().enumerate() {
        std::fs::write(folder.join(format!("{number}.wasm")), guest.build()).expect("a guest on disk");
    }
    folder
}

/// Returns the world's environment with guests of the test's own; the first one is the default where there is only one.
pub fn env_with_guests(world: &World, guests: &[WatGuest]) -> Env {
    let folder = folder_of(world, guests);
    with(world.env(), &[("GUEST_DIR", &folder.display().to_string())])
}
