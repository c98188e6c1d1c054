//! `assay guest precompile`.

use std::{
    fs, io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, ensure};
use assay_core::env::Variables;
use assay_guest_build::read_file;
use assay_runtime::{Cpu, Runtime};
use assay_worker::guests::{GuestsConfig, precompiler};
use serde::Serialize;

use crate::{compile, exit::Failure, output};

/// Everybody may read the images, as they may read the program.
const FOLDER_MODE: u32 = 0o755;
const IMAGE_MODE: u32 = 0o644;

/// Compile guests ahead, so that a worker starts without a compiler's seconds.
///
/// Writes the images of each guest, and of the second check of its reports, into a folder for GUEST_CACHE_DIR. A worker of the same
/// version and with the same limits finds them there; it compiles what it does not find. A folder that belongs to root and that
/// only root writes to is read and never written, so it may be part of an image of a container.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  assay guest precompile guests/*.wasm --out images
  assay guest precompile guests --out /opt/assay/images --cpu x86-64-v2
  GUEST_CACHE_DIR=/opt/assay/images assay worker")]
pub struct Arguments {
    /// Components, or folders of them
    #[arg(value_name = "FILE.wasm|DIR", required = true)]
    paths: Vec<PathBuf>,
    /// Folder for the images; made if it is missing, and images that are there stay
    #[arg(long, short, value_name = "DIR")]
    out: PathBuf,
    /// Processors to compile for: native is this machine's, x86-64-v2 nearly every server's, x86-64-v3 those since about 2015
    #[arg(long, value_name = "CPU", default_value = "native")]
    cpu: Cpu,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Serialize)]
struct PrecompileReport {
    cpu: &'static str,
    folder: PathBuf,
    guests: Vec<PrecompiledGuest>,
    images: Vec<Image>,
}

#[derive(Debug, Serialize)]
struct PrecompiledGuest {
    file: PathBuf,
    digest: String,
    prompt_version: String,
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
struct Image {
    name: String,
    bytes: u64,
}

pub async fn run(arguments: &Arguments, mut vars: Variables) -> Result<ExitCode, Failure> {
    let config = GuestsConfig::load_sandbox(&mut vars);
    vars.finish()?;
    // A folder of this user alone, in which an image is whole before it has its name.
    let private = tempfile::tempdir().context("make a temporary folder")?;
    let compiled = private.path().join("images");
    let runtime = precompiler(&config, compile::child()?, arguments.cpu, &compiled)?;
    let mut guests = Vec::new();
    for file in components(&arguments.paths)? {
        let guest = precompile(&runtime, &file).await.with_context(|| format!("precompile {}", file.display()))?;
        guests.push(guest);
    }
    let images = publish(&compiled, &arguments.out)
        .with_context(|| format!("write the images into {}", arguments.out.display()))?;
    let report = PrecompileReport { cpu: arguments.cpu.name(), folder: arguments.out.clone(), guests, images };
    if arguments.json {
        output::print_json(&report)?;
    } else {
        output::print(&render(&report))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Returns the files, and for each folder its components by name.
fn components(paths: &[PathBuf]) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for path in paths {
        if !path.is_dir() {
            files.push(path.clone());
            continue;
        }
        let reading = || format!("read {}", path.display());
        let entries: Vec<_> = fs::read_dir(path).and_then(Iterator::collect).with_context(reading)?;
        let paths = entries.iter().map(fs::DirEntry::path);
        let mut found: Vec<_> = paths.filter(|path| path.extension().is_some_and(|kind| kind == "wasm")).collect();
        ensure!(!found.is_empty(), "{} has no .wasm file", path.display());
        found.sort();
        files.append(&mut found);
    }
    Ok(files)
}

/// Compiles a guest and the second check of its reports.
async fn precompile(runtime: &Runtime, file: &Path) -> anyhow::Result<PrecompiledGuest> {
    // The loader names the limit; much more is not even read.
    let bytes = read_file(file, 2 * runtime.limits().component_bytes as u64)?;
    let guest = runtime.load(&bytes).await?;
    let manifest = guest.manifest();
    runtime.verifier(&manifest.schema).await?;
    Ok(PrecompiledGuest {
        file: file.to_owned(),
        digest: guest.digest().to_string(),
        prompt_version: manifest.prompt_version.clone(),
    })
}

/// Copies the images into a folder that everybody may read, each under another name first.
fn publish(compiled: &Path, out: &Path) -> io::Result<Vec<Image>> {
    if !out.is_dir() {
        fs::create_dir_all(out)?;
        fs::set_permissions(out, fs::Permissions::from_mode(FOLDER_MODE))?;
    }
    let mut images = Vec::new();
    for entry in fs::read_dir(compiled)? {
        let entry = entry?;
        let name = entry.file_name();
        let mut unfinished = name.clone();
        unfinished.push(".tmp");
        let unfinished = out.join(unfinished);
        let mut copy = fs::File::create(&unfinished)?;
        let bytes = io::copy(&mut fs::File::open(entry.path())?, &mut copy)?;
        // The umask of this process may have taken bits away.
        copy.set_permissions(fs::Permissions::from_mode(IMAGE_MODE))?;
        copy.sync_all()?;
        fs::rename(&unfinished, out.join(&name))?;
        images.push(Image { name: name.to_string_lossy().into_owned(), bytes });
    }
    images.sort();
    Ok(images)
}

fn render(report: &PrecompileReport) -> String {
    let row = |guest: &PrecompiledGuest| {
        vec![guest.file.display().to_string(), guest.prompt_version.clone(), format!("sha256:{}", guest.digest)]
    };
    let guests = output::table(&["GUEST", "PROMPT VERSION", "DIGEST"], report.guests.iter().map(row).collect(), &[]);
    let bytes: u64 = report.images.iter().map(|image| image.bytes).sum();
    format!(
        "{guests}\n{} images for {}, {:.1} MiB, in {}\n",
        report.images.len(),
        report.cpu,
        bytes as f64 / f64::from(1 << 20),
        report.folder.display()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guests_and_the_size_of_their_images_are_shown() {
        let guest = |file: &str, prompt_version: &str, digit: &str| PrecompiledGuest {
            file: file.into(),
            digest: digit.repeat(64),
            prompt_version: prompt_version.to_owned(),
        };
        let image = |name: &str, bytes| Image { name: name.to_owned(), bytes };
        let report = PrecompileReport {
            cpu: "x86-64-v2",
            folder: "images".into(),
            guests: vec![guest("guests/minutes-v1.wasm", "minutes-v1", "a"), guest("notes.wasm", "notes-v3", "b")],
            images: vec![image("a.image", 10 << 20), image("b.image", 9 << 19)],
        };
        insta::assert_snapshot!(render(&report));
    }

    #[test]
    fn a_folder_stands_for_its_components_by_name() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["b.wasm", "a.wasm", "notes.txt"] {
            fs::write(folder.path().join(name), b"").unwrap();
        }
        let [a, b] = ["a.wasm", "b.wasm"].map(|name| folder.path().join(name));
        assert_eq!(components(&[b.clone(), folder.path().to_owned()]).unwrap(), [b.clone(), a, b]);
        let empty = tempfile::tempdir().unwrap();
        assert!(components(&[empty.path().to_owned()]).unwrap_err().to_string().ends_with("has no .wasm file"));
    }
}
