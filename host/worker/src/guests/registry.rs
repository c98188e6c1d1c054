//! Which release serves what: the files of `GUEST_DIR`, what channels run, and digests that are kept for jobs in flight.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use assay_core::{
    channel::{Channel, Plan},
    job::Serving,
};
use assay_runtime::{LoadError, Runtime};

use crate::guests::{GuestsConfig, Release, channels::Channels};

/// A release as operators see it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Loaded {
    /// From its manifest.
    pub prompt_version: String,
    /// From its manifest.
    pub schema_version: String,
    /// sha256, lower hex.
    pub digest: String,
    /// Whether jobs that name no prompt version get it.
    pub is_default: bool,
    /// Whether it serves only jobs that have pinned it.
    pub kept: bool,
    /// The channels that run it, as active release or as canary.
    pub channels: Vec<String>,
}

/// A file that is not a guest that this worker can run.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct NotLoaded {
    /// The file.
    pub file: PathBuf,
    /// As in docs/errors.md.
    pub code: &'static str,
    /// The rule it breaks, with the cure.
    pub reason: String,
}

/// Why a file gives no release.
#[derive(Debug, thiserror::Error)]
enum Refused {
    #[error("read the guest: {0}; put a file there that this user can read")]
    Unreadable(io::Error),
    #[error(transparent)]
    Load(#[from] LoadError),
}

impl Refused {
    const fn code(&self) -> &'static str {
        match self {
            Self::Unreadable(_) => "file_unreadable",
            Self::Load(error) => error.code(),
        }
    }
}

/// The releases by digest, and the digest that serves each prompt version.
pub(super) struct GuestRegistry {
    releases: HashMap<String, Arc<Release>>,
    versions: BTreeMap<String, String>,
    default: Option<String>,
    channels: Channels,
    /// Releases that serve no new jobs, although a file of the directory may have them.
    retired: HashSet<String>,
    /// Releases that are wanted and do not load, with the reason.
    refused: BTreeMap<String, String>,
    /// Since when a release neither serves nor is pinned.
    idle: HashMap<String, Instant>,
    /// Where the releases of the directory were read from.
    files: Vec<(String, PathBuf)>,
    not_loaded: Vec<NotLoaded>,
}

impl GuestRegistry {
    pub(super) async fn read(runtime: &Runtime, config: &GuestsConfig) -> anyhow::Result<Self> {
        let mut registry = Self {
            releases: HashMap::new(),
            versions: BTreeMap::new(),
            default: None,
            channels: Channels::default(),
            retired: HashSet::new(),
            refused: BTreeMap::new(),
            idle: HashMap::new(),
            files: Vec::new(),
            not_loaded: Vec::new(),
        };
        let mut files: BTreeMap<String, PathBuf> = BTreeMap::new();
        for file in wasm_files(&config.directory)? {
            let release = match load(runtime, &file, config.limits.sandbox.component_bytes).await {
                Ok(release) => release,
                Err(error) => {
                    let (code, reason) = (error.code(), format!("{:#}", anyhow::Error::from(error)));
                    tracing::error!(
                        guest.file = %file.display(),
                        guest.code = code,
                        guest.error = reason,
                        "guest does not load; jobs for it wait"
                    );
                    registry.not_loaded.push(NotLoaded { file, code, reason });
                    continue;
                }
            };
            let version = release.manifest().prompt_version.clone();
            if let Some(other) = files.insert(version.clone(), file.clone()) {
                bail!("{} and {} both claim prompt version {version:?}: remove one", other.display(), file.display());
            }
            tracing::info!(
                guest.version = version,
                guest.digest = release.digest(),
                guest.file = %file.display(),
                "guest loaded"
            );
            registry.files.push((release.digest().to_owned(), file));
            registry.versions.insert(version, release.digest().to_owned());
            registry.releases.insert(release.digest().to_owned(), Arc::new(release));
        }
        registry.default = registry.default_for(config)?;
        Ok(registry)
    }

    fn default_for(&self, config: &GuestsConfig) -> anyhow::Result<Option<String>> {
        let Some(wanted) = &config.default_version else {
            let only = self.versions.values().next().filter(|_| self.versions.len() == 1);
            return Ok(only.cloned());
        };
        if let Some(digest) = self.versions.get(wanted) {
            return Ok(Some(digest.clone()));
        }
        if self.not_loaded.is_empty() {
            let known: Vec<_> = self.versions.keys().map(String::as_str).collect();
            bail!(
                "REPORT_PROMPT_VERSION: is {wanted:?}, but {} has {}",
                config.directory.display(),
                if known.is_empty() { "no guest".to_owned() } else { known.join(", ") }
            );
        }
        // It may be the one that did not load: jobs wait, as they do for any release that does not load.
        Ok(None)
    }

    pub(super) fn serving(&self) -> Serving {
        // A file of the directory goes before what was published under its version, until that is activated.
        let in_service = || self.versions.iter().filter(|(_, digest)| !self.retired.contains(*digest));
        let versions: BTreeMap<_, _> =
            self.channels.versions.iter().map(|(version, digest)| (version, digest)).chain(in_service()).collect();
        Serving {
            versions: versions.into_iter().map(|(version, digest)| (version.clone(), digest.clone())).collect(),
            default: self.default.clone().filter(|digest| !self.retired.contains(digest)),
            channels: self.channels.serving(&self.releases),
            digests: self.releases.keys().cloned().collect(),
        }
    }

