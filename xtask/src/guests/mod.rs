//! `cargo xtask guests`: from the sources in `guest/` to `guest/dist`, the same bytes for the same sources and toolchain.
//!
//! `core/generic.wasm` is a core module: the host injects prompt and schema into it. The others are finished components; those
//! in `examples` are in a folder of their own, so that a worker with `GUEST_DIR=guest/dist` does not offer them. A file is
//! written only where its bytes changed, so that nothing downstream is rebuilt for nothing.

pub mod compile;
mod guest;
mod stamp;

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result, bail};
use assay_guest_build::{BuildLimits, Builder, GuestFolder, imports, strip};
use assay_guest_test::Fixture;
use indicatif::{ProgressBar, ProgressStyle};
use sha2::{Digest, Sha256};

use crate::{
    guest_toolchain::{self, Toolchain},
    paths,
};
use guest::{GENERIC, GUESTS, Made};
use stamp::Stamp;

/// Options of `cargo xtask guests`.
#[derive(clap::Args, Default)]
pub struct Args {
    /// Build once more from a copy of the sources in another folder, and fail unless the bytes are the same
    #[arg(long)]
    check: bool,
    /// Where the guest target comes from: rustup or the distribution's packages [default: whichever works]
    #[arg(long, value_enum)]
    toolchain: Option<guest_toolchain::Source>,
}

impl Args {
    /// Builds once more in another folder and compares the bytes.
    pub fn checked() -> Self {
        Self { check: true, ..Self::default() }
    }
}

struct Built {
    file: &'static str,
    bytes: Vec<u8>,
}

/// Runs the command.
pub fn run(args: &Args) -> Result<()> {
    let toolchain = guest_toolchain::ensure(args.toolchain)?;
    let dist = paths::root().join("guest/dist");
    let cores = compile::cores(paths::root(), &paths::guest_target(), &toolchain)?;
    let stamp = Stamp::of(&cores, &uncompiled(paths::root())?)?;
    let fresh = !stamp.matches(&dist)?;
    if fresh {
        for built in finish(&cores, paths::root())? {
            write_if_changed(&dist.join(built.file), &built.bytes)?;
        }
        stamp.write(&dist)?;
    }
    print_table(&dist, &toolchain)?;
    if args.check { check(&dist, &toolchain) } else { Ok(()) }
}

/// Returns what of the guests no compiler reads: prompts and schemas of those without code, and all fixtures.
fn uncompiled(root: &Path) -> Result<Vec<Vec<u8>>> {
    let mut parts = Vec::new();
    for guest in &GUESTS {
        let folder = root.join("guest").join(guest.name);
        if guest.made == Made::Folder {
            parts.push(GuestFolder::read(&folder)?.parts.to_json());
        }
        parts.push(serde_json::to_vec(&Fixture::of(&folder)?)?);
    }
    Ok(parts)
}

/// Returns the components, by their files in `guest/dist`.
pub fn components() -> impl Iterator<Item = &'static str> {
    GUESTS.iter().filter(|guest| guest.made != Made::CoreModule).map(|guest| guest.file)
}

/// Pre-initializes and componentizes.
fn finish(cores: &[(&str, PathBuf)], root: &Path) -> Result<Vec<Built>> {
    let builder = Builder::new(BuildLimits::default())?;
    let progress = spinner("pre-initialize");
    let core = |name: &str| {
        let (_, path) = cores.iter().find(|(package, _)| *package == name).context("cargo compiled it")?;
        fs::read(path).with_context(|| format!("read {}", path.display()))
    };
    let mut finished = Vec::new();
    for guest in &GUESTS {
        progress.set_message(format!("pre-initialize {}", guest.name));
        let folder = root.join("guest").join(guest.name);
        let built = match guest.made {
            Made::CoreModule => strip(&core(guest.name)?),
            Made::Component => builder.build(&core(guest.name)?, None).map(|built| built.bytes),
            Made::Folder => {
                let built = GuestFolder::read(&folder)?.build(&builder, &strip(&core(GENERIC)?)?);
                built.map(|built| built.bytes)
            }
        };
        let fixtures = Fixture::of(&folder)?;
        let bytes = built.and_then(|built| Fixture::put_into(&built, &fixtures));
        let bytes = bytes.map_err(|error| match error.said() {
            Some(said) => anyhow::anyhow!("{error}\n  the guest says: {said}"),
            None => anyhow::Error::from(error.clone()),
        });
        finished.push(Built { file: guest.file, bytes: bytes.with_context(|| format!("build guest {}", guest.name))? });
    }
    progress.finish_and_clear();
    Ok(finished)
}

