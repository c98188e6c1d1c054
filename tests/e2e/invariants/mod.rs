//! Invariants of docs/architecture.md that no tool checks: SQL, silenced lints, migrations, pages.
//!
//! A rule that has to change is changed here and on the page, on purpose.

mod checks;
mod dependencies;
mod pages;
mod sources;

use std::{collections::BTreeSet, path::Path};

use checks::{
    events, is_by_owner, is_drawer, is_fenced, long_names, names_token, odd_migrations, pointers, silenced,
    unexplained_length, uses_unsafe, writes_state,
};
use sources::{File, assert_none, files, flat, root, statements};

const RUST: [&str; 4] = ["host", "guest", "tests", "xtask"];
const HOST: [&str; 10] = [
    "host/cli/src",
    "host/conversation/src",
    "host/core/src",
    "host/db/src",
    "host/guest-build/src",
    "host/guest-test/src",
    "host/llm/src",
    "host/objects/src",
    "host/runtime/src",
    "host/worker/src",
];

/// Places with unsafe code, each with a proof beside it.
const UNSAFE: [(&str, &str); 7] = [
    ("host/guest-build/src/initializer.rs", "maps compiled initializers that this user compiled and sealed"),
    ("host/runtime/src/cpu.rs", "names the features of a processor that the compiler may use"),
    ("host/runtime/src/runtime.rs", "maps images that this user or root compiled and sealed"),
    ("guest/sdk/src/lib.rs", "the attribute that names an exported symbol"),
    ("guest/sdk/src/memory.rs", "the guests' allocator hands out raw memory"),
    ("guest/sdk/src/random.rs", "getrandom's backend is an exported symbol that fills a raw buffer"),
    ("guest/generic/src/injected.rs", "the builder writes the parts into the module's memory"),
];

#[test]
fn only_the_database_crate_contains_sql() {
    let mut found = Vec::new();
    for file in sources_with_sql(&HOST).filter(|file| !file.path.starts_with("host/db/")) {
        found.extend(statements(&file).into_iter().map(|sql| format!("{}: {sql}", file.path)));
    }
    assert_none(&found);
}

#[test]
fn only_the_queue_writes_the_state_of_a_job_or_a_file() {
    let queue: String = files(&["host/db/src/queue"], "rs").into_iter().map(|file| file.text).collect();
    let mut found = Vec::new();
    for file in sources_with_sql(&["host"]).filter(|file| !file.path.starts_with("host/db/src/queue/")) {
        // A file of SQL belongs to the module that names it.
        let name = file.path.rsplit('/').next().unwrap_or_default();
        if file.path.starts_with("host/db/sql/") && queue.contains(name) {
            continue;
        }
        let writes = statements(&file).into_iter().filter(|sql| writes_state(sql));
        found.extend(writes.map(|sql| format!("{}: {sql}", file.path)));
    }
    // A function of a migration runs in its caller's transaction and may write. A migration itself may not, but for the
    // one that hands the queue back to the program that it belongs to.
    const HANDS_BACK: &str = "migrations/adopted/0008_shared_queue.down.sql";
    for file in files(&["migrations"], "sql").into_iter().filter(|file| file.path != HANDS_BACK) {
        let outside: String = file.text.split("$$").step_by(2).collect();
        if writes_state(&flat(&outside)) {
            found.push(format!("{} writes state outside of a function", file.path));
        }
    }
    assert_none(&found);
}

#[test]
fn a_column_that_may_hold_an_odd_value_is_decoded_by_itself() {
    let mut found = Vec::new();
    let mut decoded = 0;
    for file in files(&[".sqlx"], "json") {
        let query: serde_json::Value = serde_json::from_str(&file.text).expect("JSON");
        let columns = query["describe"]["columns"].as_array().expect("columns");
        for (name, kind) in
            columns.iter().map(|column| (column["name"].as_str().unwrap_or_default(), &column["type_info"]))
        {
            let by = match kind.as_str() {
                Some("Timestamptz") => "StoredTime",
                Some("Json" | "Jsonb") => "Lenient<",
                _ => continue,
            };
            decoded += 1;
            if !name.contains(by) && !SURE.contains(&name) {
                found.push(format!("{name} in {} is not read as {by}", file.path));
            }
        }
    }
    assert!(decoded > 20, "only {decoded} columns were found: correct the test");
    assert_none(&found);
}

