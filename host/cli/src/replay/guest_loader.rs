//! Loads the guests of a replay from a folder, a component, or the bucket.

use std::{collections::BTreeMap, path::Path, sync::Arc, thread::available_parallelism};

use anyhow::{Context, anyhow, ensure};
use assay_core::{env::Variables, object_keys::guest_key};
use assay_db::releases::ReleaseRow;
use assay_objects::ObjectsErrorKind;
use assay_runtime::{Digest, Runtime};
use assay_worker::guests::{GuestsConfig, Release, sandbox};

use crate::{compile, exit::Failure, guest::check, output, release::names, replay::context::ReplayContext};

pub struct Candidate {
    pub release: Arc<Release>,
    /// Source of the guest, as text.
    pub origin: String,
}

pub struct GuestLoader<'a> {
    context: &'a ReplayContext,
    runtime: Runtime,
    threads: usize,
    releases: Vec<ReleaseRow>,
}

impl<'a> GuestLoader<'a> {
    /// Starts the sandbox, and lists the releases.
    pub async fn open(context: &'a ReplayContext) -> anyhow::Result<Self> {
        let releases = context.database.releases().await.context("list the releases")?;
        // One guest may use all threads but one. This way it can use every core.
        let cores = available_parallelism().map_or(2, usize::from);
        let threads = context.guests.threads.unwrap_or(cores + 1);
        let config = GuestsConfig { threads: Some(threads), ..context.guests.clone() };
        let runtime = sandbox(&config, compile::child()?).context("start the sandbox")?;
        Ok(Self { context, runtime, threads, releases })
    }

    pub fn runtime(&self) -> &Runtime {
        &self.runtime
    }

    pub fn threads(&self) -> usize {
        self.threads
    }

    /// Loads the guest at this path, else the release of this name.
    pub async fn guest(&self, meant: &str, values: BTreeMap<String, String>) -> Result<Candidate, Failure> {
        let path = Path::new(meant);
        if !path.exists() {
            let not_found = || format!("there is no file or folder {meant}, and no such release");
            return Ok(self.published(meant).await.with_context(not_found)?);
        }
        let admitted = match check::admit(path, Variables::from_map(values)).await? {
            Ok(admitted) => admitted,
            Err(table) => {
                output::print(&table)?;
                return Err(anyhow!("{} cannot be replayed: it breaks a rule of admission", path.display()).into());
            }
        };
        let release = self.load(&admitted.bytes).await?;
        Ok(Candidate { release: Arc::new(release), origin: path.display().to_string() })
    }

    /// Loads a release.
    pub async fn published(&self, meant: &str) -> anyhow::Result<Candidate> {
        let row = names::find(&self.releases, meant)?;
        let (name, expected) = (names::name(row), row.digest.parse::<Digest>().context("the digest of a release")?);
        // A machine that ran it before has its image in the cache.
        let cached = Release::load_cached(&self.runtime, expected).await.unwrap_or(None);
        let release = match cached {
            Some(release) => release,
            None => {
                let objects = &self.context.objects;
                let limit = self.context.guests.limits.sandbox.component_bytes;
                let bytes = objects.read(objects.bucket(), &guest_key(&row.digest), limit).await;
                let bytes = bytes.map_err(|error| match error.kind {
                    ObjectsErrorKind::NotFound => {
                        anyhow!("{} is not in the bucket; publish the release again", guest_key(&row.digest))
                    }
                    _ => error.into(),
                });
                let bytes = bytes.with_context(|| format!("fetch {name}"))?;
                ensure!(Digest::of(&bytes) == expected, "fetch {name}: its bytes do not match its digest");
                self.load(&bytes).await?
            }
        };
        Ok(Candidate { release: Arc::new(release), origin: format!("release {name}") })
    }

    async fn load(&self, bytes: &[u8]) -> anyhow::Result<Release> {
        Release::load(&self.runtime, bytes).await.context("load the guest")
    }
}
