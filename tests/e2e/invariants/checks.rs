//! The checkers behind the invariants: functions from a source's text to what is wrong with it, each tried on a sample that
//! breaks its rule.

use super::source::{File, code, literals, tokens};

/// Longer files say in their first lines why.
const LONG_LINES: usize = 400;

/// SQL among the literals of a source, on one line each.
pub fn statements(file: &File) -> impl Iterator<Item = String> {
    // What a verb of SQL must be followed by, so that a sentence which begins with it is none.
    const VERBS: [(&str, &[&str]); 5] = [
        ("select ", &[" from ", "("]),
        ("insert into ", &[" values ", " select "]),
        ("update ", &[" set "]),
        ("delete from ", &[""]),
        ("with ", &[" as ("]),
    ];
    literals(&file.text).into_iter().map(flat).filter(|text| {
        let sql = text.trim_start_matches(['r', '#', '"', ' ']);
        VERBS.iter().any(|(verb, follows)| {
            sql.strip_prefix(verb).is_some_and(|rest| follows.iter().any(|next| rest.contains(next)))
        })
    })
}

pub fn flat(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase()
}

/// Whether a statement changes a job, or a file that is there already.
pub fn writes_state(sql: &str) -> bool {
    [
        "update processing_jobs",
        "insert into processing_jobs",
        "delete from processing_jobs",
        "update files",
        "delete from files",
    ]
    .iter()
    .any(|write| sql.contains(write))
}

/// Whether a write expects a status: as a condition, for setting one is no fence.
pub fn is_fenced(sql: &str) -> bool {
    conditions(sql).any(|condition| {
        ["processing", "queued", "failed"].iter().any(|it| condition.contains(&format!("status = '{it}'")))
    })
}

/// Whether a write of a claim names the claim's token, as a condition.
pub fn names_token(sql: &str) -> bool {
    conditions(sql).any(|condition| condition.contains("lease_token"))
}

/// What stands behind each `where` and `on` of a statement on one line: up to the end of its parentheses, or to where
/// the next values are set.
fn conditions(sql: &str) -> impl Iterator<Item = &str> {
    let starts =
        [" where ", " on "].into_iter().flat_map(|word| sql.match_indices(word).map(move |(at, _)| at + word.len()));
    starts.map(|at| {
        let rest = &sql[at..];
        let mut open = 0_i32;
        let closed = rest.find(|c: char| {
            open += i32::from(c == '(') - i32::from(c == ')');
            open < 0
        });
        let rest = &rest[..closed.unwrap_or(rest.len())];
        rest.split(" set ").next().unwrap_or_default()
    })
}

pub fn silenced(text: &str) -> impl Iterator<Item = String> {
    let code = code(text);
    let tokens = tokens(&code);
    let mut found = Vec::new();
    for window in tokens.windows(4) {
        let attribute = match window {
            ["#", "[", name, ..] | ["#", "!", "[", name] => *name,
            _ => continue,
        };
        if ["allow", "ignore", "should_panic"].contains(&attribute) {
            found.push(format!("#[{attribute}]"));
        }
    }
    found.into_iter()
}

pub fn without_purpose(text: &str) -> impl Iterator<Item = String> {
    let mut found = Vec::new();
    let doc: Vec<_> = text.lines().take_while(|line| line.starts_with("//!")).collect();
    if doc.is_empty() {
        found.push("does not begin with `//!`".to_owned());
    }
    let lines = text.lines().count();
    if lines > LONG_LINES && !doc.iter().any(|line| line.contains("400 lines")) {
        found.push(format!("has {lines} lines, and its first lines do not say why it is over 400 lines"));
    }
    found.into_iter()
}

pub fn is_drawer(path: &str) -> bool {
    let names = ["util", "utils", "helper", "helpers", "common", "misc"];
    path.trim_end_matches(".rs").split('/').any(|part| names.contains(&part))
}

/// Migrations without their other half, and gaps in their numbers.
///
/// Adopted databases have some of their own, in a folder below: in the place of the first one, or at numbers that all others leave out.
pub fn odd_migrations(names: &[String]) -> Vec<String> {
    let ups: Vec<_> = names.iter().filter_map(|name| name.strip_suffix(".up.sql")).collect();
    let downs: Vec<_> = names.iter().filter_map(|name| name.strip_suffix(".down.sql")).collect();
    let mut found = Vec::new();
    if ups != downs || ups.len() + downs.len() != names.len() {
        found.push(format!("not every migration has an up and a down: {names:?}"));
    }
    let number = |up: &str| up.rsplit('/').next().and_then(|name| name.get(..4)?.parse::<usize>().ok());
    let (adopted, own): (Vec<_>, Vec<_>) = ups.into_iter().partition(|up| up.contains("/adopted/"));
    let left_out: Vec<_> = adopted.iter().filter_map(|up| number(up)).filter(|number| *number != 1).collect();
    let expected = (1..).filter(|number| !left_out.contains(number));
    for (up, expected) in own.iter().zip(expected) {
        if number(up) != Some(expected) {
            found.push(format!("{up} should be number {expected:04}_"));
        }
    }
    found
}

/// Pages of this repository that a source mentions, from the root.
pub fn pointers(text: &str) -> impl Iterator<Item = String> {
    const PAGES: [&str; 5] = ["README.md", "SECURITY.md", "RELIABILITY.md", "CHANGELOG.md", "CONTRIBUTING.md"];
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '.' | '_' | '-');
    let words = text.split(move |c: char| !legal(c)).map(|word| word.trim_start_matches("../").trim_end_matches('.'));
    words
        .filter(|word| word.ends_with(".md") && (word.starts_with("docs/") || PAGES.contains(word)))
        .map(str::to_owned)
        .collect::<Vec<_>>()
        .into_iter()
}