/// Columns whose values the statement itself makes or bounds, and one that belongs to the only row that is read.
const SURE: [&str; 5] = ["now!", "begins_at!", "ended_at", "most!", "before!: Json<Channel>"];

#[test]
fn every_write_of_a_jobs_state_names_the_status_that_it_expects() {
    let writes = statements_of_the_database(|sql| sql.contains("update processing_jobs"));
    assert!(writes.len() >= 7, "only {} writes were found: correct the test", writes.len());
    let unfenced = writes.into_iter().filter(|(_, sql)| !is_fenced(sql));
    assert_none(&unfenced.map(|(path, sql)| format!("{path}: {sql}")).collect::<Vec<_>>());
}

#[test]
fn every_write_by_the_owner_of_a_claim_names_its_token() {
    let writes = statements_of_the_database(is_by_owner);
    assert!(writes.len() >= 3, "finalize, renew and the journal write; found {writes:#?}");
    let unfenced = writes.into_iter().filter(|(_, sql)| !names_token(sql));
    assert_none(&unfenced.map(|(path, sql)| format!("{path}: {sql}")).collect::<Vec<_>>());
}

#[test]
fn unsafe_code_stands_where_its_proof_does() {
    assert_none(&outside(&RUST, &UNSAFE, uses_unsafe));
}

#[test]
fn no_lint_is_silenced_without_a_reason_and_no_test_is_left_out() {
    let mut found = Vec::new();
    for file in files(&RUST, "rs") {
        found.extend(silenced(&file.text).into_iter().map(|what| format!("{}: {what}", file.path)));
    }
    assert_none(&found);
}

#[test]
fn a_file_over_400_lines_says_why() {
    let sources = files(&RUST, "rs").into_iter();
    let found = sources.filter_map(|file| Some(format!("{} {}", file.path, unexplained_length(&file.text)?)));
    assert_none(&found.collect::<Vec<_>>());
}

#[test]
fn no_module_is_a_drawer_for_odds_and_ends() {
    let found: Vec<_> =
        files(&RUST, "rs").into_iter().filter(|file| is_drawer(&file.path)).map(|file| file.path).collect();
    assert_none(&found);
}

#[test]
fn migrations_come_in_pairs_and_in_order() {
    let names: Vec<_> = files(&["migrations"], "sql").into_iter().map(|file| file.path).collect();
    assert!(!names.is_empty());
    assert_none(&odd_migrations(&names));
}

#[test]
fn every_page_is_in_the_index_and_every_link_leads_somewhere() {
    let all = all_pages();
    let read = |path: &Path| {
        let path = root().join(path);
        // A folder is something to lead to.
        path.is_dir().then(String::new).or_else(|| std::fs::read_to_string(path).ok())
    };
    let mut found: Vec<_> = all
        .iter()
        .flat_map(|page| pages::links(&page.text).into_iter().map(move |link| (page, link)))
        .filter_map(|(page, link)| pages::dead(&page.path, &link, read))
        .collect();
    let index = all.iter().find(|page| page.path == "docs/README.md").expect("docs/README.md is the index");
    let listed: BTreeSet<_> = pages::links(&index.text).into_iter().map(|link| format!("docs/{link}")).collect();
    let missing = all
        .iter()
        .filter(|page| page.path.starts_with("docs/") && page.path != "docs/README.md")
        .filter(|page| !listed.contains(&page.path));
    found.extend(missing.map(|page| format!("docs/README.md misses {}", page.path)));
    assert_none(&found);
}

