//! Checkers: from a text to its violations, each tried on a sample that breaks the rule.

use proc_macro2::{Delimiter, TokenTree};

use super::sources::tokens;

/// A longer file says in its first lines why.
const LONG_FILE_LINES: usize = 400;
const SILENCING: [&str; 3] = ["allow", "ignore", "should_panic"];

/// Returns whether a statement changes a job or an existing file.
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

/// Returns whether a write has a status among its conditions; setting one is no fence.
pub fn is_fenced(sql: &str) -> bool {
    conditions(sql).any(|condition| {
        ["processing", "queued", "failed"].iter().any(|it| condition.contains(&format!("status = '{it}'")))
    })
}

/// Returns whether the owner of a claim makes this write. The reaper writes claims whose lease has run out; a request to
/// cancel leaves the claim as it is.
pub fn is_by_owner(sql: &str) -> bool {
    let writes = sql.contains("update processing_jobs") || sql.contains("insert into job_answers");
    let by_others =
        conditions(sql).any(|it| it.contains("lock_ttl_seconds")) || sql.contains("set cancel_requested_at = ");
    writes && !by_others && conditions(sql).any(|it| it.contains("status = 'processing'"))
}

/// Returns whether a write has the claim's token among its conditions.
pub fn names_token(sql: &str) -> bool {
    conditions(sql).any(|condition| condition.contains("lease_token"))
}

/// Returns what stands behind each `where` and `on`, up to the closing parenthesis or the next `set`.
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

pub fn uses_unsafe(text: &str) -> bool {
    text.contains("unsafe") && tokens(text).iter().any(|token| is_word(token, "unsafe"))
}

/// Returns the attributes that silence a lint without a reason or leave a test out.
pub fn silenced(text: &str) -> Vec<String> {
    if !SILENCING.iter().any(|word| text.contains(word)) {
        return Vec::new();
    }
    let tokens = tokens(text);
    let attributes = tokens.windows(2).filter(|pair| match pair {
        [TokenTree::Punct(before), TokenTree::Group(group)] => {
            matches!(before.as_char(), '#' | '!') && group.delimiter() == Delimiter::Bracket
        }
        _ => false,
    });
    let names = attributes.filter_map(|pair| match &pair[1] {
        TokenTree::Group(group) => group.stream().into_iter().next(),
        _ => None,
    });
    let silencing = |name: &TokenTree| SILENCING.iter().any(|word| is_word(name, word));
    names.filter(silencing).map(|name| format!("#[{name}]")).collect()
}

fn is_word(token: &TokenTree, word: &str) -> bool {
    matches!(token, TokenTree::Ident(name) if name == word)
}

/// Returns what is wrong with a long file: its first lines must say why it is over 400 lines.
pub fn unexplained_length(text: &str) -> Option<String> {
    let lines = text.lines().count();
    let mut doc = text.lines().take_while(|line| line.starts_with("//!"));
    (lines > LONG_FILE_LINES && !doc.any(|line| line.contains("400 lines")))
        .then(|| format!("has {lines} lines, and its first lines do not say why it is over 400 lines"))
}

pub fn is_drawer(path: &str) -> bool {
    let names = ["util", "utils", "helper", "helpers", "common", "misc"];
    path.trim_end_matches(".rs").split('/').any(|part| names.contains(&part))
}

/// Returns migrations without their other half, and gaps in their numbers.
///
/// Those in `adopted/` replace the first one, or take numbers that the others leave out.
pub fn odd_migrations(names: &[String]) -> Vec<String> {
    let ups: Vec<_> = names.iter().filter_map(|name| name.strip_suffix(".up.sql")).collect();
    let downs: Vec<_> = names.iter().filter_map(|name| name.strip_suffix(".down.sql")).collect();
    let mut found = Vec::new();
    if ups != downs || ups.len() + downs.len() != names.len() {
        found.push(format!("not every migration has an up and a down: {names:?}"));
    }
    let number = |up: &str| up.rsplit('/').next().and_then(|name| name.get(..4)?.parse::<usize>().ok());
    let (adopted, own): (Vec<_>, Vec<_>) = ups.into_iter().partition(|up| up.contains("/adopted/"));
    // A script for adopted databases replaces ours of the same number, or has a number that ours leave out.
    let ours: Vec<_> = own.iter().filter_map(|up| number(up)).collect();
    let left_out: Vec<_> = adopted.iter().filter_map(|up| number(up)).filter(|number| !ours.contains(number)).collect();
    let expected = (1..).filter(|number| !left_out.contains(number));
    for (up, expected) in own.iter().zip(expected) {
        if number(up) != Some(expected) {
            found.push(format!("{up} should be number {expected:04}_"));
        }
    }
    found
}

