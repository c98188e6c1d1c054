//! A worker with a guest that behaves and one that does not, and what must hold for the first in every case.

use std::path::Path;

use assay_runtime::testing::WatGuest;
use assay_tests::{AssayProcess, FileRow, Reply, Signal, TRANSCRIPT, World, admin, env_with_guests, with, worker};
use uuid::Uuid;

use crate::cases::End;

/// The neighbour that must not notice anything.
const GOOD: &str = "good";
/// The prompt version of the guest that misbehaves.
pub const HOSTILE: &str = "hostile";
/// Words of documents, questions and log lines in these tests. They must reach no log and no row.
const WORDS: [&str; 4] = ["ship on Friday", "write the notes", "What is it about", "And then?"];
/// Longest line of a worker's log in these tests, in bytes: a guest's words would make longer ones.
const LINE_BYTES: usize = 2048;

#[expect(clippy::large_enum_variant, reason = "there is one per test")]
pub enum Misfit {
    /// A guest; it is given the version [`HOSTILE`].
    Guest(WatGuest),
    /// The bytes of a file.
    File(Vec<u8>),
    /// Something else under a file's name.
    Place(fn(&Path)),
}

impl From<WatGuest> for Misfit {
    fn from(guest: WatGuest) -> Self {
        Self::Guest(guest)
    }
}

impl From<Vec<u8>> for Misfit {
    fn from(bytes: Vec<u8>) -> Self {
        Self::File(bytes)
    }
}

impl From<fn(&Path)> for Misfit {
    fn from(place: fn(&Path)) -> Self {
        Self::Place(place)
    }
}

/// A world with a worker that has both.
pub struct Stage {
    pub world: World,
    pub worker: AssayProcess,
    neighbours: Vec<Uuid>,
    hostile: Vec<Uuid>,
}

/// Runs what misbehaves to its end.
pub async fn play(misfit: impl Into<Misfit>, end: End) {
    match end {
        End::Fails { code, attempts } => {
            // Where a call ends at its time limit, a short one saves the test its own time.
            let limit = if attempts > 1 { "500" } else { "2000" };
            let mut stage = Stage::start(misfit, &[("GUEST_CALL_TIMEOUT_MS", limit)]).await;
            stage.enqueue_in_turns().await;
            stage.neighbours_succeed().await;
            for file in stage.hostile.clone() {
                stage.fails(file, code, attempts).await;
            }
            stage.close().await;
        }
        End::Succeeds => {
            let mut stage = Stage::start(misfit, &[]).await;
            stage.enqueue_in_turns().await;
            stage.neighbours_succeed().await;
            for file in stage.hostile.clone() {
                stage.world.wait_for_status(file, "succeeded").await;
                assert_eq!(stage.world.job(file).await.attempts, 1);
            }
            stage.close().await;
        }
        End::StaysOut(code) => {
            let mut stage = Stage::start(misfit, &[("GUEST_CALL_TIMEOUT_MS", "500")]).await;
            stage.enqueue_in_turns().await;
            stage.neighbours_succeed().await;
            stage.is_told_of(code).await;
            for file in stage.hostile.clone() {
                let job = stage.world.job(file).await;
                assert_eq!((job.status.as_str(), job.attempts), ("queued", 0), "a job for it waits");
            }
            stage.close().await;
        }
        End::IsNotBuilt(_) | End::IsHeld(_) => unreachable!("such a test is written out"),
    }
}

impl Stage {
    /// Starts a worker beside whose good guest `misfit` lies; the model answers `{}` to everything.
    pub async fn start(misfit: impl Into<Misfit>, changes: &[(&str, &str)]) -> Self {
        let world = World::start().await;
        world.model.always(Reply::answer("{}"));
        let env = env_with_guests(&world, &[WatGuest::new(GOOD)]);
        let file = Path::new(&env["GUEST_DIR"]).join("hostile.wasm");
        match misfit.into() {
            Misfit::Guest(guest) => write(&file, &guest.prompt_version(HOSTILE).build()),
            Misfit::File(bytes) => write(&file, &bytes),
            Misfit::Place(place) => place(&file),
        }
        // A lease is short enough to be lost within a test, were the beats held up.
        let common = [
            ("JOB_BACKOFF_MS", "1"),
            ("WORKER_LEASE_MS", "5000"),
            ("WORKER_BEAT_MS", "500"),
            ("REAPER_EVERY_MS", "200"),
        ];
        let worker = worker(&with(with(env, &common), changes)).await;
        Self { world, worker, neighbours: Vec::new(), hostile: Vec::new() }
    }