/// The same sources somewhere else must give the same bytes.
fn check(dist: &Path, toolchain: &Toolchain) -> Result<()> {
    let copy =
        tempfile::Builder::new().prefix("assay-guests-elsewhere-").tempdir().context("make a folder for the copy")?;
    // The host too: a guest's tests may run it in its sandbox, and cargo wants the manifests of all that it could build.
    for folder in ["guest", "wit", "schemas", "host", "tests", "xtask"] {
        copy_sources(&paths::root().join(folder), &copy.path().join(folder))?;
    }
    fs::copy(paths::root().join("Cargo.toml"), copy.path().join("Cargo.toml")).context("copy Cargo.toml")?;
    println!("Building once more in {}", copy.path().display());
    let cores = compile::cores(copy.path(), &copy.path().join("target"), toolchain)?;
    let mut differing = Vec::new();
    for built in finish(&cores, copy.path())? {
        let here = fs::read(dist.join(built.file)).with_context(|| format!("read guest/dist/{}", built.file))?;
        if here != built.bytes {
            differing.push(built.file);
        }
    }
    if differing.is_empty() {
        println!("Same bytes from both places.");
        return Ok(());
    }
    bail!("the bytes depend on the folder for: {}", differing.join(", "))
}

fn copy_sources(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to).with_context(|| format!("make {}", to.display()))?;
    for entry in fs::read_dir(from).with_context(|| format!("list {}", from.display()))? {
        let entry = entry?;
        let (name, target) = (entry.file_name(), to.join(entry.file_name()));
        if entry.file_type()?.is_dir() {
            if name != "target" && name != "dist" {
                copy_sources(&entry.path(), &target)?;
            }
        } else {
            fs::copy(entry.path(), &target).with_context(|| format!("copy {}", entry.path().display()))?;
        }
    }
    Ok(())
}

/// Writes through a temporary file, and not at all where the bytes are there already.
fn write_if_changed(path: &Path, bytes: &[u8]) -> Result<()> {
    if fs::read(path).is_ok_and(|there| there == bytes) {
        return Ok(());
    }
    let folder = path.parent().expect("files of guest/dist lie in a folder");
    fs::create_dir_all(folder).with_context(|| format!("make {}", folder.display()))?;
    let temporary = tempfile::NamedTempFile::new_in(folder)?;
    fs::write(temporary.path(), bytes).with_context(|| format!("write {}", path.display()))?;
    make_readable(temporary.path())?;
    temporary.persist(path).with_context(|| format!("write {}", path.display()))?;
    Ok(())
}

/// Temporary files are private to their owner; what is built here is for everybody.
fn make_readable(path: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(0o644))
        .with_context(|| format!("set the mode of {}", path.display()))
}

fn print_table(dist: &Path, toolchain: &Toolchain) -> Result<()> {
    println!("Guests, built by {toolchain}:\n");
    println!("{:<24} {:<64} {:>9}  imports", "guest/dist/", "sha256", "size");
    for guest in &GUESTS {
        let bytes = fs::read(dist.join(guest.file)).with_context(|| format!("read guest/dist/{}", guest.file))?;
        let asked = match guest.made {
            Made::CoreModule => "(core module, specialized by the host)".to_owned(),
            Made::Component | Made::Folder => imports(&bytes)?.join(", "),
        };
        let size = format!("{:.1} MB", bytes.len() as f64 / 1e6);
        println!("{:<24} {} {size:>9}  {asked}", guest.file, hex::encode(Sha256::digest(&bytes)));
    }
    Ok(())
}

/// Returns a line that moves on a terminal and is silent elsewhere.
pub fn spinner(message: impl Into<String>) -> ProgressBar {
    let style = ProgressStyle::with_template("{spinner} {msg} ({elapsed})").expect("the template is constant");
    let bar = ProgressBar::new_spinner().with_style(style).with_message(message.into());
    bar.enable_steady_tick(Duration::from_millis(120));
    bar
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{copy_sources, write_if_changed};

    #[test]
    fn a_file_is_written_only_where_its_bytes_changed() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("sub/guest.wasm");
        write_if_changed(&path, b"one").expect("writes");
        let first = fs::metadata(&path).expect("is there");
        write_if_changed(&path, b"one").expect("writes");
        let same = fs::metadata(&path).expect("is there");
        assert_eq!(inode(&first), inode(&same));
        write_if_changed(&path, b"two").expect("writes");
        assert_eq!(fs::read(&path).expect("is there"), b"two");
    }

    fn inode(metadata: &fs::Metadata) -> u64 {
        std::os::unix::fs::MetadataExt::ino(metadata)
    }

    #[test]
    fn a_copy_of_the_sources_leaves_out_what_was_built() {
        let (from, to) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
        for file in ["a/src/lib.rs", "target/x", "dist/y", "Cargo.toml"] {
            let path = from.path().join(file);
            fs::create_dir_all(path.parent().expect("has one")).expect("makes it");
            fs::write(path, b"").expect("writes");
        }
        copy_sources(from.path(), to.path()).expect("copies");
        assert!(to.path().join("a/src/lib.rs").is_file() && to.path().join("Cargo.toml").is_file());
        assert!(!to.path().join("target").exists() && !to.path().join("dist").exists());
    }
}
