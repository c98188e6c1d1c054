//! `cargo xtask test`: everything that must hold before a change is merged; what CI runs.
//!
//! Quick stages come first. Slow stages that rarely fail are in `cargo xtask nightly`.

use std::process::Command;

use anyhow::{Context, Result};

use crate::{chaos, demo, guests, page, paths, queries, run, stages::Stages, system};

/// Runs the stages up to the first that fails.
///
/// # Errors
/// The error of that stage, with the command to run it again.
pub fn run() -> Result<()> {
    let mut stages = Stages::new("cargo xtask test", 15);
    stages.run("system packages", system::ensure_postgres)?;
    stages.run("format", || {
        run::run(&mut run::cargo(&["fmt", "--all", "--check"]))?;
        run::run(&mut guest_cargo(&["fmt", "--all"], &["--", "--check"]))
    })?;
    stages.run("guests", || guests::run(&guests::Args::default()).context("to run it again: cargo xtask guests"))?;
    stages.run("clippy", || {
        let mut cargo = run::cargo(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]);
        run::run(&mut cargo)
    })?;
    stages.run("clippy of a deployment", || {
        // Without `assay dev`, code that only it uses is dead, and dependencies that only it has are missing.
        let mut cargo = run::cargo(&["clippy", "--package", "assay", "--no-default-features", "--", "-D", "warnings"]);
        run::run(&mut cargo)
    })?;
    stages.run("clippy of the guests", || {
        run::run(&mut guest_cargo(&["clippy", "--workspace", "--all-targets"], &["--", "-D", "warnings"]))
    })?;
    stages.run("documentation", || {
        let mut cargo = run::cargo(&["doc", "--workspace", "--no-deps"]);
        run::run(cargo.env("RUSTDOCFLAGS", "-D warnings"))
    })?;
    stages.run("queries", queries::check)?;
    stages.run("tests of the guests", || run::run(&mut guest_cargo(&["test", "--workspace"], &[])))?;
    stages.run("host", || run::run(&mut run::cargo(&["build", "--package", "assay"])))?;
    stages.run("fixtures of the guests", || {
        for file in guests::components() {
            let component = paths::root().join("guest/dist").join(file);
            run::run(Command::new(run::assay()).args(["guest", "test"]).arg(component))?;
        }
        Ok(())
    })?;
    stages.run("demo", || {
        demo::run(&demo::Args::with_the_stand_in()).context("to run it again: cargo xtask demo --stand-in")
    })?;
    stages.run("pages, word by word", || {
        page::run(&page::Args::default()).context("to run it again: cargo xtask page")
    })?;
    // The package of the end-to-end tests enables the feature `wasi`, so this builds and tests it too.
    stages.run("tests", || run::run(&mut run::cargo(&["test", "--workspace"])))?;
    stages.run("chaos, short", || chaos::short().context("to run it again: cargo xtask chaos --short --seed 1"))?;
    println!("\nEverything holds.\n\n{}", stages.summary());
    Ok(())
}

/// Returns cargo for the guests' workspace, built for this machine. Its dependencies have other features, so it gets a
/// target folder of its own.
fn guest_cargo(before: &[&str], after: &[&str]) -> Command {
    let mut command = run::cargo(before);
    command.args(["--manifest-path", "guest/Cargo.toml"]);
    if before[0] != "fmt" {
        let folder = paths::guest_target().join("native");
        command.arg("--target-dir").arg(folder);
    }
    command.args(after);
    command
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use crate::run;

    /// Returns every dependency of a package with its features, on either side of a build script.
    fn built_for(package: &str) -> BTreeSet<String> {
        let format = ["--prefix", "none", "--format", "{p} {f}", "--edges", "normal,build"];
        let output = run::cargo(&["tree", "--offline", "--package", package]).args(format).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines().map(|line| line.trim_end_matches(" (*)").to_owned()).collect()
    }

    #[test]
    fn what_xtask_shares_with_the_host_is_compiled_once() {
        // A name and a version; a path or features follow.
        let crate_of = |dependency: &String| dependency.split(' ').take(2).map(str::to_owned).collect::<Vec<_>>();
        let host = built_for("assay");
        let of_host: BTreeSet<_> = host.iter().map(crate_of).collect();
        let shared = |dependency: &String| of_host.contains(&crate_of(dependency));
        let twice: Vec<_> = built_for("xtask")
            .into_iter()
            .filter(|dependency| shared(dependency) && !host.contains(dependency))
            .collect();
        assert!(!of_host.is_empty());
        assert!(
            twice.is_empty(),
            "these have other features for xtask than for the host, so all that needs them is compiled twice; give xtask/Cargo.toml the host's features: {twice:#?}"
        );
    }
}
