//! The folder of images: native code that this process will run.
//!
//! Only this user or root writes to the folder (`private_folder`), and an image is loaded only if its name has the right seal.
//! A file is named `<key>-<seal>.image`: the key stands for guest and engine, the seal is a sha256 over key and content. One rename gives the
//! complete content its name, so a torn, damaged or exchanged file has the wrong seal: it is deleted, and the guest is compiled
//! again. A process checks the seal once per file, and the file's identity after that. A file that cannot be read stays, and so
//! does every file of a folder that can only be read.
//!
//! A process that can write into the folder as this user could forge a seal. It could as well exchange the program itself; see
//! SECURITY.md.

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

use crate::cache::{cache_error::CacheError, private_folder::CacheFolder};

/// Part of every key. Change it when the meaning of an image or of its admission changes.
const IMAGE_FORMAT: &str = "assay image 2";
const IMAGE_EXTENSION: &str = "image";
const UNFINISHED_EXTENSION: &str = "tmp";
/// Age at which an unfinished file is deleted: far beyond any limit of a compile.
const UNFINISHED_MAX_AGE: Duration = Duration::from_secs(6 * 60 * 60);

/// The folder, and the files in it that this process has checked.
#[derive(Debug)]
pub struct ImageCache {
    folder: CacheFolder,
    max_bytes: u64,
    checked: Mutex<HashMap<ImageKey, FileIdentity>>,
}

/// Names the image of a guest for an engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ImageKey(Digest);

impl ImageKey {
    pub fn new(guest: Digest, compatibility: Digest) -> Self {
        Self(Digest::of_parts(IMAGE_FORMAT, &[guest.as_bytes(), compatibility.as_bytes()]))
    }
}

/// Identifies a file. Files are replaced by rename and never written in place, so the same identity means the same content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct FileIdentity {
    device: u64,
    inode: u64,
    bytes: u64,
}

impl FileIdentity {
    fn of(metadata: &Metadata) -> Self {
        Self { device: metadata.dev(), inode: metadata.ino(), bytes: metadata.len() }
    }
}

impl ImageCache {
    /// Opens the folder, makes it if it is missing, and deletes what crashed compiles left. In a folder that others write to, it
    /// is a private folder inside of it.
    ///
    /// # Errors
    /// [`CacheError`].
    pub fn open(folder: &Path, max_bytes: u64) -> Result<Self, CacheError> {
        let cache = Self { folder: CacheFolder::open(folder)?, max_bytes, checked: Mutex::default() };
        if !cache.is_read_only() {
            cache.sweep_unfinished();
        }
        Ok(cache)
    }

    pub fn folder(&self) -> &Path {
        &self.folder.path
    }

    /// Returns whether images are only looked for in it: others may enter the folder, or it cannot be written.
    pub fn is_read_only(&self) -> bool {
        self.folder.read_only
    }

    /// Returns the path of the image under `key` if its seal is right. Deletes files with a wrong seal, unless the folder can only be
    /// read.
    ///
    /// # Errors
    /// The system's, if a file cannot be read now. Such a file stays.
    pub fn find(&self, key: ImageKey) -> io::Result<Option<PathBuf>> {
        let prefix = format!("{}-", key.0);
        let mut unread = None;
        let found = self.entries()?.into_iter().filter(|entry| entry.name.starts_with(&prefix) && entry.is_image());
        for entry in found {
            let path = self.folder().join(&entry.name);
            match self.is_sealed(key, &path, &entry.name) {
                Ok(true) => return Ok(Some(path)),
                Ok(false) => {
                    tracing::warn!(key = %key.0, "cached guest image is damaged, compiling it again");
                    self.remove(&path);
                }
                // Another process deleted it to make room.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => unread = Some(error),
            }
        }
        unread.map_or(Ok(None), Err)
    }

    /// Makes an empty file for a compiler to write. Dropping the path deletes the file.
    ///
    /// # Errors
    /// The system's.
    pub fn unfinished(&self) -> io::Result<TempPath> {
        let file = tempfile::Builder::new()
            .prefix("compile-")
            .suffix(&format!(".{UNFINISHED_EXTENSION}"))
            .tempfile_in(self.folder())?;
        Ok(NamedTempFile::into_temp_path(file))
    }

