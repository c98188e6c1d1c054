//! Reads files that a person or a guest's folder names: only files, of bounded size, and through no link out of the folder.

use std::{
    cell::Cell,
    fs::{self, File, FileType, Metadata},
    io::{self, Read},
    os::unix::fs::{FileTypeExt, OpenOptionsExt},
    path::{Component, Path, PathBuf},
};

use rustix::fs::OFlags;

/// All files of a guest's folder together: as much as a worker takes as a component by default.
const MAX_FOLDER_BYTES: u64 = 64 << 20;
/// Far more fixtures than a component has room for.
const MAX_FOLDER_ENTRIES: usize = 10_000;

/// A file that is larger than its reader takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{bytes} bytes, over {limit}")]
pub struct FileTooLarge {
    /// Its size; of a growing file, the bytes that were read.
    pub bytes: u64,
    pub limit: u64,
}

impl FileTooLarge {
    /// Returns it if it is the reason of an error.
    pub fn of(error: &io::Error) -> Option<Self> {
        error.get_ref()?.downcast_ref().copied()
    }
}

/// Reads a file.
///
/// # Errors
/// It is no regular file, is larger than `limit` ([`FileTooLarge`]), or cannot be read. Then nothing was read.
pub fn read_file(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    check(&path.metadata()?, limit)?;
    // The path may name something else by now. Opening a pipe must not wait for its writer.
    let flags = (OFlags::NONBLOCK | OFlags::NOCTTY).bits().cast_signed();
    let file = File::options().read(true).custom_flags(flags).open(path)?;
    check(&file.metadata()?, limit)?;
    read_bounded(file, limit)
}

/// Reads a file, a pipe or a device, so that `<(command)` of a shell and `/dev/null` work too.
///
/// # Errors
/// It has more than `limit` bytes ([`FileTooLarge`]), or cannot be read.
pub fn read_stream(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    read_bounded(File::open(path)?, limit)
}

/// Returns bytes as text.
///
/// # Errors
/// They are not UTF-8.
pub fn utf8(bytes: Vec<u8>) -> io::Result<String> {
    String::from_utf8(bytes).map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "not UTF-8"))
}

fn read_bounded(file: File, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    // One byte over the limit is enough to refuse a file that grows or has no size.
    file.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
    let read = bytes.len() as u64;
    if read > limit { Err(too_large(read, limit)) } else { Ok(bytes) }
}

fn check(metadata: &Metadata, limit: u64) -> io::Result<()> {
    if !metadata.is_file() {
        let kind = kind(metadata.file_type());
        return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("it is {kind}, not a file")));
    }
    if metadata.len() > limit { Err(too_large(metadata.len(), limit)) } else { Ok(()) }
}

fn kind(kind: FileType) -> &'static str {
    if kind.is_dir() {
        "a folder"
    } else if kind.is_fifo() {
        "a pipe"
    } else if kind.is_socket() {
        "a socket"
    } else {
        "a device"
    }
}

fn too_large(bytes: u64, limit: u64) -> io::Error {
    io::Error::new(io::ErrorKind::FileTooLarge, FileTooLarge { bytes, limit })
}

/// A guest's folder. It may come from elsewhere, so no link in it leads to other files of this machine.
#[derive(Debug)]
pub struct SourceFolder {
    given: PathBuf,
    /// Without links.
    real: PathBuf,
    left: Cell<u64>,
}

impl SourceFolder {
    /// # Errors
    /// The folder does not exist.
    pub fn open(folder: &Path) -> io::Result<Self> {
        Ok(Self { given: folder.to_owned(), real: folder.canonicalize()?, left: Cell::new(MAX_FOLDER_BYTES) })
    }