    /// Jobs of both, in turns: two that misbehave, each before two that do not.
    pub async fn enqueue_in_turns(&mut self) {
        for _ in 0..2 {
            self.enqueue_hostile().await;
            self.enqueue_neighbour().await;
            self.enqueue_neighbour().await;
        }
    }

    /// Returns a job of the guest that misbehaves.
    pub async fn enqueue_hostile(&mut self) -> Uuid {
        let file = self.world.upload("txt", TRANSCRIPT).await;
        self.world.enqueue_file(file, Some(HOSTILE)).await;
        self.hostile.push(file);
        file
    }

    /// A job of the one that behaves.
    pub async fn enqueue_neighbour(&mut self) {
        let file = self.world.upload("txt", TRANSCRIPT).await;
        self.world.enqueue_file(file, Some(GOOD)).await;
        self.neighbours.push(file);
    }

    /// The neighbour's jobs succeed as if it were alone.
    pub async fn neighbours_succeed(&self) {
        for file in &self.neighbours {
            self.world.wait_for_status(*file, "succeeded").await;
            assert_eq!(self.world.job(*file).await.attempts, 1, "the neighbour did not notice");
        }
    }

    /// The job ends with this code, leaves no report, and says nothing of its document.
    pub async fn fails(&self, file: Uuid, code: &str, attempts: i32) -> FileRow {
        let row = self.world.wait_for_status(file, "failed").await;
        assert_eq!(row.error_code.as_deref(), Some(code), "{:?}", row.error_message);
        assert_eq!(self.world.job(file).await.attempts, attempts);
        assert_eq!(row.storage_key_report, None);
        let printed = self.world.attempts(file).await.into_iter().filter_map(|attempt| attempt.message);
        for text in printed.chain(row.error_message.clone()) {
            assert_without_words(&text);
        }
        row
    }

    /// The worker names the file and why it does not load, in its log and to who asks whether it is ready.
    pub async fn is_told_of(&self, code: &str) {
        let line = self.worker.wait_for_line("guest does not load").await;
        assert!(line.contains("hostile.wasm") && line.contains(code), "{line}");
        let ready = reqwest::get(format!("{}/readyz", admin(&self.worker).await)).await.expect("an answer");
        assert_eq!(ready.status(), 200, "the other guest serves");
        let ready: serde_json::Value = ready.json().await.expect("it is JSON");
        assert_eq!(ready["guests_not_loaded"][0]["code"], code, "{ready}");
        assert_eq!(ready["guests"].as_array().map(Vec::len), Some(1));
    }

    /// Checks the end: no lease was lost, the worker lives, no word of a document is in its log, and it ends cleanly.
    pub async fn close(mut self) {
        for file in self.neighbours.iter().chain(&self.hostile) {
            for attempt in self.world.attempts(*file).await {
                assert_ne!(attempt.outcome, "lost");
            }
        }
        self.worker.signal(Signal::TERM);
        assert!(self.worker.wait().await.success(), "it ends as it should");
        for line in self.worker.stderr() {
            assert!(!line.contains("lost claims") && !line.contains("panicked"), "{line}");
            assert!(line.len() <= LINE_BYTES, "a line of {} bytes: {}…", line.len(), &line[..100]);
            assert_without_words(&line);
        }
    }
}

#[track_caller]
fn assert_without_words(text: &str) {
    for words in WORDS {
        assert!(!text.contains(words), "{words:?} is in {text:?}");
    }
}

fn write(file: &Path, bytes: &[u8]) {
    std::fs::write(file, bytes).expect("a guest on disk");
}
