//! Waits for changes of files.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Context;
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::{sync::mpsc, time::timeout};

/// An editor writes a file in several steps. Steps this close together are one change.
const SETTLE_PERIOD: Duration = Duration::from_millis(100);
/// Folders that a build or `--record` writes.
const GENERATED: [&str; 2] = ["target", "fixtures"];

pub struct Watch {
    watcher: RecommendedWatcher,
    /// Watched with everything inside. Single files are watched through their folders.
    folders: BTreeSet<PathBuf>,
    files: BTreeSet<PathBuf>,
    changes: mpsc::UnboundedReceiver<PathBuf>,
}

impl Watch {
    /// Starts to watch. Folders are watched with everything inside.
    ///
    /// # Errors
    /// The system has no watches left.
    pub fn new(paths: &[PathBuf]) -> anyhow::Result<Self> {
        let (sender, changes) = mpsc::unbounded_channel();
        let listen = move |event: notify::Result<notify::Event>| {
            let Ok(event) = event else { return };
            if !matches!(event.kind, EventKind::Access(_)) {
                for path in event.paths {
                    // The receiver is gone only after the watch has ended.
                    let _ = sender.send(path);
                }
            }
        };
        let watcher = notify::recommended_watcher(listen).context("watch files")?;
        let mut watch = Self { watcher, folders: BTreeSet::new(), files: BTreeSet::new(), changes };
        watch.add(paths)?;
        Ok(watch)
    }

    /// Watches more paths. A file is watched through its folder, because editors replace the file.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn add(&mut self, paths: &[PathBuf]) -> anyhow::Result<()> {
        for path in paths {
            let Some(path) = resolved(path) else { continue };
            let fresh = match path.is_dir() {
                true => self.folders.insert(path.clone()),
                false => self.files.insert(path.clone()),
            };
            let (path, mode) = match path.is_dir() {
                true => (path, RecursiveMode::Recursive),
                false => (folder_of(&path), RecursiveMode::NonRecursive),
            };
            // A folder that is watched recursively must not be watched again without recursion.
            if fresh
                && (mode == RecursiveMode::Recursive || !self.folders.iter().any(|folder| path.starts_with(folder)))
            {
                self.watcher.watch(&path, mode).with_context(|| format!("watch {}", path.display()))?;
            }
        }
        Ok(())
    }

    /// Waits for a change, and until no other follows.
    ///
    /// # Errors
    /// The system stopped watching.
    pub async fn changed(&mut self) -> anyhow::Result<()> {
        loop {
            let path = self.changes.recv().await.context("watch files: the system stopped")?;
            if self.concerns(&path) {
                break;
            }
        }
        while let Ok(Some(_)) = timeout(SETTLE_PERIOD, self.changes.recv()).await {}
        Ok(())
    }

    /// Returns whether the path is watched, and not written by a build.
    fn concerns(&self, path: &Path) -> bool {
        let inside = self.folders.iter().filter_map(|folder| path.strip_prefix(folder).ok());
        let first = |path: &Path| path.components().next().map(|part| part.as_os_str().to_owned());
        let own = |path: &Path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            name.ends_with(".wasm") || first(path).is_some_and(|part| GENERATED.iter().any(|own| part == *own))
        };
        self.files.contains(path) || inside.into_iter().any(|path| !own(path))
    }
}

/// Resolves a path. A file may not exist yet, but its folder must; else it is reported as missing when it is read.
fn resolved(path: &Path) -> Option<PathBuf> {
    let to_come = || Some(folder_of(path).canonicalize().ok()?.join(path.file_name()?));
    path.canonicalize().ok().or_else(to_come)
}

fn folder_of(file: &Path) -> PathBuf {
    match file.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_watched_paths_count_as_a_change() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        let (guest, call) = (root.join("guest"), root.join("call.txt"));
        std::fs::create_dir(&guest).unwrap();
        std::fs::write(&call, "").unwrap();
        let watch = Watch::new(&[guest.clone(), call.clone()]).unwrap();
        let concerns = |path: &Path| watch.concerns(path);
        assert!(concerns(&call) && concerns(&guest.join("prompt.md")) && concerns(&guest.join("src/fixtures/mod.rs")));
        assert!(!concerns(&root.join("log.txt")), "a neighbour of the transcript");
        assert!(!concerns(&guest.join("fixtures/a/expected.json")) && !concerns(&guest.join("target/debug/x")));
        assert!(!concerns(&guest.join("minutes-v1.wasm")));
    }

    #[tokio::test]
    async fn a_file_that_does_not_exist_yet_is_watched() {
        let folder = tempfile::tempdir().unwrap();
        let answer = folder.path().join("answer.json");
        let mut watch = Watch::new(&[answer.clone(), folder.path().join("nowhere/answer.json")]).unwrap();
        std::fs::write(folder.path().join("other.json"), "{}").unwrap();
        std::fs::write(&answer, "{}").unwrap();
        timeout(Duration::from_secs(10), watch.changed()).await.expect("the file came").unwrap();
    }
}