    /// Reads a text file at a path in the folder, or at a path outside that no link is part of.
    ///
    /// # Errors
    /// As [`read_file`]; or a link leads out of the folder, or all files that were read are too large together.
    pub fn read(&self, path: &Path, limit: u64) -> io::Result<String> {
        let left = self.left.get();
        let bytes = read_file(&self.resolve(path)?, limit)?;
        let Some(left) = left.checked_sub(bytes.len() as u64) else {
            let text = format!("the files of the guest have more than {MAX_FOLDER_BYTES} bytes together");
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, text));
        };
        self.left.set(left);
        utf8(bytes)
    }

    /// Lists a folder in it.
    ///
    /// # Errors
    /// A link leads out of the folder, or it has too many entries, or it cannot be read.
    pub fn list(&self, folder: &Path) -> io::Result<Vec<PathBuf>> {
        let entries = fs::read_dir(self.resolve(folder)?)?.take(MAX_FOLDER_ENTRIES + 1);
        let paths = entries.map(|entry| Ok(folder.join(entry?.file_name()))).collect::<io::Result<Vec<_>>>()?;
        if paths.len() > MAX_FOLDER_ENTRIES {
            return Err(io::Error::other(format!("it has more than {MAX_FOLDER_ENTRIES} entries")));
        }
        Ok(paths)
    }

    /// Returns the path without links.
    fn resolve(&self, path: &Path) -> io::Result<PathBuf> {
        let named = self.real.join(path.strip_prefix(&self.given).unwrap_or(path));
        let resolved = named.canonicalize()?;
        if resolved.starts_with(&self.real) || resolved == without_dots(&named) {
            return Ok(resolved);
        }
        let text = "a link leads out of the guest's folder; put a copy into the folder";
        Err(io::Error::new(io::ErrorKind::PermissionDenied, text))
    }
}

