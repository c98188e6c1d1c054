//! Where this process finds compiled guests and keeps new ones: in the folder, else in its memory.

use std::{
    collections::HashMap,
    io,
    path::{Path, PathBuf},
};

use assay_guest_build::cache::{CacheError, ImageCache, ImageKey};
use parking_lot::Mutex;
use tempfile::TempPath;
use wasmtime::component::Component;

/// Limit of the images in memory. Those of loaded guests are mapped already, and count here once more.
const MEMORY_BYTES: usize = 256 << 20;

/// Compiled guests.
pub(crate) struct Images {
    /// `None`: nothing is on disk.
    folder: Option<ImageCache>,
    memory: Mutex<MemoryImages>,
}

/// Images of this process, which end with it.
#[derive(Default)]
struct MemoryImages {
    images: HashMap<ImageKey, MemoryImage>,
    uses: u64,
}

struct MemoryImage {
    component: Component,
    bytes: usize,
    last_use: u64,
}

/// Where a new image goes.
pub(crate) enum Destination<'a> {
    /// An empty file in the folder.
    File(&'a ImageCache, TempPath),
    Memory,
}

impl Images {
    /// # Errors
    /// [`CacheError`].
    pub(crate) fn open(folder: Option<&Path>, max_bytes: u64) -> Result<Self, CacheError> {
        let folder = folder.map(|folder| ImageCache::open(folder, max_bytes)).transpose()?;
        Ok(Self { folder, memory: Mutex::default() })
    }

    /// Returns the folder, if there is one.
    pub(crate) fn folder(&self) -> Option<&ImageCache> {
        self.folder.as_ref()
    }

    /// Returns the path of an image in the folder.
    ///
    /// # Errors
    /// The system's, if a file cannot be read now.
    pub(crate) fn find(&self, key: ImageKey) -> io::Result<Option<PathBuf>> {
        self.folder.as_ref().map_or(Ok(None), |folder| folder.find(key))
    }

    /// Deletes an image of the folder that the engine refused.
    pub(crate) fn forget(&self, key: ImageKey, path: &Path) {
        if let Some(folder) = &self.folder {
            folder.forget(key, path);
        }
    }

    /// Returns an image of this process.
    pub(crate) fn in_memory(&self, key: ImageKey) -> Option<Component> {
        let MemoryImages { images, uses } = &mut *self.memory.lock();
        let image = images.get_mut(&key)?;
        *uses += 1;
        image.last_use = *uses;
        Some(image.component.clone())
    }

    /// Returns where a new image goes.
    ///
    /// # Errors
    /// The system's, if the folder takes no file.
    pub(crate) fn destination(&self) -> io::Result<Destination<'_>> {
        match &self.folder {
            Some(folder) if !folder.is_read_only() => Ok(Destination::File(folder, folder.unfinished()?)),
            _ => Ok(Destination::Memory),
        }
    }

    /// Keeps an image of this many bytes in memory, and drops those that were not used for longest.
    pub(crate) fn keep_in_memory(&self, key: ImageKey, component: Component, bytes: usize) {
        let MemoryImages { images, uses } = &mut *self.memory.lock();
        *uses += 1;
        images.insert(key, MemoryImage { component, bytes, last_use: *uses });
        while images.len() > 1 && images.values().map(|image| image.bytes).sum::<usize>() > MEMORY_BYTES {
            let oldest = images.iter().min_by_key(|(_, image)| image.last_use).map(|(key, _)| *key);
            oldest.and_then(|key| images.remove(&key));
        }
    }
}
