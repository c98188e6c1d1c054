//! `cargo xtask page`: follows pages of docs/ word by word, so that what people read is what happens.
//!
//! Every block ```` ```console ```` is a dialogue: a line that begins with `$ ` is a command, `> ` continues it, and what follows is its
//! output. The commands of a page run in one new folder, in the page's order. Numbers and digests may differ; every word must be
//! the same. docs/guests/tutorial.md is followed as a whole; in docs/operations/releases.md one section, with the services of `assay dev` beside it.

mod dialogue;

use std::{
    collections::BTreeMap,
    env, fs,
    path::Path,
    process::{Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};

use crate::{
    demo::session::{self, Asked, Session},
    guests, paths, run, system,
};
use dialogue::{Dialogue, Piece, alike};

/// A page, or what is followed of it.
struct Page {
    path: &'static str,
    /// The heading of the section that is followed; all of the page without one.
    section: Option<&'static str>,
    /// Whether a database, a bucket, a model and a worker stand beside it.
    services: bool,
}

const PAGES: [Page; 2] = [
    Page { path: "docs/guests/tutorial.md", section: None, services: false },
    Page { path: "docs/operations/releases.md", section: Some("## The life of a release"), services: true },
];

/// Variables of the worker beside a page: a short check period, and a fixed name in place of the host's.
const WORKER_VARIABLES: [(&str, &str); 2] = [("CANARY_CHECK_MS", "500"), ("WORKER_ID", "worker")];
/// Commands whose output may take a moment to become what the page says.
const POLLED_COMMANDS: [&str; 3] = ["assay release list", "assay release show", "assay status"];
/// Long enough to compile a guest.
const POLL_TIMEOUT: Duration = Duration::from_secs(90);
/// The wait where the page has no output yet to compare with.
const FIRST_OUTPUT_WAIT: Duration = Duration::from_secs(20);
const POLL_PERIOD: Duration = Duration::from_millis(500);

/// Options of `cargo xtask page`.
#[derive(clap::Args, Default)]
pub struct Args {
    /// Write what the commands print into the pages
    #[arg(long)]
    write: bool,
    /// Only this page
    #[arg(value_name = "PAGE")]
    page: Option<String>,
}

/// Runs every command of the pages.
///
/// # Errors
/// A command that prints something else than its page says.
pub fn run(args: &Args) -> Result<()> {
    run::run(&mut run::cargo(&["build", "--package", "assay"]))?;
    let mut pages = PAGES.iter().filter(|page| args.page.as_ref().is_none_or(|only| page.path == only)).peekable();
    ensure!(pages.peek().is_some(), "unknown page {:?}: expected one of the pages that are followed", args.page);
    pages.try_for_each(|page| follow(page, args.write))
}

fn follow(page: &Page, write: bool) -> Result<()> {
    let Page { path, section, services } = page;
    let file = paths::root().join(path);
    let text = fs::read_to_string(&file).with_context(|| format!("read {path}"))?;
    let (before, text, after) = divided(&text, *section).with_context(|| format!("find the section in {path}"))?;
    let folder = tempfile::Builder::new().prefix("assay-page-").tempdir().context("make a folder")?;
    let session = if *services { Some(services_in(folder.path())?) } else { None };
    let variables = session.as_ref().map_or_else(|| Ok(BTreeMap::new()), Session::variables)?;
    let mut pieces = dialogue::parse(text);
    let (mut commands, mut differing) = (0, Vec::new());
    for piece in &mut pieces {
        let Piece::Dialogue(Dialogue { command, output }) = piece else { continue };
        let progress = guests::spinner(command.lines().next().unwrap_or_default().to_owned());
        let printed = settled(command, output, || answer(command, folder.path(), &variables))?;
        progress.finish_and_clear();
        commands += 1;
        if !alike(output, &printed) {
            differing.push(format!("$ {command}\n{printed}"));
            *output = printed;
        }
    }
    if let Some(session) = session {
        session.stop()?;
    }
    if write && !differing.is_empty() {
        let text = [before, &dialogue::written(&pieces), after].concat();
        fs::write(&file, text).with_context(|| format!("write {path}"))?;
        println!("{path}: {} of {commands} commands have other output now.", differing.len());
        return Ok(());
    }
    ensure!(
        differing.is_empty(),
        "{path} does not say what these print; `cargo xtask page {path} --write` writes it down:\n\n{}",
        differing.join("\n")
    );
    println!("{path}: {commands} commands print what it says.");
    Ok(())
}

/// Returns what stands before the part that is followed, that part, and what stands behind it.
fn divided<'a>(text: &'a str, section: Option<&str>) -> Option<(&'a str, &'a str, &'a str)> {
    let Some(heading) = section else { return Some(("", text, "")) };
    let begin = text.find(&format!("\n{heading}\n"))? + 1;
    let length = text[begin..].find("\n## ").map_or(text.len() - begin, |next| next + 1);
    let (before, rest) = text.split_at(begin);
    let (part, after) = rest.split_at(length);
    Some((before, part, after))
}

