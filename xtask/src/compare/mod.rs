//! `cargo xtask compare REV`: holds a change to "no change of behaviour".
//!
//! Builds another revision and this tree, runs both over `docs/samples/` and a table of commands, and compares exit codes,
//! `--json`, artifacts, metrics, variables, error codes and the command line. More may be there than before; every other
//! difference fails the command, unless it stands in `tests/compare/expected/`.

mod artifacts;
mod capture;
mod commands;
mod difference;
mod expected;
mod help;
mod invoke;
mod mask;
mod metrics;
mod pages;
mod table;

use std::collections::BTreeSet;

use anyhow::{Context, Result, bail};

use crate::{
    paths,
    revision::{built_revision::BuiltRevision, git},
    stages::Stages,
    system,
};
use capture::Capture;
use difference::Difference;
use expected::Expected;
use table::Verdict;

const EXPECTED: &str = "tests/compare/expected";

/// Options of `cargo xtask compare`.
#[derive(clap::Args)]
pub struct Args {
    /// The other revision, as git names it: the commit before the change
    #[arg(value_name = "REV")]
    revision: String,
    /// Show what each item is in this tree, and not only how it differs
    #[arg(long)]
    show: bool,
}

/// Runs the command.
///
/// # Errors
/// Where a stage fails, a difference is not expected, or an expected one was not found.
pub fn run(args: &Args) -> Result<()> {
    let commit = git::commit(&args.revision)?;
    let mut expected = Expected::read(&paths::root().join(EXPECTED), &commit)?;
    let mut stages = Stages::new("cargo xtask compare", 5);
    stages.run("system packages", system::ensure_postgres)?;
    let this = stages.run("build this tree", BuiltRevision::here)?;
    let other = stages.run("build the other revision", || BuiltRevision::of(&commit))?;
    // Both in one place: paths in their answers have the same length.
    let data = this.folder.join("data");
    let before = stages.run("run the other revision", || capture::of(&other, &data.join("other"), None))?;
    let after = stages.run("run this tree", || capture::of(&this, &data.join("these"), Some(&before)))?;

    let verdicts = judge(&before, &after, &mut expected);
    if args.show {
        after.iter().for_each(|(item, value)| println!("\n{item}: {value:#}"));
    }
    println!("\n{}\n\n{}\n{}", table::render(&verdicts), stages.summary(), table::count(&verdicts));
    let mut faults = 0;
    for (item, verdict) in &verdicts {
        if let Verdict::Differs { diff, added } = verdict {
            println!("\n{item} differs; if that is meant, this is {EXPECTED}/{}:", expected::file_name(item));
            println!("# since COMMIT\n{}", diff.trim_end());
            if !added.is_empty() {
                println!("(not part of it, but added there: {})", added.join(", "));
            }
            faults += 1;
        }
    }
    for file in expected.stale() {
        println!("\n{EXPECTED}/{file} is stale: there is no such difference to {}", other.name);
        faults += 1;
    }
    if faults > 0 {
        bail!("this tree does not behave as {}: {faults} differences, shown above", other.name);
    }
    println!("This tree behaves as {}.", other.name);
    Ok(())
}

/// Returns the revision whose differences are meant, which is the one before this.
///
/// # Errors
/// No difference is meant, so none is named.
pub fn revision_before() -> Result<String> {
    expected::newest_since(&paths::root().join(EXPECTED))?
        .with_context(|| format!("{EXPECTED} names no revision: name the one before with --before REV"))
}

fn judge(before: &Capture, after: &Capture, expected: &mut Expected) -> Vec<(String, Verdict)> {
    let items: BTreeSet<_> = before.keys().chain(after.keys()).collect();
    let verdicts = items.into_iter().map(|item| {
        let verdict = match difference::between(before.get(item), after.get(item)) {
            Difference::Same => Verdict::Same,
            Difference::Added(members) => Verdict::Added(members),
            Difference::Changed { diff, .. } if expected.takes(item, &diff) => Verdict::Expected,
            Difference::Changed { diff, added } => Verdict::Differs { diff, added },
        };
        (item.clone(), verdict)
    });
    verdicts.collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Capture, Expected, Verdict, judge};

    #[test]
    fn an_item_that_vanishes_differs_and_a_new_one_is_an_addition() {
        let capture = |item: &str| Capture::from([(item.to_owned(), json!({"exit": 0}))]);
        let verdicts = judge(&capture("command old"), &capture("command new"), &mut Expected::default());
        assert_eq!(verdicts[0], ("command new".to_owned(), Verdict::Added(vec!["all of it".to_owned()])));
        assert!(matches!(&verdicts[1], (item, Verdict::Differs { .. }) if item == "command old"));
    }
}
