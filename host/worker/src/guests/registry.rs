//! Which release serves what: files of `GUEST_DIR`, releases of channels, and releases kept for jobs that pinned them.

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
    serving::Serving,
};
use assay_runtime::{LoadError, Runtime};

use crate::guests::{channels::Channels, config::GuestsConfig, release::Release};

/// A loaded release, as operators see it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct LoadedRelease {
    pub prompt_version: String,
    pub schema_version: String,
    /// sha256 of the component, lower hex.
    pub digest: String,
    /// Whether jobs that name no prompt version get it.
    pub is_default: bool,
    /// Whether it serves only jobs that pinned it.
    pub kept: bool,
    /// The channels that run it, as active release or as canary.
    pub channels: Vec<String>,
}

/// A file of `GUEST_DIR` that did not load.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct UnloadedFile {
    pub file: PathBuf,
    /// As in docs/errors.md.
    pub code: &'static str,
    /// The rule that it breaks, with the fix.
    pub reason: String,
}

/// Why a file of `GUEST_DIR` does not load.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FileError {
    #[error("read the guest: {0}; put a file there that this user can read")]
    Unreadable(io::Error),
    #[error(transparent)]
    Load(#[from] LoadError),
}

impl FileError {
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
    /// Wanted releases that failed to load, with the reason.
    refused: BTreeMap<String, String>,
    /// Since when a release is neither serving nor pinned.
    idle: HashMap<String, Instant>,
    /// Digest and file of each release of the directory.
    files: Vec<(String, PathBuf)>,
    not_loaded: Vec<UnloadedFile>,
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
                    registry.add_unloaded(file, error);
                    continue;
                }
            };
            let version = release.manifest().prompt_version.clone();
            if let Some(other) = files.insert(version.clone(), file.clone()) {
                bail!("{} and {} both claim prompt version {version:?}: remove one", other.display(), file.display());
            }
            registry.add_loaded(file, version, release);
        }
        registry.default = registry.default_for(config)?;
        Ok(registry)
    }

    fn add_unloaded(&mut self, file: PathBuf, error: FileError) {
        let (code, reason) = (error.code(), format!("{:#}", anyhow::Error::from(error)));
        tracing::error!(
            guest.file = %file.display(),
            guest.code = code,
            guest.error = reason,
            "guest does not load; jobs for it wait"
        );
        self.not_loaded.push(UnloadedFile { file, code, reason });
    }

    fn add_loaded(&mut self, file: PathBuf, version: String, release: Release) {
        tracing::info!(
            guest.version = version,
            guest.digest = release.digest(),
            guest.file = %file.display(),
            "guest loaded"
        );
        self.files.push((release.digest().to_owned(), file));
        self.versions.insert(version, release.digest().to_owned());
        self.releases.insert(release.digest().to_owned(), Arc::new(release));
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
                "invalid REPORT_PROMPT_VERSION `{wanted}`: {} has {}",
                config.directory.display(),
                if known.is_empty() { "no guest".to_owned() } else { known.join(", ") }
            );
        }
        // The default may be a file that did not load. Its jobs wait, as for any release that does not load.
        Ok(None)
    }

    pub(super) fn serving(&self) -> Serving {
        // A file of the directory precedes a release published under its version, until that is activated.
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

    /// Exchanges what channels run, as far as it is loaded. Returns the channels that changed.
    pub(super) fn follow(&mut self, plan: &Plan) -> Vec<(String, Channel)> {
        let releases = &self.releases;
        let versions = plan.versions.iter().filter(|(_, digest)| releases.contains_key(digest));
        self.channels.versions = versions.cloned().collect();
        self.retired = plan.retired.iter().cloned().collect();
        self.channels.follow(&plan.channels, |digest| releases.contains_key(digest))
    }

    /// Remembers why a wanted release failed to load. Returns whether the reason is new.
    pub(super) fn refuse(&mut self, digest: &str, reason: &str) -> bool {
        self.refused.insert(digest.to_owned(), reason.to_owned()).is_none_or(|before| before != reason)
    }

    pub(super) fn refused(&self) -> &BTreeMap<String, String> {
        &self.refused
    }

    /// Drops releases that were neither serving nor pinned for `patience`, and load errors of releases not in `wanted`.
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

    pub(super) fn loaded(&self) -> Vec<LoadedRelease> {
        let mut loaded: Vec<_> = self
            .releases
            .values()
            .map(|release| LoadedRelease {
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

    pub(super) fn not_loaded(&self) -> &[UnloadedFile] {
        &self.not_loaded
    }
}

async fn load(runtime: &Runtime, file: &Path, limit: usize) -> Result<Release, FileError> {
    let bytes = read(file, limit)?;
    Ok(Release::load(runtime, &bytes).await?)
}

/// Reads a file, unless it is larger than a guest may be: it may be larger than memory.
pub(crate) fn read(file: &Path, limit: usize) -> Result<Vec<u8>, FileError> {
    // Checked before opening: opening a pipe waits for a writer.
    let metadata = file.metadata().map_err(FileError::Unreadable)?;
    if !metadata.is_file() {
        return Err(FileError::Unreadable(io::Error::other("not a regular file")));
    }
    let size = usize::try_from(metadata.len()).unwrap_or(usize::MAX);
    if size > limit {
        return Err(LoadError::TooLarge { bytes: size, limit }.into());
    }
    let mut bytes = Vec::with_capacity(size);
    // The file may grow meanwhile; one byte over the limit is enough to refuse it.
    let read_limit = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    let file = File::open(file).map_err(FileError::Unreadable)?;
    file.take(read_limit).read_to_end(&mut bytes).map_err(FileError::Unreadable)?;
    Ok(bytes)
}

/// Returns the `*.wasm` paths of a folder, sorted.
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
    fn a_file_is_read_up_to_the_size_limit_of_a_guest() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::write(path("fits.wasm"), [7; 10]).unwrap();
        std::fs::write(path("large.wasm"), [7; 11]).unwrap();
        std::fs::create_dir(path("folder.wasm")).unwrap();
        assert!(std::process::Command::new("mkfifo").arg(path("pipe.wasm")).status().unwrap().success());
        std::os::unix::fs::symlink("nowhere", path("link.wasm")).unwrap();
        let read_file = |name: &str| read(&path(name), 10).map_err(|error| error.code());
        assert_eq!(read_file("fits.wasm"), Ok(vec![7; 10]));
        assert_eq!(read_file("large.wasm"), Err("component_too_large"));
        for name in ["folder.wasm", "pipe.wasm", "link.wasm", "missing.wasm"] {
            assert_eq!(read_file(name), Err("file_unreadable"), "{name}");
        }
    }

    #[test]
    fn every_load_error_has_one_row_in_the_documentation() {
        // The variants carry data, so nothing lists them; the source does.
        let source = include_str!("../../../runtime/src/load_error.rs");
        let arms = source.lines().filter_map(|line| line.trim().strip_prefix("Self::")?.split_once("=> \""));
        let mut codes: Vec<_> = arms.filter_map(|(_, code)| code.strip_suffix("\",")).collect();
        assert!(codes.len() > 20, "the codes are found");
        codes.push("file_unreadable");
        codes.sort_unstable();
        let page = include_str!("../../../../docs/errors.md");
        let (_, page) = page.split_once("\n## Guests that do not load\n").expect("the section");
        let page = page.split("\n## ").next().expect("what stands before the next section");
        let mut rows: Vec<_> = page.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next()).collect();
        rows.sort_unstable();
        assert_eq!(rows, codes);
    }
}
