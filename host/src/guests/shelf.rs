//! Which release serves what: the files of `GUEST_DIR`, and digests that are kept for jobs in flight.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context, bail};
use assay_runtime::Runtime;

use crate::{
    guests::{GuestsConfig, Release},
    job::Serving,
};

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
}

/// A file that is not a guest that this worker can run.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct NotLoaded {
    /// The file.
    pub file: PathBuf,
    /// The rule it breaks, with the cure.
    pub reason: String,
}

/// The releases by digest, and the digest that serves each prompt version.
pub(super) struct Shelf {
    releases: HashMap<String, Arc<Release>>,
    versions: BTreeMap<String, String>,
    default: Option<String>,
    /// Where the releases of the directory were read from.
    files: Vec<(String, PathBuf)>,
    not_loaded: Vec<NotLoaded>,
}

impl Shelf {
    pub(super) async fn read(runtime: &Runtime, config: &GuestsConfig) -> anyhow::Result<Self> {
        let mut shelf = Self {
            releases: HashMap::new(),
            versions: BTreeMap::new(),
            default: None,
            files: Vec::new(),
            not_loaded: Vec::new(),
        };
        let mut files: BTreeMap<String, PathBuf> = BTreeMap::new();
        for file in wasm_files(&config.directory)? {
            let bytes = std::fs::read(&file).with_context(|| format!("read {}", file.display()))?;
            let release = match Release::load(runtime, &bytes).await {
                Ok(release) => release,
                Err(error) => {
                    let reason = format!("{:#}", anyhow::Error::from(error));
                    tracing::error!(guest.file = %file.display(), guest.error = reason, "guest does not load; jobs for it wait");
                    shelf.not_loaded.push(NotLoaded { file, reason });
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
            shelf.files.push((release.digest().to_owned(), file));
            shelf.versions.insert(version, release.digest().to_owned());
            shelf.releases.insert(release.digest().to_owned(), Arc::new(release));
        }
        shelf.default = shelf.default_for(config)?;
        Ok(shelf)
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
        Serving {
            versions: self.versions.iter().map(|(version, digest)| (version.clone(), digest.clone())).collect(),
            default: self.default.clone(),
            digests: self.releases.keys().cloned().collect(),
        }
    }

    pub(super) fn release(&self, digest: &str) -> Option<Arc<Release>> {
        self.releases.get(digest).cloned()
    }

    pub(super) fn keep(&mut self, release: Release) {
        self.releases.entry(release.digest().to_owned()).or_insert_with(|| Arc::new(release));
    }

    /// Drops what was kept for jobs and is not among `pinned`.
    pub(super) fn keep_only(&mut self, pinned: &[String]) {
        let served: HashSet<&String> = self.versions.values().chain(pinned).collect();
        self.releases.retain(|digest, _| served.contains(digest));
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
                kept: !self.versions.values().any(|digest| digest == release.digest()),
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

/// The `*.wasm` files of a folder, by name.
fn wasm_files(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let entries =
        std::fs::read_dir(folder).with_context(|| format!("GUEST_DIR: read the folder {}", folder.display()))?;
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.with_context(|| format!("read the folder {}", folder.display()))?.path();
        if path.extension().is_some_and(|extension| extension == "wasm") && path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}
