//! What the sources must not contain: the invariants of docs/architecture.md, kept by reading the repository.
//!
//! Rules are data where they can be: which crate belongs to which folder, which module to which layer, which place may read
//! the environment and why. A rule that has to change is changed here and in the page, on purpose. Each checker is itself
//! tried on a small sample that breaks its rule, below or beside it.

mod checks;
mod pages;
mod source;

use std::{collections::BTreeSet, path::Path};

use checks::{
    events, flat, is_drawer, is_fenced, long_names, names_token, odd_migrations, pointers, silenced, statements,
    without_purpose, writes_state,
};
use source::{File, files, identifiers, root};

/// Where Rust is written.
const RUST: [&str; 4] = ["host", "guest", "tests", "xtask"];
/// What is shipped.
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
const UNSAFE: [(&str, &str); 6] = [
    ("host/guest-build/src/initializer.rs", "maps compiled initializers that this user compiled and sealed"),
    ("host/runtime/src/runtime.rs", "maps images that this user compiled and sealed"),
    ("guest/sdk/src/lib.rs", "the attribute that names an exported symbol"),
    ("guest/sdk/src/memory.rs", "the guests' allocator hands out raw memory"),
    ("guest/sdk/src/random.rs", "getrandom's backend is an exported symbol that fills a raw buffer"),
    ("guest/generic/src/injected.rs", "the builder writes the parts into the module's memory"),
];

#[test]
fn only_the_database_module_contains_sql() {
    let mut found = Vec::new();
    for file in files(&HOST, "rs") {
        if !file.path.starts_with("host/db/") {
            found.extend(statements(&file).map(|sql| format!("{}: {sql}", file.path)));
        }
    }
    assert_none(&found);
}

#[test]
fn only_the_queue_writes_the_state_of_a_job_or_a_file() {
    let mut found = Vec::new();
    for file in files(&HOST, "rs") {
        if !file.path.starts_with("host/db/src/queue/") {
            let writes = statements(&file).filter(|sql| writes_state(sql));
            found.extend(writes.map(|sql| format!("{}: {sql}", file.path)));
        }
    }
    // In a migration, a function may: it runs in its caller's transaction. A migration itself may not, but for the one that
    // hands the queue back to the program that it belongs to.
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
fn every_write_of_a_jobs_state_names_the_status_that_it_expects() {
    let mut found = Vec::new();
    let mut seen = 0;
    for file in files(&["host/db/src/queue"], "rs") {
        for sql in statements(&file).filter(|sql| sql.contains("update processing_jobs")) {
            seen += 1;
            if !is_fenced(&sql) {
                found.push(format!("{}: {sql}", file.path));
            }
        }
    }
    assert!(seen >= 5, "claim, beat, settle and two of the reaper: the test no longer finds them");
    assert_none(&found);
}

#[test]
fn every_write_of_a_claim_names_its_token() {
    let mut found = Vec::new();
    for (path, write) in [
        ("host/db/src/queue/settle.rs", "update processing_jobs"),
        ("host/db/src/queue/beat.rs", "update processing_jobs"),
        ("host/db/src/journal.rs", "insert into job_answers"),
    ] {
        let file = &files(&[path], "rs")[0];
        let writes: Vec<_> = statements(file).filter(|sql| sql.contains(write)).collect();
        assert!(!writes.is_empty(), "{path} writes nothing: correct the test");
        found.extend(writes.iter().filter(|sql| !names_token(sql)).map(|sql| format!("{path}: {sql}")));
    }
    assert_none(&found);
}

#[test]
fn unsafe_code_stands_where_its_proof_does() {
    assert_none(&outside(&RUST, &UNSAFE, |text| identifiers(text).contains("unsafe")));
}

#[test]
fn no_lint_is_silenced_without_a_reason_and_no_test_is_left_out() {
    let mut found = Vec::new();
    for file in files(&RUST, "rs") {
        found.extend(silenced(&file.text).map(|what| format!("{}: {what}", file.path)));
    }
    assert_none(&found);
}

#[test]
fn every_module_begins_with_its_purpose_and_a_long_one_with_its_reason() {
    let mut found = Vec::new();
    for file in files(&RUST, "rs") {
        found.extend(without_purpose(&file.text).map(|what| format!("{}: {what}", file.path)));
    }
    assert_none(&found);
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
    // This test's own samples point to nothing.
    for file in files(&RUST, "rs").into_iter().filter(|file| !file.path.contains("/invariants/")) {
        let gone = pointers(&file.text).filter(|page| !root().join(page).exists());
        found.extend(gone.map(|page| format!("{} points to {page}", file.path)));
    }
    assert_none(&found);
}

#[test]
fn every_long_name_that_a_page_uses_is_in_the_sources() {
    let mut sources = files(&RUST, "rs");
    sources.extend(files(&["migrations"], "sql"));
    sources.retain(|file| !file.path.contains("/invariants/"));
    let mut found = Vec::new();
    for page in all_pages() {
        let unknown = long_names(&page.text).filter(|name| !sources.iter().any(|file| file.text.contains(name)));
        found.extend(unknown.map(|name| format!("{}: {name}", page.path)));
    }
    assert_none(&found);
}

#[test]
fn operators_are_told_of_every_metric_and_every_named_event() {
    let page = std::fs::read_to_string(root().join("docs/operations/monitoring.md")).expect("the page is there");
    let encoded = assay_worker::metrics::Metrics::default().encode();
    let metrics = encoded.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_whitespace().next());
    let mut found: Vec<_> =
        metrics.filter(|name| !page.contains(&format!("`{name}"))).map(|name| format!("metric {name}")).collect();
    for file in files(&HOST, "rs") {
        let events = events(&file.text).filter(|event| !page.contains(&format!("`{event}`")));
        found.extend(events.map(|event| format!("event {event} of {}", file.path)));
    }
    assert_none(&found);
}

/// Every Markdown file of the repository.
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

/// Fails with everything that was found, not with the first of it.
#[track_caller]
fn assert_none(found: &[String]) {
    assert!(found.is_empty(), "{} violations:\n{}", found.len(), found.join("\n"));
}

/// Files that a checker finds at fault and no list excuses, and entries of the list that excuse nothing any more.
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