    /// Seals a finished image, moves it to its place, and deletes the least recently used images.
    ///
    /// # Errors
    /// The system's.
    pub fn keep(&self, key: ImageKey, image: TempPath) -> io::Result<()> {
        let file = File::open(&image)?;
        let seal = seal(key, &file)?;
        // The content must be on disk before the name: a crash may lose the image, and must not leave half of it under a full name.
        file.sync_all()?;
        let path = self.folder().join(format!("{}-{seal}.{IMAGE_EXTENSION}", key.0));
        let identity = FileIdentity::of(&file.metadata()?);
        image.persist(&path).map_err(|error| error.error)?;
        File::open(self.folder())?.sync_all()?;
        self.checked.lock().insert(key, identity);
        self.evict(&path);
        Ok(())
    }

    /// Deletes an image that the engine refused.
    pub fn forget(&self, key: ImageKey, path: &Path) {
        self.checked.lock().remove(&key);
        self.remove(path);
    }

    fn remove(&self, path: &Path) {
        if !self.is_read_only() {
            let _ = fs::remove_file(path);
        }
    }

    #[expect(clippy::disallowed_methods, reason = "compared with the times of files, which this machine's clock sets")]
    fn is_sealed(&self, key: ImageKey, path: &Path, name: &str) -> io::Result<bool> {
        // A link, a pipe or another user's file is refused. The open file is checked, not the path: the path may change meanwhile.
        let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let file = match OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(path) {
            Ok(file) => file,
            Err(error) if error.raw_os_error() == Some(Errno::LOOP.raw_os_error()) => return Ok(false),
            Err(error) => return Err(error),
        };
        let metadata = file.metadata()?;
        if !metadata.is_file() || !self.folder.trusts(&metadata) {
            return Ok(false);
        }
        let identity = FileIdentity::of(&metadata);
        if self.checked.lock().get(&key) != Some(&identity) {
            let expected = format!("{}-{}.{IMAGE_EXTENSION}", key.0, seal(key, &file)?);
            if name != expected {
                return Ok(false);
            }
            self.checked.lock().insert(key, identity);
        }
        if !self.is_read_only() {
            // The time of change records the last use; eviction reads it.
            let _ = file.set_modified(SystemTime::now());
        }
        Ok(true)
    }

    /// Deletes the least recently used images until the folder fits, but never the newest.
    fn evict(&self, newest: &Path) {
        // If the folder cannot be listed now, the next image makes room.
        let mut images: Vec<Entry> = self.entries().unwrap_or_default().into_iter().filter(Entry::is_image).collect();
        images.sort_by_key(|image| image.used_at);
        let mut total: u64 = images.iter().map(|image| image.bytes).sum();
        for image in images {
            if total <= self.max_bytes {
                return;
            }
            let path = self.folder().join(&image.name);
            // Another process may delete it at the same time.
            if path != newest {
                let _ = fs::remove_file(path);
                total -= image.bytes;
            }
        }
    }

    #[expect(clippy::disallowed_methods, reason = "compared with the times of files, which this machine's clock sets")]
    fn sweep_unfinished(&self) {
        let suffix = format!(".{UNFINISHED_EXTENSION}");
        for entry in self.entries().unwrap_or_default() {
            let age = SystemTime::now().duration_since(entry.used_at).unwrap_or_default();
            if entry.name.ends_with(&suffix) && age > UNFINISHED_MAX_AGE {
                let _ = fs::remove_file(self.folder().join(&entry.name));
            }
        }
    }

    /// Lists the folder, without entries that are deleted meanwhile.
    fn entries(&self) -> io::Result<Vec<Entry>> {
        let entry = |found: io::Result<fs::DirEntry>| {
            let found = found.ok()?;
            let metadata = found.metadata().ok()?;
            let name = found.file_name().into_string().ok()?;
            Some(Entry { name, bytes: metadata.len(), used_at: metadata.modified().ok()? })
        };
        Ok(fs::read_dir(self.folder())?.filter_map(entry).collect())
    }
}

struct Entry {
    name: String,
    bytes: u64,
    used_at: SystemTime,
}

impl Entry {
    fn is_image(&self) -> bool {
        self.name.ends_with(&format!(".{IMAGE_EXTENSION}"))
    }
}

/// Returns the sha256 over key and content. The file must be at its start.
fn seal(key: ImageKey, mut file: &File) -> io::Result<Digest> {
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
