//! `cargo xtask field`: runs the cases that people met in real use. Scripts and inputs are in tests/field, a folder per corpus.

mod line;
mod ports;

use std::{
    fs::{self, File},
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail, ensure};
use assay_dev::Postgres;

use crate::{demo::session, dist, guests, paths, run, setup, system};
use line::Line;

/// Sourced by others.
const PARTS: [&str; 3] = ["lib.sh", "setup_pg.sh", "standby.sh"];
/// Far more than any script takes. It ends as at Ctrl-C, so that it stops what it started.
const SCRIPT_TIMEOUT: &str = "900";
const STOP_TIMEOUT: &str = "--kill-after=60";
/// Lines that explain a script that ended without a verdict.
const LAST_LINES: usize = 15;

/// Options of `cargo xtask field`.
#[derive(clap::Args, Default)]
pub struct Args {
    /// Corpora to run: folders of tests/field [default: all]
    #[arg(value_name = "CORPUS")]
    corpora: Vec<String>,
}

/// Builds what the scripts need, and runs them one after the other.
///
/// # Errors
/// A corpus is unknown, a part does not build, or a case fails.
pub fn run(args: &Args) -> Result<()> {
    let scripts = scripts(&paths::root().join("tests/field"), args)?;
    system::ensure_postgres()?;
    guests::run(&guests::Args::default())?;
    run::run(&mut run::cargo(&["build", "--package", "assay", "--features", "wasi"]))?;
    run::run(&mut run::cargo(&["build", "--package", "assay-tests", "--bin", "guest-from-wat"]))?;
    let package = needs_package(&scripts).then(package).transpose()?;
    let (mut passed, mut failed, mut skipped) = (0, 0, 0);
    for script in &scripts {
        for line in cases(script, package.as_deref())? {
            match line {
                Line::Passed(_) => passed += 1,
                Line::Failed(_) => failed += 1,
                Line::Skipped(_) => skipped += 1,
            }
        }
    }
    println!("\n{passed} cases are as wanted, {failed} are not, {skipped} scripts were skipped.");
    ensure!(failed == 0, "{failed} cases of the field failed; to run them again: cargo xtask field CORPUS");
    Ok(())
}

/// Returns the scripts of the corpora, as `corpus/name.sh`, sorted.
fn scripts(field: &Path, args: &Args) -> Result<Vec<String>> {
    let names = |folder: &Path| -> Result<Vec<String>> {
        let entries = fs::read_dir(folder).with_context(|| format!("list {}", folder.display()))?;
        let mut names: Vec<_> =
            entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        Ok(names)
    };
    let known: Vec<_> = names(field)?.into_iter().filter(|name| field.join(name).is_dir()).collect();
    let unknown = args.corpora.iter().find(|corpus| !known.contains(corpus));
    if let Some(unknown) = unknown {
        bail!("unknown corpus `{unknown}`: expected {}", known.join(" or "));
    }
    let mut scripts = Vec::new();
    for corpus in known.iter().filter(|corpus| args.corpora.is_empty() || args.corpora.contains(corpus)) {
        let own = names(&field.join(corpus))?.into_iter();
        let own = own.filter(|name| name.ends_with(".sh") && !PARTS.contains(&name.as_str()));
        scripts.extend(own.map(|name| format!("{corpus}/{name}")));
    }
    Ok(scripts)
}

fn needs_package(scripts: &[String]) -> bool {
    scripts.iter().any(|script| script.starts_with("image/"))
}

/// Packages the binary that the other scripts run, and returns the archive.
fn package() -> Result<PathBuf> {
    let out = run::target().join("field-package");
    dist::run(&dist::Args { binary: Some(run::assay()), out: Some(out.clone()) })?;
    let archives = fs::read_dir(&out).with_context(|| format!("list {}", out.display()))?.flatten();
    let mut archives =
        archives.map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|kind| kind == "gz"));
    archives.next().with_context(|| format!("{} has no archive", out.display()))
}