/// Names in code style with so many parts that they can only be tests, columns or settings of the sources.
pub fn long_names(markdown: &str) -> impl Iterator<Item = &str> {
    let is_name = |word: &&str| {
        word.matches('_').count() >= 4
            && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
    };
    markdown.split('`').skip(1).step_by(2).filter(is_name)
}

/// The names of events that a source logs for programs to find.
pub fn events(text: &str) -> impl Iterator<Item = String> {
    let mut found = Vec::new();
    for part in text.split("event = \"").skip(1) {
        if let Some((name, _)) = part.split_once('"') {
            found.push(name.to_owned());
        }
    }
    found.into_iter()
}

#[test]
fn sql_is_found_in_literals_and_prose_is_not() {
    let of = |text: &str| {
        let file = File { path: String::new(), text: text.to_owned() };
        statements(&file).collect::<Vec<_>>()
    };
    let text = "sqlx::query!(r#\"\n update files f\n set status = 'failed'\"#)";
    assert_eq!(of(text), ["r#\" update files f set status = 'failed'\"#"]);
    assert!(writes_state(&of(text)[0]));
    assert_eq!(of("q(\"select id from files\")").len(), 1);
    assert_eq!(of("q(\"with a as (select 1) update files f set x = 1\")").len(), 1);
    assert!(of("fail(\"update the file\"); fail(\"select a guest with care\")").is_empty());
    assert!(of("// update files set status\nlog(\"read the original from the bucket\")").is_empty());
}

#[test]
fn a_write_without_the_expected_status_is_seen() {
    assert!(is_fenced("update processing_jobs set x = 1 where id = $1 and status = 'processing'"));
    assert!(is_fenced(
        "with mine as (select id from processing_jobs where status = 'queued') update processing_jobs set x = 1"
    ));
    assert!(!is_fenced("update processing_jobs set status = 'failed' where id = $1"));
    assert!(!is_fenced("update processing_jobs set status = 'queued' where id = $1"), "setting is not expecting");
    let two =
        "with a as (select id from t where x = 1), b as (update processing_jobs set status = 'processing') select 1";
    assert!(!is_fenced(two), "nor behind the condition of something else");
    assert!(!is_fenced(
        "update processing_jobs set x = (select 1 from t where y = 2), status = 'queued' where id = $1"
    ));
    assert!(names_token("update processing_jobs set x = 1 where id = $1 and lease_token = $2"));
    assert!(!names_token("update processing_jobs set lease_token = lease_token + 1 where id = $1"));
}

#[test]
fn silencing_is_seen_and_expecting_is_not() {
    assert_eq!(silenced("#[allow(dead_code)]\nfn f() {}\n").count(), 1);
    assert_eq!(silenced("#![allow(dead_code)]\n").count(), 1);
    assert_eq!(silenced("#[test]\n#[ignore]\nfn f() {}").count(), 1);
    assert_eq!(silenced("#[expect(unused, reason = \"r\")]\n// #[allow(x)]\nfn f() {}").count(), 0);
}

#[test]
fn a_module_without_purpose_or_too_long_without_a_reason_is_seen() {
    let long = |doc: &str| format!("{doc}\n{}", "\n".repeat(LONG_LINES));
    assert_eq!(without_purpose("use std::fmt;\n").count(), 1);
    assert_eq!(without_purpose("//! Why.\n").count(), 0);
    assert_eq!(without_purpose(&long("//! Why.")).count(), 1);
    assert_eq!(without_purpose(&long("//! Over 400 lines, because.")).count(), 0);
    assert!(is_drawer("host/src/utils.rs") && is_drawer("tests/helpers/mod.rs") && !is_drawer("host/src/commons.rs"));
}

#[test]
fn a_migration_without_a_way_back_or_out_of_order_is_seen() {
    let names = |names: &[&str]| names.iter().map(|name| format!("migrations/{name}")).collect::<Vec<_>>();
    assert!(odd_migrations(&names(&["0001_a.down.sql", "0001_a.up.sql"])).is_empty());
    assert!(!odd_migrations(&names(&["0001_a.up.sql"])).is_empty());
    assert!(!odd_migrations(&names(&["0002_a.down.sql", "0002_a.up.sql"])).is_empty());
    assert!(!odd_migrations(&names(&["0001_a.sql"])).is_empty());
    let pairs = |ups: &[&str]| -> Vec<String> {
        ["down", "up"].iter().flat_map(|way| ups.iter().map(move |up| format!("migrations/{up}.{way}.sql"))).collect()
    };
    assert!(odd_migrations(&pairs(&["0001_a", "0003_b", "adopted/0001_c", "adopted/0002_d"])).is_empty());
    assert!(!odd_migrations(&pairs(&["0001_a", "0002_b", "adopted/0001_c", "adopted/0002_d"])).is_empty());
}

#[test]
fn pages_and_events_are_found_in_a_source() {
    let text = "//! See docs/adr/0001-x.md, and SECURITY.md.\nerror!(event = \"orphan\", \"…\"); include_str!(\"../../docs/errors.md\")";
    assert_eq!(pointers(text).collect::<Vec<_>>(), ["docs/adr/0001-x.md", "SECURITY.md", "docs/errors.md"]);
    assert_eq!(events(text).collect::<Vec<_>>(), ["orphan"]);
    let page = "`a_test_with_a_name`, `short_name`, a_word_without_any_style, `SELECT_a_b_c_d`";
    assert_eq!(long_names(page).collect::<Vec<_>>(), ["a_test_with_a_name"]);
}
