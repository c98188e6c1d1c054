//! The guests of a replay: out of a folder, a component, or the bucket.

use std::{collections::BTreeMap, path::Path, sync::Arc, thread::available_parallelism};

use anyhow::{Context, anyhow, ensure};
use assay_core::{env::Variables, object_keys::guest_key};
use assay_db::releases::ReleaseRow;
use assay_objects::ObjectsErrorKind;
use assay_runtime::{Digest, Runtime};
use assay_worker::guests::{GuestsConfig, Release, sandbox};

use super::Desk;
use crate::{compile, exit::Failure, guest, output, release};

/// A guest that is ready to run, and where it is from.
pub struct Candidate {
    /// It.
    pub release: Arc<Release>,
    /// For a person.
    pub origin: String,
}

/// Where guests are had from.
pub struct Shop<'a> {
    desk: &'a Desk,
    runtime: Runtime,
    threads: usize,
    releases: Vec<ReleaseRow>,
}

impl<'a> Shop<'a> {
    /// Starts the sandbox, and looks at what is published.
    pub async fn open(desk: &'a Desk) -> anyhow::Result<Self> {
        let releases = desk.database.releases().await.context("list the releases")?;
        // One guest holds at most all threads but one; so it gets every core.
        let cores = available_parallelism().map_or(2, usize::from);
        let threads = desk.guests.threads.unwrap_or(cores + 1);
        let config = GuestsConfig { threads: Some(threads), ..desk.guests.clone() };
        let runtime = sandbox(&config, compile::child()?).context("start the sandbox")?;
        Ok(Self { desk, runtime, threads, releases })
    }

    /// The sandbox.
    pub fn runtime(&self) -> &Runtime {
        &self.runtime
    }

    /// Threads for guest calls.
    pub fn threads(&self) -> usize {
        self.threads
    }

    /// The guest that is meant: what lies at this path, else a release.
    pub async fn guest(&self, meant: &str, values: BTreeMap<String, String>) -> Result<Candidate, Failure> {
        let path = Path::new(meant);
        if !path.exists() {
            let nothing = || format!("there is no file or folder {meant}, and no such release");
            return Ok(self.published(meant).await.with_context(nothing)?);
        }
        let admitted = match guest::admit(path, Variables::from_map(values)).await? {
            Ok(admitted) => admitted,
            Err(told) => {
                output::print(&told)?;
                return Err(anyhow!("{} cannot be replayed: it breaks a rule of admission", path.display()).into());
            }
        };
        let release = self.load(&admitted.bytes).await?;
        Ok(Candidate { release: Arc::new(release), origin: path.display().to_string() })
    }

    /// A release.
    pub async fn published(&self, meant: &str) -> anyhow::Result<Candidate> {
        let row = release::find(&self.releases, meant)?;
        let (name, expected) = (release::name(row), row.digest.parse::<Digest>().context("the digest of a release")?);
        // A machine that ran it before has its image, and needs no bytes.
        let cached = Release::load_cached(&self.runtime, expected).await.unwrap_or(None);
        let release = match cached {
            Some(release) => release,
            None => {
                let objects = &self.desk.objects;
                let limit = self.desk.guests.limits.sandbox.component_bytes;
                let bytes = objects.read(objects.bucket(), &guest_key(&row.digest), limit).await;
                let bytes = bytes.map_err(|error| match error.kind {
                    Kind::NotFound => anyhow!("the bucket has no {}; publish it again", guest_key(&row.digest)),
                    _ => error.into(),
                });
                let bytes = bytes.with_context(|| format!("fetch {name}"))?;
                ensure!(Digest::of(&bytes) == expected, "fetch {name}: its bytes are not those of its digest");
                self.load(&bytes).await?
            }
        };
        Ok(Candidate { release: Arc::new(release), origin: format!("release {name}") })
    }

    async fn load(&self, bytes: &[u8]) -> anyhow::Result<Release> {
        Release::load(&self.runtime, bytes).await.context("load the guest")
    }
}