/// Returns the pages of this repository that a source mentions, from the root.
pub fn pointers(text: &str) -> Vec<String> {
    const PAGES: [&str; 5] = ["README.md", "SECURITY.md", "RELIABILITY.md", "CHANGELOG.md", "CONTRIBUTING.md"];
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '.' | '_' | '-');
    let words = text.split(move |c: char| !legal(c)).map(|word| word.trim_start_matches("../").trim_end_matches('.'));
    words
        .filter(|word| word.ends_with(".md") && (word.starts_with("docs/") || PAGES.contains(word)))
        .map(str::to_owned)
        .collect()
}

/// Returns names in code style with at least five parts: tests, columns or settings.
pub fn long_names(markdown: &str) -> impl Iterator<Item = &str> {
    let is_name = |word: &&str| {
        word.matches('_').count() >= 4
            && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
    };
    markdown.split('`').skip(1).step_by(2).filter(is_name)
}

/// Returns the names of the events that a source logs.
pub fn events(text: &str) -> Vec<String> {
    let parts = text.split("event = \"").skip(1).filter_map(|part| part.split_once('"'));
    parts.map(|(name, _)| name.to_owned()).collect()
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
fn writes_by_the_owner_of_a_claim_are_recognized() {
    assert!(is_by_owner("update processing_jobs set x = 1 where id = $1 and status = 'processing'"));
    assert!(!is_by_owner("update processing_jobs set status = 'processing' where status = 'queued'"));
    assert!(!is_by_owner(
        "update processing_jobs set x = 1 where status = 'processing' and locked_at + lock_ttl_seconds < now()"
    ));
    assert!(!is_by_owner("select 1 from processing_jobs where status = 'processing'"));
}

#[test]
fn silencing_is_seen_and_expecting_is_not() {
    assert_eq!(silenced("#[allow(dead_code)]\nfn f() {}\n"), ["#[allow]"]);
    assert_eq!(silenced("#![allow(dead_code)]\n"), ["#[allow]"]);
    assert_eq!(silenced("#[test]\n#[ignore]\nfn f() {}"), ["#[ignore]"]);
    assert!(silenced("/// Doc.\n#[expect(unused, reason = \"r\")]\n// #[allow(x)]\nfn f() {}").is_empty());
    assert!(uses_unsafe("fn f() { unsafe {} }") && !uses_unsafe("// unsafe\nconst A: &str = \"unsafe\";"));
}

#[test]
fn a_long_file_without_a_reason_and_a_drawer_are_seen() {
    let long = |doc: &str| format!("{doc}\n{}", "\n".repeat(LONG_FILE_LINES));
    assert!(unexplained_length(&long("//! Why.")).is_some());
    assert!(unexplained_length("//! Why.\n").is_none());
    assert!(unexplained_length(&long("//! Over 400 lines, because.")).is_none());
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
    // One for adopted databases replaces ours of the same number.
    assert!(odd_migrations(&pairs(&["0001_a", "0002_b", "adopted/0001_c", "adopted/0002_d"])).is_empty());
    assert!(!odd_migrations(&pairs(&["0001_a", "0003_b", "adopted/0001_c", "adopted/0003_d"])).is_empty());
}

#[test]
fn pages_and_events_are_found_in_a_source() {
    let text = "//! See docs/adr/0001-x.md, and SECURITY.md.\nerror!(event = \"orphan\", \"…\"); include_str!(\"../../docs/errors.md\")";
    assert_eq!(pointers(text), ["docs/adr/0001-x.md", "SECURITY.md", "docs/errors.md"]);
    assert_eq!(events(text), ["orphan"]);
    let page = "`a_test_with_a_name`, `short_name`, a_word_without_any_style, `SELECT_a_b_c_d`";
    assert_eq!(long_names(page).collect::<Vec<_>>(), ["a_test_with_a_name"]);
}
