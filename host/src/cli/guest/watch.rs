//! Waiting for a change of files.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Context;
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::{sync::mpsc, time::timeout};

/// An editor writes a file in several steps; what comes this close together is one change.
const SETTLE: Duration = Duration::from_millis(100);
/// What building writes itself.
const OWN: [&str; 2] = ["target", "fixtures"];

/// Files and folders under watch.
pub(super) struct Watch {
    watcher: RecommendedWatcher,
    watched: BTreeSet<PathBuf>,
    changes: mpsc::UnboundedReceiver<PathBuf>,
}

impl Watch {
    /// Watches from now on. Folders are watched with all that is in them.
    ///
    /// # Errors
    /// One is not there, or the system has no watches left.
    pub(super) fn new(paths: &[PathBuf]) -> anyhow::Result<Self> {
        let (tell, changes) = mpsc::unbounded_channel();
        let listen = move |event: notify::Result<notify::Event>| {
            let Ok(event) = event else { return };
            if !matches!(event.kind, EventKind::Access(_)) {
                for path in event.paths {
                    // The receiver is gone only when nobody watches any more.
                    let _ = tell.send(path);
                }
            }
        };
        let watcher = notify::recommended_watcher(listen).context("watch files")?;
        let mut watch = Self { watcher, watched: BTreeSet::new(), changes };
        watch.add(paths)?;
        Ok(watch)
    }

    /// Watches these as well. A file is watched by way of its folder: editors put a new file in its place.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub(super) fn add(&mut self, paths: &[PathBuf]) -> anyhow::Result<()> {
        for path in paths {
            let (path, mode) = match path.is_dir() {
                true => (path.clone(), RecursiveMode::Recursive),
                false => (folder_of(path), RecursiveMode::NonRecursive),
            };
            if self.watched.insert(path.clone()) {
                self.watcher.watch(&path, mode).with_context(|| format!("watch {}", path.display()))?;
            }
        }
        Ok(())
    }

    /// Waits for a change, and until it has settled.
    ///
    /// # Errors
    /// The system stopped watching.
    pub(super) async fn changed(&mut self) -> anyhow::Result<()> {
        loop {
            let path = self.changes.recv().await.context("watch files: the system stopped")?;
            if !self.is_own(&path) {
                break;
            }
        }
        while let Ok(Some(_)) = timeout(SETTLE, self.changes.recv()).await {}
        Ok(())
    }

    fn is_own(&self, path: &Path) -> bool {
        let inside = self.watched.iter().filter_map(|root| path.strip_prefix(root).ok());
        inside.filter_map(|path| path.components().next()).any(|part| OWN.iter().any(|own| part.as_os_str() == *own))
    }
}

fn folder_of(file: &Path) -> PathBuf {
    match file.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}