    pub(super) fn release(&self, digest: &str) -> Option<Arc<Release>> {
        self.releases.get(digest).cloned()
    }

    pub(super) fn shadow_of(&self, channel: &str, active: &str) -> Option<Arc<Release>> {
        self.release(self.channels.shadow_of(channel, active)?)
    }

    pub(super) fn keep(&mut self, release: Release) {
        self.refused.remove(release.digest());
        self.releases.entry(release.digest().to_owned()).or_insert_with(|| Arc::new(release));
    }

    /// Exchanges what channels run, as far as it is loaded, and tells what is different.
    pub(super) fn follow(&mut self, plan: &Plan) -> Vec<(String, Channel)> {
        let releases = &self.releases;
        let versions = plan.versions.iter().filter(|(_, digest)| releases.contains_key(digest));
        self.channels.versions = versions.cloned().collect();
        self.retired = plan.retired.iter().cloned().collect();
        self.channels.follow(&plan.channels, |digest| releases.contains_key(digest))
    }

    /// Remembers why a release that is wanted does not load; whether that is news.
    pub(super) fn refuse(&mut self, digest: &str, reason: &str) -> bool {
        self.refused.insert(digest.to_owned(), reason.to_owned()).is_none_or(|before| before != reason)
    }

    pub(super) fn refused(&self) -> &BTreeMap<String, String> {
        &self.refused
    }

    /// Drops what has neither served nor been among `pinned` for `patience`, and what is said of releases that nobody wants any more.
    pub(super) fn keep_only(&mut self, pinned: &[String], wanted: &BTreeSet<String>, patience: Duration) {
        self.refused.retain(|digest, _| wanted.contains(digest));
        let served: HashSet<&str> =
            self.versions.values().chain(pinned).map(String::as_str).chain(self.channels.digests()).collect();
        self.idle.retain(|digest, _| !served.contains(digest.as_str()));
        let idle = &mut self.idle;
        self.releases.retain(|digest, _| {
            served.contains(digest.as_str())
                || idle.entry(digest.clone()).or_insert_with(Instant::now).elapsed() < patience
        });
        self.idle.retain(|digest, _| self.releases.contains_key(digest));
    }

    pub(super) fn loaded(&self) -> Vec<Loaded> {
        let mut loaded: Vec<_> = self
            .releases
            .values()
            .map(|release| Loaded {
                prompt_version: release.manifest().prompt_version.clone(),
                schema_version: release.manifest().schema_version.clone(),
                digest: release.digest().to_owned(),
                is_default: self.default.as_deref() == Some(release.digest()),
                kept: (self.retired.contains(release.digest())
                    || !self.versions.values().any(|digest| digest == release.digest()))
                    && !self.channels.digests().any(|digest| digest == release.digest()),
                channels: self.channels.that_run(release.digest()),
            })
            .collect();
        loaded.sort_by(|a, b| (&a.prompt_version, &a.digest).cmp(&(&b.prompt_version, &b.digest)));
        loaded
    }

    pub(super) fn files(&self) -> &[(String, PathBuf)] {
        &self.files
    }

    pub(super) fn not_loaded(&self) -> &[NotLoaded] {
        &self.not_loaded
    }
}

async fn load(runtime: &Runtime, file: &Path, limit: usize) -> Result<Release, Refused> {
    let bytes = read(file, limit)?;
    Ok(Release::load(runtime, &bytes).await?)
}

/// A file's bytes. One that is too large for a guest is told by its size, and not read: a file may be larger than memory.
fn read(file: &Path, limit: usize) -> Result<Vec<u8>, Refused> {
    // Before it is opened: opening a pipe waits for who writes into it.
    let facts = file.metadata().map_err(Refused::Unreadable)?;
    if !facts.is_file() {
        return Err(Refused::Unreadable(io::Error::other("it is no regular file")));
    }
    let size = usize::try_from(facts.len()).unwrap_or(usize::MAX);
    if size > limit {
        return Err(LoadError::TooLarge { bytes: size, limit }.into());
    }
    let mut bytes = Vec::with_capacity(size);
    // It may grow meanwhile; one byte over the limit is enough to refuse it.
    let most = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    let file = File::open(file).map_err(Refused::Unreadable)?;
    file.take(most).read_to_end(&mut bytes).map_err(Refused::Unreadable)?;
    Ok(bytes)
}

/// What a folder has under the name of a guest, by name.
fn wasm_files(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let entries =
        std::fs::read_dir(folder).with_context(|| format!("GUEST_DIR: read the folder {}", folder.display()))?;
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.with_context(|| format!("read the folder {}", folder.display()))?.path();
        if path.extension().is_some_and(|extension| extension == "wasm") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_as_far_as_a_guest_may_be_long() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::write(path("fits.wasm"), [7; 10]).unwrap();
        std::fs::write(path("large.wasm"), [7; 11]).unwrap();
        std::fs::create_dir(path("folder.wasm")).unwrap();
        assert!(std::process::Command::new("mkfifo").arg(path("pipe.wasm")).status().unwrap().success());
        std::os::unix::fs::symlink("nowhere", path("link.wasm")).unwrap();
        let told = |name: &str| read(&path(name), 10).map_err(|error| error.code());
        assert_eq!(told("fits.wasm"), Ok(vec![7; 10]));
        assert_eq!(told("large.wasm"), Err("component_too_large"));
        for name in ["folder.wasm", "pipe.wasm", "link.wasm", "missing.wasm"] {
            assert_eq!(told(name), Err("file_unreadable"), "{name}");
        }
    }
}