/// Returns a path without `.` and `..`, as it is where no link is part of it.
fn without_dots(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => _ = plain.pop(),
            Component::CurDir => {}
            part => plain.push(part),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use std::os::unix::{fs::symlink, net::UnixListener};

    use super::*;

    fn message<T: std::fmt::Debug>(result: io::Result<T>) -> String {
        result.unwrap_err().to_string()
    }

    #[test]
    fn only_files_are_read_and_only_up_to_the_limit() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::write(path("fits"), [7; 10]).unwrap();
        fs::write(path("large"), [7; 11]).unwrap();
        File::create(path("sparse")).unwrap().set_len(1 << 40).unwrap();
        assert!(std::process::Command::new("mkfifo").arg(path("pipe")).status().unwrap().success());
        let _socket = UnixListener::bind(path("socket")).unwrap();
        symlink("/dev/zero", path("device")).unwrap();
        symlink("fits", path("link")).unwrap();
        let read = |name: &str| read_file(&path(name), 10);
        assert_eq!(read("fits").unwrap(), [7; 10]);
        assert_eq!(read("link").unwrap(), [7; 10]);
        assert_eq!(message(read("large")), "11 bytes, over 10");
        assert_eq!(message(read("sparse")), "1099511627776 bytes, over 10");
        assert_eq!(message(read(".")), "it is a folder, not a file");
        assert_eq!(message(read("pipe")), "it is a pipe, not a file");
        assert_eq!(message(read("socket")), "it is a socket, not a file");
        assert_eq!(message(read("device")), "it is a device, not a file");
        assert_eq!(read("missing").unwrap_err().kind(), io::ErrorKind::NotFound);
        let sized = FileTooLarge::of(&read("large").unwrap_err());
        assert_eq!(sized, Some(FileTooLarge { bytes: 11, limit: 10 }));
    }

    #[test]
    fn a_file_without_a_size_is_read_up_to_the_limit() {
        // The kernel says 0 bytes.
        let status = Path::new("/proc/self/status");
        assert!(read_file(status, 1 << 20).unwrap().starts_with(b"Name:"));
        assert_eq!(message(read_file(status, 4)), "5 bytes, over 4");
    }

    #[test]
    fn a_stream_is_read_up_to_the_limit() {
        assert_eq!(read_stream(Path::new("/dev/null"), 10).unwrap(), b"");
        assert_eq!(message(read_stream(Path::new("/dev/zero"), 10)), "11 bytes, over 10");
        let (reader, writer) = io::pipe().unwrap();
        let path = format!("/dev/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&reader));
        io::Write::write_all(&mut { writer }, b"A=1").unwrap();
        assert_eq!(read_stream(Path::new(&path), 10).unwrap(), b"A=1");
        assert!(read_stream(Path::new("/"), 10).is_err());
    }

    /// `guest/prompt.md`, `guest/in/deep.md`, and `secret.md` and `shared/schema.json` beside the folder.
    fn world() -> (tempfile::TempDir, PathBuf) {
        let world = tempfile::tempdir().unwrap();
        let guest = world.path().join("guest");
        fs::create_dir_all(guest.join("in")).unwrap();
        fs::create_dir(world.path().join("shared")).unwrap();
        fs::write(guest.join("prompt.md"), "prompt").unwrap();
        fs::write(guest.join("in/deep.md"), "deep").unwrap();
        fs::write(world.path().join("secret.md"), "secret").unwrap();
        fs::write(world.path().join("shared/schema.json"), "{}").unwrap();
        (world, guest)
    }

    #[test]
    fn a_link_within_the_folder_is_followed_and_one_out_of_it_is_not() {
        let (world, guest) = world();
        let secret = world.path().join("secret.md");
        symlink("../prompt.md", guest.join("in/relative")).unwrap();
        symlink(guest.join("prompt.md"), guest.join("absolute")).unwrap();
        symlink("in", guest.join("folder")).unwrap();
        symlink("absolute", guest.join("chain")).unwrap();
        symlink("../secret.md", guest.join("out")).unwrap();
        symlink(&secret, guest.join("in/out")).unwrap();
        symlink("in/out", guest.join("chain-out")).unwrap();
        symlink("..", guest.join("up")).unwrap();
        symlink("nowhere", guest.join("dangling")).unwrap();
        // However the folder itself is named.
        symlink(&guest, world.path().join("named")).unwrap();
        for root in [guest.clone(), world.path().join("named"), world.path().join("shared/../guest/.")] {
            let folder = SourceFolder::open(&root).unwrap();
            let read = |name: &str| folder.read(&root.join(name), 100);
            for name in ["prompt.md", "in/relative", "absolute", "chain", "./in/../prompt.md"] {
                assert_eq!(read(name).unwrap(), "prompt", "{name}");
            }
            assert_eq!(read("folder/deep.md").unwrap(), "deep");
            for name in ["out", "in/out", "chain-out", "up/secret.md", "folder/out"] {
                assert!(message(read(name)).starts_with("a link leads out of the guest's folder"), "{name}");
            }
            assert_eq!(read("dangling").unwrap_err().kind(), io::ErrorKind::NotFound);
            assert!(message(folder.list(&root.join("up"))).starts_with("a link leads out"));
            assert_eq!(folder.list(&root.join("folder")).unwrap().len(), 3);
        }
    }

    #[test]
    fn a_path_out_of_the_folder_that_is_spelled_out_is_read() {
        let (world, guest) = world();
        symlink("shared", world.path().join("alias")).unwrap();
        let folder = SourceFolder::open(&guest).unwrap();
        let read = |name: &str| folder.read(&guest.join(name), 100);
        assert_eq!(read("../shared/schema.json").unwrap(), "{}");
        assert!(message(read("../alias/schema.json")).starts_with("a link leads out"));
    }

    #[test]
    fn the_files_of_a_folder_are_bounded_together() {
        let (_world, guest) = world();
        File::create(guest.join("large")).unwrap().set_len(MAX_FOLDER_BYTES / 2).unwrap();
        let folder = SourceFolder::open(&guest).unwrap();
        let read = || folder.read(&guest.join("large"), MAX_FOLDER_BYTES).map(|text| text.len());
        assert!(read().is_ok() && read().is_ok());
        assert!(message(read()).ends_with("bytes together"));
    }
}
