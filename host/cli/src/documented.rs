//! Holds README and `.env.example` to the variables that the code declares.

use std::{fmt::Write, path::Path};

use assay_core::variables::{Declared, Variables};
use assay_worker::{config::Config, worker::LAST_WRITES};

use super::env_file;

const START: &str = "<!-- configuration -->\n";
const END: &str = "<!-- /configuration -->";

/// The table between the markers of the README.
fn table(variables: &[Declared]) -> String {
    let mut table = "| variable | default | meaning |\n|---|---|---|\n".to_owned();
    for variable in variables {
        let default = match (&variable.default, variable.required) {
            (_, true) => "**required**".to_owned(),
            (default, false) if default.is_empty() => String::new(),
            (default, false) => format!("`{default}`"),
        };
        let (name, help) = (variable.name, variable.help.replace('|', "\\|"));
        writeln!(table, "| `{name}` | {default} | {help} |").expect("a string takes what it gets");
    }
    table
}

/// What stands in `.env.example`: what is required with an empty value, everything else as a comment with its default.
fn example(variables: &[Declared]) -> String {
    let mut text = "\
# Every variable that Assay reads. Copy to .env, fill in the empty ones, and use it as `assay --env-file .env …` or in
# a shell as `set -a; . ./.env`. What is commented out shows its default.
"
    .to_owned();
    for variable in variables {
        let comment = if variable.required { "" } else { "# " };
        let line = env_file::line(variable.name, &variable.default);
        write!(text, "\n# {}\n{comment}{line}", variable.help).expect("a string takes what it gets");
    }
    text
}

fn file(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(name);
    std::fs::read_to_string(path).unwrap_or_default()
}

#[test]
fn the_readme_lists_every_variable_with_its_default() {
    let expected = table(&Config::variables());
    let readme = file("README.md");
    let found = readme.split_once(START).and_then(|(_, rest)| rest.split_once(END)).map_or("", |(table, _)| table);
    assert!(
        found == expected,
        "README.md is out of date. Paste this between its markers <!-- configuration --> and <!-- /configuration -->:\n\n{expected}\n"
    );
}

#[test]
fn an_orchestrator_is_told_to_wait_for_longer_than_a_stop_takes() {
    let page = file("docs/operations.md");
    let told = page.split_once("`terminationGracePeriodSeconds: ").expect("the page tells it").1;
    let told: u64 = told.split('`').next().and_then(|seconds| seconds.parse().ok()).expect("a number of seconds");
    let variables = Config::variables();
    let millis = |name: &str| -> u64 {
        let variable = variables.iter().find(|variable| variable.name == name).expect("it is declared");
        variable.default.parse().expect("it is a time")
    };
    // The jobs that are given back, a statement under way, the connections.
    let last = 2 * LAST_WRITES.as_secs() + millis("DATABASE_TIMEOUT_MS") / 1000;
    let stop = millis("STOP_GRACE_MS") / 1000 + last;
    assert!(told > stop, "docs/operations.md gives {told} s, but a stop may take {stop} s");
}

#[test]
fn the_example_environment_lists_every_variable_with_its_default() {
    let expected = example(&Config::variables());
    assert!(file(".env.example") == expected, ".env.example is out of date. Replace it by this:\n\n{expected}\n");
}

#[test]
fn the_example_environment_lacks_nothing_but_the_required_values() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("env");
    let assignment = |line: &&str| {
        let name = line.split_once('=').map(|(name, _)| name);
        name.is_some_and(|name| name.bytes().all(|c| c == b'_' || c.is_ascii_uppercase() || c.is_ascii_digit()))
    };
    let filled: Vec<_> = file(".env.example")
        .lines()
        .map(|line| line.strip_prefix("# ").filter(assignment).unwrap_or(line).to_owned())
        .collect();
    std::fs::write(&path, filled.join("\n")).unwrap();
    let faults = Config::load(Variables::from_map(env_file::read(&path).unwrap())).unwrap_err();
    let required: Vec<_> =
        Config::variables().into_iter().filter(|variable| variable.required).map(|variable| variable.name).collect();
    let named: Vec<_> = faults.iter().map(|fault| fault.name).collect();
    let sorted = |mut names: Vec<&'static str>| {
        names.sort_unstable();
        names
    };
    assert_eq!(sorted(named), sorted(required));
}