/// Runs a script, prints its verdicts while it runs, and returns them.
fn cases(script: &str, package: Option<&Path>) -> Result<Vec<Line>> {
    let errors = tempfile::NamedTempFile::new().context("make a file")?;
    let mut command = command(script)?;
    command.envs(package.map(|package| ("PACKAGE", package)));
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    command.stderr(File::create(errors.path()).context("open the file")?);
    let mut child = command.spawn().context("run timeout and bash")?;
    let output = BufReader::new(child.stdout.take().context("a script has an output")?);
    let (mut lines, mut others) = (Vec::new(), Vec::new());
    for text in output.split(b'\n') {
        let text = String::from_utf8_lossy(&text.context("read what the script prints")?).into_owned();
        match Line::parse(script, &text) {
            Some(line) => {
                println!("{line}");
                lines.push(line);
            }
            None => others.push(text),
        }
    }
    let status = child.wait().context("wait for the script")?;
    let explained = lines.iter().any(|line| matches!(line, Line::Failed(_)));
    if (!status.success() && !explained) || lines.is_empty() {
        others.extend(fs::read_to_string(errors.path()).unwrap_or_default().lines().map(str::to_owned));
        let last = others[others.len().saturating_sub(LAST_LINES)..].join("\n  ");
        let line = Line::failed(script, &format!("ended with {status}\n  {last}"));
        println!("{line}");
        lines.push(line);
    }
    Ok(lines)
}

/// Returns the command of a script, with what it may use of this machine and nothing that configures Assay.
fn command(script: &str) -> Result<Command> {
    let path = paths::root().join("tests/field").join(script);
    let programs = Postgres::programs()?;
    let mut command = Command::new("timeout");
    command.args(["--foreground", STOP_TIMEOUT, SCRIPT_TIMEOUT, "bash"]).arg(&path);
    session::read_by_assay().for_each(|name| _ = command.env_remove(name));
    command
        .env("ASSAY", run::assay())
        .env("GUESTS", paths::root().join("guest/dist"))
        .env("GUEST_FROM_WAT", run::target().join("debug/guest-from-wat"))
        .env("CLAIM_SQL", paths::root().join("host/db/sql/claim.sql"))
        .env("TOOLS", setup::tools()?)
        .env("CACHE", cache()?)
        .env("PORT", ports::free_block()?.to_string())
        .env("PATH", with_folder(&programs))
        .env("PGBIN", programs)
        // A file beside a script of the repository would be an untracked one.
        .env("PYTHONDONTWRITEBYTECODE", "1");
    Ok(command)
}

/// Returns a folder for compiled guests that only this user can enter, as Assay asks for one.
fn cache() -> Result<PathBuf> {
    use std::os::unix::fs::DirBuilderExt;

    let folder = run::target().join("field-guests");
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder);
    made.with_context(|| format!("make {}", folder.display()))?;
    Ok(folder)
}

/// Returns `PATH` with a folder in front.
fn with_folder(folder: &Path) -> std::ffi::OsString {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::iter::once(folder.to_owned()).chain(std::env::split_paths(&path));
    std::env::join_paths(folders).unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(corpora: &[&str]) -> Result<Vec<String>> {
        let corpora = corpora.iter().map(|corpus| (*corpus).to_owned()).collect();
        scripts(&paths::root().join("tests/field"), &Args { corpora })
    }

    #[test]
    fn a_corpus_is_its_scripts_without_their_parts() {
        let core = named(&["core"]).unwrap();
        assert!(core.contains(&"core/symlinks.sh".to_owned()) && !core.contains(&"core/lib.sh".to_owned()), "{core:?}");
        let infra = named(&["infra"]).unwrap();
        assert!(infra.contains(&"infra/s3_check.sh".to_owned()), "{infra:?}");
        assert_eq!(named(&["stores"]).unwrap(), ["stores/fauxqs.sh", "stores/moto.sh", "stores/rotation.sh"]);
        assert_eq!(named(&["image"]).unwrap(), ["image/image.sh"]);
        let llm = named(&["llm"]).unwrap();
        assert_eq!(llm, ["llm/cases.sh", "llm/flagged.sh", "llm/operator.sh", "llm/worker.sh"]);
        assert_eq!(named(&[]).unwrap().len(), core.len() + infra.len() + llm.len() + 4);
        let error = named(&["transcript"]).unwrap_err().to_string();
        assert_eq!(error, "unknown corpus `transcript`: expected core or image or infra or llm or stores");
    }
}
