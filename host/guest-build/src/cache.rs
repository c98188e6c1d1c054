//! Compiled guests on disk.
//!
//! An image is native code that this process will run, so the folder belongs to this user alone, and an image is believed only if it carries the right seal: one file, named
//! `<key>-<seal>.image`, where the key stands for guest and engine, and the seal is a sha256 over key and content. Name and content come into being in one rename, so a torn,
//! damaged or exchanged file has the wrong seal: it is deleted and compiled anew. The seal is checked once per process and file; after that the file's identity is enough. A file
//! that cannot be read says nothing about its seal: it stays where it is.
//!
//! Whoever can write into the folder as this user could forge a seal, and could as well exchange the program itself; see SECURITY.md.

mod folder;

use std::{
    collections::HashMap,
    fs::{self, File, Metadata, OpenOptions},
    io::{self, Read},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use assay_core::digest::Digest;
use parking_lot::Mutex;
use rustix::{fs::OFlags, io::Errno};
use sha2::{Digest as _, Sha256};
use tempfile::{NamedTempFile, TempPath};

/// Part of every key; changes when what an image or its admission means does.
const FORMAT: &str = "assay image 2";
const IMAGE: &str = "image";
const UNFINISHED: &str = "tmp";
/// How old an unfinished file must be before it counts as left behind; far beyond any compile limit.
const LEFT_BEHIND: Duration = Duration::from_secs(6 * 60 * 60);

/// The folder, and which of its files this process has checked.
#[derive(Debug)]
pub struct Cache {
    folder: PathBuf,
    max_bytes: u64,
    checked: Mutex<HashMap<Key, Identity>>,
}

/// Names the image of a guest for an engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key(Digest);

impl Key {
    pub fn new(guest: Digest, compatibility: Digest) -> Self {
        Self(Digest::of_parts(FORMAT, &[guest.as_bytes(), compatibility.as_bytes()]))
    }
}

/// Which file it is. Files are replaced by rename, never written in place, so a file of the same identity has the same content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Identity {
    device: u64,
    inode: u64,
    bytes: u64,
}

impl Identity {
    fn of(metadata: &Metadata) -> Self {
        Self { device: metadata.dev(), inode: metadata.ino(), bytes: metadata.len() }
    }
}

/// Why the folder is not used.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    /// It cannot be made or read.
    #[error("open the guest cache {folder}: {source}")]
    Unusable {
        /// The folder.
        folder: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Others can reach it.
    #[error("open the guest cache {folder}: it must be a folder of this user's alone; chown it, and chmod 700")]
    NotPrivate {
        /// The folder.
        folder: PathBuf,
    },
    /// A folder above it belongs to somebody who is neither root nor this user.
    #[error(
        "open the guest cache {folder}: {parent} above it belongs to the user with the id {owner}, who could exchange it; choose a folder below those of this user or of root"
    )]
    ParentOfAnother {
        /// The folder.
        folder: PathBuf,
        /// The one above it.
        parent: PathBuf,
        /// The id of the one's owner.
        owner: u32,
    },
    /// Others may write to a folder above it.
    #[error(
        "open the guest cache {folder}: others may write to {parent} above it and could exchange it; chmod go-w {parent}, or make it sticky (chmod +t), or choose another folder"
    )]
    ParentWritable {
        /// The folder.
        folder: PathBuf,
        /// The one above it.
        parent: PathBuf,
    },
}

