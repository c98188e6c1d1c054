//! The archive: the same entries give the same bytes, whenever and by whomever it is packed.

use std::io::{self, Write};

use flate2::{Compression, GzBuilder};
use tar::{Builder, EntryType, Header};

/// Of every entry, and of nothing that happened: 1 January 2026.
const MODIFIED: u64 = 1_767_225_600;
const FOLDER_MODE: u32 = 0o755;

/// A file of the archive.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// Below the archive's folder.
    pub path: String,
    pub mode: u32,
    pub bytes: Vec<u8>,
}

impl Entry {
    /// A file that everybody may read.
    pub fn file(path: impl Into<String>, bytes: impl Into<Vec<u8>>) -> Self {
        Self { path: path.into(), mode: 0o644, bytes: bytes.into() }
    }

    /// A file that everybody may run.
    pub fn program(path: impl Into<String>, bytes: impl Into<Vec<u8>>) -> Self {
        Self { mode: 0o755, ..Self::file(path, bytes) }
    }
}

/// Packs entries into one folder. They belong to root, and each folder stands before its files, as some programs want it.
///
/// # Errors
/// A path is no path.
pub fn pack(folder: &str, entries: &[Entry]) -> io::Result<Vec<u8>> {
    let gzip = GzBuilder::new().mtime(0).write(Vec::new(), Compression::default());
    let mut tar = Builder::new(gzip);
    let mut sorted: Vec<_> = entries.iter().collect();
    sorted.sort();
    let mut made = Vec::new();
    for entry in sorted {
        let path = format!("{folder}/{}", entry.path);
        for (end, _) in path.match_indices('/') {
            let parent = &path[..=end];
            if !made.iter().any(|made| made == parent) {
                made.push(parent.to_owned());
                tar.append_data(&mut header(EntryType::Directory, FOLDER_MODE, 0), parent, io::empty())?;
            }
        }
        let mut header = header(EntryType::Regular, entry.mode, entry.bytes.len() as u64);
        tar.append_data(&mut header, &path, &entry.bytes[..])?;
    }
    let mut gzip = tar.into_inner()?;
    gzip.flush()?;
    gzip.finish()
}

fn header(kind: EntryType, mode: u32, bytes: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(bytes);
    header.set_mtime(MODIFIED);
    header.set_uid(0);
    header.set_gid(0);
    header
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn the_order_of_the_entries_changes_nothing_and_tar_reads_them() {
        let long = format!("images/{}.image", "a".repeat(130));
        let entries = [
            Entry::program("assay", *b"program"),
            Entry::file(long.clone(), *b"image"),
            Entry::file("guests/minutes.wasm", *b"guest"),
        ];
        let mut others = entries.clone();
        others.reverse();
        let packed = pack("assay-1", &entries).unwrap();
        assert_eq!(packed, pack("assay-1", &others).unwrap());

        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("package.tar.gz");
        std::fs::write(&file, packed).unwrap();
        let listed = Command::new("tar").arg("tf").arg(&file).output().unwrap();
        let expected =
            ["", "assay", "guests/", "guests/minutes.wasm", "images/", &long].map(|path| format!("assay-1/{path}\n"));
        assert_eq!(String::from_utf8(listed.stdout).unwrap(), expected.concat());
        let unpacked = Command::new("tar").arg("xf").arg(&file).arg("-C").arg(folder.path()).status().unwrap();
        assert!(unpacked.success());
        assert_eq!(std::fs::read(folder.path().join("assay-1/assay")).unwrap(), b"program");
    }
}
