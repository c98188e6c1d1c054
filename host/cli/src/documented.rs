//! Generated parts of pages: variables, codes and `.env.example`. The tests compare them; `cargo xtask docs` writes them.

use std::{
    fmt::Write,
    path::{Path, PathBuf},
};

use assay_core::{
    code::{Code, CodeRow},
    env::{DeclaredVariable, Variables},
};
use assay_guest_build::BuildReason;
use assay_runtime::LoadError;
use assay_worker::{config::Config, worker::FINAL_WRITES_TIMEOUT};

use crate::env_file;

/// Variables that most deployments set.
const COMMON: [&str; 27] = [
    "LOG_LEVEL",
    "LOG_FORMAT",
    "DATABASE_URL_FILE",
    "DATABASE_PASSWORD_COMMAND",
    "DATABASE_POOL",
    "S3_ENDPOINT",
    "S3_REGION",
    "S3_ACCESS_KEY_ID",
    "S3_ACCESS_KEY_ID_FILE",
    "S3_SECRET_ACCESS_KEY",
    "S3_SECRET_ACCESS_KEY_FILE",
    "LLM_API_KEY",
    "LLM_API_KEY_FILE",
    "LLM_MODELS",
    "LLM_TIMEOUT_MS",
    "LLM_MAX_OUTPUT_TOKENS",
    "REPORT_PROMPT_VERSION",
    "GUEST_CACHE_DIR",
    "TRANSCRIPT_MAX_BYTES",
    "WORKER_ID",
    "WORKER_CONCURRENCY",
    "STOP_GRACE_MS",
    "RETAIN_ANSWERS",
    "RETAIN_ANSWERS_DAYS",
    "RETAIN_HISTORY_DAYS",
    "SWEEP",
    "ADMIN_ADDR",
];

/// Renders a table of variables.
fn table<'a>(variables: impl Iterator<Item = &'a DeclaredVariable>) -> String {
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

/// Renders the tables of codes, a section for each part of a job's life.
fn codes() -> String {
    let mut text = String::new();
    for (section, codes) in Code::SECTIONS {
        write!(text, "\n## {section}\n\n| code | class | what happened | fix |\n|---|---|---|---|\n")
            .expect("as above");
        for code in *codes {
            let CodeRow { class, happened, fix, .. } = code.row();
            writeln!(text, "| `{code}` | {} | {happened} | {fix} |", class.as_str()).expect("as above");
        }
    }
    text + "\n"
}

/// Renders the rows of a table of errors without a class.
fn rows<'a>(rows: impl Iterator<Item = [&'a str; 3]>) -> String {
    let mut text = "| code | what happened | fix |\n|---|---|---|\n".to_owned();
    for [code, happened, fix] in rows {
        writeln!(text, "| `{code}` | {happened} | {fix} |").expect("as above");
    }
    text
}

/// Renders why a guest does not load. The registry reads the file first, and has the first code.
fn load_errors() -> String {
    let unreadable = [
        "file_unreadable",
        "The file cannot be read, or is a folder, a pipe or a broken link.",
        "Put a file there that the worker's user can read.",
    ];
    let others = LoadError::ROWS.iter().map(|row| [row.code, row.happened, row.fix]);
    rows(std::iter::once(unreadable).chain(others))
}

/// Renders why a guest is not built.
fn build_errors() -> String {
    rows(BuildReason::ROWS.iter().map(|row| [row.code, row.happened, row.fix]))
}

/// Compares what stands between two markers of a page with `expected`; `cargo xtask docs` writes it there instead.
fn compare(page: &str, marker: &str, expected: &str) {
    let (start, end) = (format!("<!-- {marker} -->\n"), format!("<!-- /{marker} -->"));
    let text = file(page);
    let (before, rest) = text.split_once(&start).unwrap_or_else(|| panic!("{page} has no marker {start}"));
    let (found, after) = rest.split_once(&end).unwrap_or_else(|| panic!("{page} has no marker {end}"));
    replace(page, found == expected, &format!("{before}{start}{expected}{end}{after}"));
}

/// Fails where a page is out of date, or writes it.
fn replace(page: &str, is_current: bool, text: &str) {
    if !is_current && is_writing() {
        std::fs::write(path(page), text).expect("the page can be written");
        return;
    }
    assert!(is_current, "{page} is out of date; `cargo xtask docs` writes it");
}

#[expect(
    clippy::disallowed_methods,
    reason = "a test that `cargo xtask docs` runs to write pages; not part of the binary"
)]
fn is_writing() -> bool {
    std::env::var_os("ASSAY_WRITE_DOCS").is_some()
}

/// Returns `.env.example`: required variables with an empty value, all others as comments with their defaults.
fn example(variables: &[DeclaredVariable]) -> String {
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

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(name)
}

fn file(name: &str) -> String {
    std::fs::read_to_string(path(name)).unwrap_or_default()
}

#[test]
fn the_configuration_page_lists_every_variable() {
    let variables = Config::variables();
    let is_common = |variable: &&DeclaredVariable| !variable.required && COMMON.contains(&variable.name);
    let is_rare = |variable: &&DeclaredVariable| !variable.required && !COMMON.contains(&variable.name);
    let page = "docs/configuration.md";
    compare(page, "configuration required", &table(variables.iter().filter(|variable| variable.required)));
    compare(page, "configuration common", &table(variables.iter().filter(is_common)));
    compare(page, "configuration rare", &table(variables.iter().filter(is_rare)));
    assert_eq!(variables.iter().filter(is_common).count(), COMMON.len(), "a common variable that is not declared");
}

#[test]
fn the_page_of_errors_is_the_table_of_codes() {
    compare("docs/errors.md", "codes", &codes());
    compare("docs/errors.md", "load errors", &load_errors());
    compare("docs/errors.md", "build errors", &build_errors());
}

#[test]
fn the_page_gives_an_orchestrator_more_time_than_a_stop_takes() {
    let page = file("docs/operations/deploy.md");
    let given = page.split_once("`terminationGracePeriodSeconds: ").expect("the page names it").1;
    let given: u64 = given.split('`').next().and_then(|seconds| seconds.parse().ok()).expect("a number of seconds");
    let variables = Config::variables();
    let millis = |name: &str| -> u64 {
        let variable = variables.iter().find(|variable| variable.name == name).expect("it is declared");
        variable.default.parse().expect("it is a time")
    };
    // Returning the jobs, a running statement, closing the connections.
    let last = 2 * FINAL_WRITES_TIMEOUT.as_secs() + millis("DATABASE_TIMEOUT_MS") / 1000;
    let stop = millis("STOP_GRACE_MS") / 1000 + last;
    assert!(given > stop, "docs/operations/deploy.md gives {given} s, but a stop may take {stop} s");
}

#[test]
fn the_example_environment_lists_every_variable_with_its_default() {
    let expected = example(&Config::variables());
    replace(".env.example", file(".env.example") == expected, &expected);
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