impl Cache {
    /// Opens the folder, makes it where it is missing, and clears away what crashed compiles left.
    ///
    /// # Errors
    /// [`CacheError`].
    pub fn open(folder: &Path, max_bytes: u64) -> Result<Self, CacheError> {
        let cache = Self { folder: folder::private(folder)?, max_bytes, checked: Mutex::default() };
        cache.sweep_unfinished();
        Ok(cache)
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The image under `key`, if there is one with the right seal. Files with a wrong one are deleted.
    ///
    /// # Errors
    /// The system's, where there may be one that cannot be read now. Nothing is deleted for that.
    pub fn find(&self, key: Key) -> io::Result<Option<PathBuf>> {
        let prefix = format!("{}-", key.0);
        let mut unread = None;
        let found = self.entries()?.into_iter().filter(|entry| entry.name.starts_with(&prefix) && entry.is_image());
        for entry in found {
            let path = self.folder.join(&entry.name);
            match self.is_sealed(key, &path, &entry.name) {
                Ok(true) => return Ok(Some(path)),
                Ok(false) => {
                    tracing::warn!(key = %key.0, "cached guest image is damaged, compiling it again");
                    let _ = fs::remove_file(&path);
                }
                // Another process made room.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => unread = Some(error),
            }
        }
        unread.map_or(Ok(None), Err)
    }

    /// An empty file for a compiler to write; it goes away unless it is kept.
    ///
    /// # Errors
    /// The system's.
    pub fn unfinished(&self) -> io::Result<TempPath> {
        let file =
            tempfile::Builder::new().prefix("compile-").suffix(&format!(".{UNFINISHED}")).tempfile_in(&self.folder)?;
        Ok(NamedTempFile::into_temp_path(file))
    }

    /// Seals a finished image, puts it in its place, and makes room.
    ///
    /// # Errors
    /// The system's.
    pub fn keep(&self, key: Key, image: TempPath) -> io::Result<()> {
        let file = File::open(&image)?;
        let seal = seal(key, &file)?;
        // The content must be on disk before its name is: a crash may lose the image, not leave half of it under a full name.
        file.sync_all()?;
        let path = self.folder.join(format!("{}-{seal}.{IMAGE}", key.0));
        let identity = Identity::of(&file.metadata()?);
        image.persist(&path).map_err(|error| error.error)?;
        File::open(&self.folder)?.sync_all()?;
        self.checked.lock().insert(key, identity);
        self.evict(&path);
        Ok(())
    }

    /// Deletes an image that the engine does not take.
    pub fn forget(&self, key: Key, path: &Path) {
        self.checked.lock().remove(&key);
        let _ = fs::remove_file(path);
    }

    fn is_sealed(&self, key: Key, path: &Path, name: &str) -> io::Result<bool> {
        // A link, a pipe or another's file is not ours, whatever it holds. What is open is judged, so that it cannot be another one by then.
        let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let file = match OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(path) {
            Ok(file) => file,
            Err(error) if error.raw_os_error() == Some(Errno::LOOP.raw_os_error()) => return Ok(false),
            Err(error) => return Err(error),
        };
        let metadata = file.metadata()?;
        if !metadata.is_file() || !folder::is_own(&metadata) {
            return Ok(false);
        }
        let identity = Identity::of(&metadata);
        if self.checked.lock().get(&key) != Some(&identity) {
            let expected = format!("{}-{}.{IMAGE}", key.0, seal(key, &file)?);
            if name != expected {
                return Ok(false);
            }
            self.checked.lock().insert(key, identity);
        }
        // Its time of change is when it was last wanted; eviction goes by it.
        let _ = file.set_modified(SystemTime::now());
        Ok(true)
    }

    /// Deletes what was not wanted for longest until the folder fits, but never the image just made.
    fn evict(&self, newest: &Path) {
        // Where the folder cannot be listed now, the next image makes room.
        let mut images: Vec<Entry> = self.entries().unwrap_or_default().into_iter().filter(Entry::is_image).collect();
        images.sort_by_key(|image| image.wanted);
        let mut total: u64 = images.iter().map(|image| image.bytes).sum();
        for image in images {
            if total <= self.max_bytes {
                return;
            }
            let path = self.folder.join(&image.name);
            // Another process may delete it at the same time; either way it is gone.
            if path != newest {
                let _ = fs::remove_file(path);
                total -= image.bytes;
            }
        }
    }

    fn sweep_unfinished(&self) {
        let suffix = format!(".{UNFINISHED}");
        for entry in self.entries().unwrap_or_default() {
            let age = SystemTime::now().duration_since(entry.wanted).unwrap_or_default();
            if entry.name.ends_with(&suffix) && age > LEFT_BEHIND {
                let _ = fs::remove_file(self.folder.join(&entry.name));
            }
        }
    }

    /// What lies in the folder. An entry that goes away meanwhile is not there.
    fn entries(&self) -> io::Result<Vec<Entry>> {
        let entry = |found: io::Result<fs::DirEntry>| {
            let found = found.ok()?;
            let metadata = found.metadata().ok()?;
            let name = found.file_name().into_string().ok()?;
            Some(Entry { name, bytes: metadata.len(), wanted: metadata.modified().ok()? })
        };
        Ok(fs::read_dir(&self.folder)?.filter_map(entry).collect())
    }
}

struct Entry {
    name: String,
    bytes: u64,
    wanted: SystemTime,
}

impl Entry {
    fn is_image(&self) -> bool {
        self.name.ends_with(&format!(".{IMAGE}"))
    }
}

/// A sha256 over key and content, from the file's start.
fn seal(key: Key, mut file: &File) -> io::Result<Digest> {
    let mut hasher = Sha256::new();
    hasher.update(key.0.as_bytes());
    let mut buffer = vec![0; 256 << 10];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(Digest::from_bytes(hasher.finalize().into())),
            read => hasher.update(&buffer[..read]),
        }
    }
}