/// Returns the services of `assay dev`, with nothing in them.
fn services_in(folder: &Path) -> Result<Session> {
    system::ensure_postgres()?;
    let progress = guests::spinner("start; guests that are new here are compiled to machine code".to_owned());
    let session = Session::start(&folder.join("services"), Asked::StandIn, &WORKER_VARIABLES)?;
    progress.finish_and_clear();
    Ok(session)
}

/// Returns what a command prints. One that only looks is asked until it says what the page says, or for a moment.
fn settled(command: &str, expected: &str, answer: impl Fn() -> Result<String>) -> Result<String> {
    let looks = POLLED_COMMANDS.iter().any(|look| command.starts_with(look));
    if looks && expected.is_empty() {
        // Nothing is written down yet that could come true.
        sleep(FIRST_OUTPUT_WAIT);
        return answer();
    }
    let until = Instant::now() + POLL_TIMEOUT;
    loop {
        let printed = answer()?;
        if !looks || alike(expected, &printed) || Instant::now() >= until {
            return Ok(printed);
        }
        sleep(POLL_PERIOD);
    }
}

/// Returns what a command prints, on both streams. How it ends is part of what the page says, and no error here.
fn answer(command: &str, folder: &Path, variables: &BTreeMap<String, String>) -> Result<String> {
    let mut path = run::assay().parent().context("assay lies in a folder")?.as_os_str().to_owned();
    path.push(":");
    path.push(env::var_os("PATH").unwrap_or_default());
    let mut shell = Command::new("bash");
    // On one stream, so that the order is as on a terminal.
    shell.args(["-c", &format!("exec 2>&1\n{command}")]).current_dir(folder).stdin(Stdio::null()).env("PATH", path);
    shell.env("CARGO_TARGET_DIR", paths::guest_target().join("page")).env("RUSTUP_TOOLCHAIN", toolchain());
    for (name, _) in env::vars_os() {
        let name = name.to_string_lossy();
        let ours = ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_PROFILE_"];
        if ours.iter().any(|prefix| name.starts_with(prefix)) {
            shell.env_remove(&*name);
        }
    }
    session::read_by_assay().for_each(|name| _ = shell.env_remove(name));
    let output = shell.env("USER", "anna").envs(variables).output().context("run bash")?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Returns the repository's own, which has the guests' target; a folder elsewhere has none of its own.
fn toolchain() -> String {
    env::var("RUSTUP_TOOLCHAIN").unwrap_or_else(|_| "1.95.0".to_owned())
}

#[cfg(test)]
mod tests {
    use super::divided;

    #[test]
    fn a_section_ends_where_the_next_one_begins() {
        let page = "# P\n\n## A\none\n### B\ntwo\n## C\nthree\n";
        assert_eq!(divided(page, None), Some(("", page, "")));
        assert_eq!(divided(page, Some("## A")), Some(("# P\n\n", "## A\none\n### B\ntwo\n", "## C\nthree\n")));
        assert_eq!(divided(page, Some("## C")), Some(("# P\n\n## A\none\n### B\ntwo\n", "## C\nthree\n", "")));
        assert_eq!(divided(page, Some("## D")), None);
    }
}