#[test]
fn every_page_that_a_source_points_to_is_there() {
    let mut found = Vec::new();
    for file in files(&RUST, "rs").into_iter().filter(|file| !has_samples(file)) {
        let gone = pointers(&file.text).into_iter().filter(|page| !root().join(page).exists());
        found.extend(gone.map(|page| format!("{} points to {page}", file.path)));
    }
    assert_none(&found);
}

#[test]
fn every_long_name_that_a_page_uses_is_in_the_sources() {
    let mut sources = files(&RUST, "rs");
    sources.extend(files(&["migrations"], "sql"));
    sources.retain(|file| !has_samples(file));
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let known: BTreeSet<_> = sources.iter().flat_map(|file| file.text.split(|c| !is_word(c))).collect();
    let mut found = Vec::new();
    for page in all_pages() {
        let unknown = long_names(&page.text).filter(|name| !known.contains(name));
        found.extend(unknown.map(|name| format!("{}: {name}", page.path)));
    }
    assert_none(&found);
}

#[test]
fn the_page_on_monitoring_has_every_metric_and_every_event() {
    let page = std::fs::read_to_string(root().join("docs/operations/monitoring.md")).expect("the page is there");
    let encoded = assay_worker::metrics::Metrics::default().encode();
    let metrics = encoded.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_whitespace().next());
    let mut found: Vec<_> =
        metrics.filter(|name| !page.contains(&format!("`{name}"))).map(|name| format!("metric {name}")).collect();
    for file in files(&HOST, "rs") {
        let unknown = events(&file.text).into_iter().filter(|event| !page.contains(&format!("`{event}`")));
        found.extend(unknown.map(|event| format!("event {event} of {}", file.path)));
    }
    assert_none(&found);
}

/// Lists the Rust and SQL files below these folders, without migrations.
fn sources_with_sql(under: &[&str]) -> impl Iterator<Item = File> {
    files(under, "rs").into_iter().chain(files(under, "sql"))
}

/// Returns path and text of the statements of `host/db` that match.
fn statements_of_the_database(matches: impl Fn(&str) -> bool) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for file in sources_with_sql(&["host/db"]) {
        let matching = statements(&file).into_iter().filter(|sql| matches(sql));
        found.extend(matching.map(|sql| (file.path.clone(), sql)));
    }
    found
}

/// Returns whether a file holds samples of the checkers, whose pages and names do not exist.
fn has_samples(file: &File) -> bool {
    ["checks.rs", "pages.rs"].iter().any(|name| file.path == format!("tests/e2e/invariants/{name}"))
}

/// Lists every Markdown file of the repository.
fn all_pages() -> Vec<File> {
    let mut pages = files(&["docs", "host", "guest", "wit", "migrations", "tests", "xtask"], "md");
    for entry in std::fs::read_dir(root()).expect("the root can be listed") {
        let name = entry.expect("an entry can be read").file_name();
        let name = name.to_string_lossy();
        if name.ends_with(".md") {
            pages.extend(files(&[name.as_ref()], "md"));
        }
    }
    pages
}

/// Returns files at fault that no entry excuses, and entries that excuse nothing any more.
fn outside(under: &[&str], allowed: &[(&str, &str)], at_fault: impl Fn(&str) -> bool) -> Vec<String> {
    let sources = files(under, "rs");
    let judged: Vec<&str> = sources.iter().filter(|file| at_fault(&file.text)).map(|file| file.path.as_str()).collect();
    let excused = |path: &str| allowed.iter().any(|(known, _)| *known == path);
    let faults = judged.iter().filter(|path| !excused(path)).map(ToString::to_string);
    let stale = allowed
        .iter()
        .filter(|(known, _)| !judged.contains(known))
        .map(|(known, _)| format!("{known} needs no exception any more"));
    faults.chain(stale).collect()
}

#[test]
fn an_exception_that_excuses_nothing_is_itself_a_fault() {
    let found = outside(&["xtask"], &[("xtask/src/main.rs", "none")], |_| false);
    assert_eq!(found, ["xtask/src/main.rs needs no exception any more"]);
    let found = outside(&["xtask/src/main.rs"], &[], |_| true);
    assert_eq!(found, ["xtask/src/main.rs"]);
}
