//! `assay guest build`.

use std::{
    fs,
    io::IsTerminal,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Instant,
};

use anyhow::Context;
use assay_core::env::Variables;
use assay_guest_build::Stamp;
use assay_runtime::Digest;
use serde::Serialize;

use crate::{
    exit::Failure,
    guest::{guest_builder::GuestBuilder, source::Source},
    output,
};

/// Build a guest: a component, ready for GUEST_DIR.
///
/// A guest without code needs no compiler: its files are injected into the generic guest of this binary. Cargo compiles a
/// crate for wasm32-unknown-unknown. The same sources and toolchain give the same digest.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  assay guest build                        the guest in this folder
  assay guest build minutes-v1 --out guests/minutes-v1.wasm
  assay guest build minutes-v1 --json | jq -r .digest")]
pub struct Arguments {
    /// Folder of the guest
    #[arg(value_name = "DIR", default_value = ".")]
    path: PathBuf,
    /// File to write, or a folder for it [default: NAME.wasm in the folder of the guest; NAME is the prompt version or the
    /// crate]
    #[arg(long, short, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Serialize)]
struct BuildReport {
    file: PathBuf,
    digest: String,
    bytes: usize,
    name: String,
    version: String,
    revision: String,
    fixtures: usize,
    warnings: Vec<String>,
    seconds: f64,
}

pub async fn run(arguments: &Arguments, vars: Variables) -> Result<ExitCode, Failure> {
    let started = Instant::now();
    let source = Source::at(&arguments.path)?;
    if let Source::Component(path) = &source {
        return Err(anyhow::anyhow!("{} is already built; name the folder of its sources", path.display()).into());
    }
    let builder = GuestBuilder::new(vars)?;
    let built = builder.build(&source).await.with_context(|| format!("build {source}"))?;
    let stamp = Stamp::of(&built.bytes);
    let file = output_file(arguments.out.as_deref(), source.path(), &stamp.name);
    write(&file, &built.bytes).with_context(|| format!("write {}", file.display()))?;
    let report = BuildReport {
        file,
        digest: Digest::of(&built.bytes).to_string(),
        bytes: built.bytes.len(),
        name: stamp.name,
        version: stamp.version,
        revision: stamp.revision,
        fixtures: built.fixtures,
        warnings: built.warnings,
        seconds: started.elapsed().as_secs_f64(),
    };
    if arguments.json {
        output::print_json(&report)?;
    } else {
        output::print(&render(&report, std::io::stdout().is_terminal()))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Returns the file to write. In a folder, it has the name of the guest.
fn output_file(out: Option<&Path>, guest: &Path, name: &str) -> PathBuf {
    // A path that ends with a slash is a folder that may not exist yet.
    let is_folder = |path: &Path| path.is_dir() || path.as_os_str().as_encoded_bytes().ends_with(b"/");
    match out {
        Some(file) if !is_folder(file) => file.to_owned(),
        folder => folder.unwrap_or(guest).join(format!("{name}.wasm")),
    }
}

/// Writes the file at once, by a rename: a worker may be reading the folder.
fn write(file: &Path, bytes: &[u8]) -> std::io::Result<()> {
    // A link stays a link; its target is replaced.
    let target = file.canonicalize();
    let file = target.as_deref().unwrap_or(file);
    if file.metadata().is_ok_and(|there| !there.is_file()) {
        // Write to a device or a pipe; do not replace it by a file.
        return fs::write(file, bytes);
    }
    let folder = match file.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    fs::create_dir_all(folder)?;
    let unfinished = folder.join(format!(".{}.tmp", uuid::Uuid::new_v4()));
    let written = fs::write(&unfinished, bytes).and_then(|()| fs::rename(&unfinished, file));
    if written.is_err() {
        let _ = fs::remove_file(&unfinished);
    }
    written
}

fn render(report: &BuildReport, colours: bool) -> String {
    let BuildReport { file, digest, bytes, name, version, seconds, warnings, fixtures, .. } = report;
    let mut text = String::new();
    for warning in warnings {
        let mark = if colours { "\u{1b}[33mwarning\u{1b}[0m" } else { "warning" };
        text.push_str(&format!("{mark}: {}\n", output::plain(warning)));
    }
    let megabytes = *bytes as f64 / 1e6;
    let file = output::plain(&file.display().to_string());
    text.push_str(&format!(
        "{file}  {megabytes:.1} MB, {name} ({version}), with its {fixtures} fixtures, in {seconds:.1} s\n"
    ));
    text.push_str(&format!("sha256:{digest}\n"));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guest_is_written_to_the_file_or_into_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        let guest = Path::new("guest");
        assert_eq!(output_file(None, guest, "a-v1"), Path::new("guest/a-v1.wasm"));
        assert_eq!(output_file(Some(&root.join("b.wasm")), guest, "a-v1"), root.join("b.wasm"));
        assert_eq!(output_file(Some(root), guest, "a-v1"), root.join("a-v1.wasm"));
        assert_eq!(output_file(Some(Path::new("not/yet/there/")), guest, "a-v1"), Path::new("not/yet/there/a-v1.wasm"));
    }

    #[test]
    fn a_link_is_followed_and_kept() {
        let folder = tempfile::tempdir().unwrap();
        let (target, link) = (folder.path().join("releases/1.wasm"), folder.path().join("current.wasm"));
        write(&target, b"old").unwrap();
        std::os::unix::fs::symlink("releases/1.wasm", &link).unwrap();
        write(&link, b"new").unwrap();
        assert!(link.is_symlink());
        assert_eq!(fs::read(&target).unwrap(), b"new");
        assert_eq!(fs::read_dir(folder.path().join("releases")).unwrap().count(), 1, "nothing unfinished is left");
    }

    #[test]
    fn a_pipe_is_written_to_and_not_replaced() {
        use std::os::unix::fs::FileTypeExt;

        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        let reader = {
            let pipe = pipe.clone();
            std::thread::spawn(move || fs::read(pipe).unwrap())
        };
        write(&pipe, b"guest").unwrap();
        assert!(pipe.metadata().unwrap().file_type().is_fifo());
        assert_eq!(reader.join().unwrap(), b"guest");
    }

    #[test]
    fn a_built_guest_is_shown_with_its_warnings() {
        let report = BuildReport {
            file: "guests/minutes-v1.wasm".into(),
            digest: "0123456789abcdef".repeat(4),
            bytes: 4_812_345,
            name: "minutes-v1".into(),
            version: "minutes.v1".into(),
            revision: "sha256:7".into(),
            fixtures: 3,
            warnings: vec!["/properties/due: `format` is not for the model\u{1b}[2J".into()],
            seconds: 0.345,
        };
        insta::assert_snapshot!(render(&report, false));
        assert!(
            render(&report, true).starts_with("\u{1b}[33mwarning\u{1b}[0m: /properties"),
            "{}",
            render(&report, true)
        );
    }
}
