//! The layers of the host as data, and the modules that a source names.

use std::collections::BTreeSet;

use super::source::{code, tokens};

/// Every top-level module of the package `assay` and its layer; docs/architecture.md says what the layers are.
pub const LAYERS: [(&str, u8); 34] = [
    ("admin", 4),
    ("cli", 4),
    ("config", 4),
    ("telemetry", 4),
    ("heartbeat", 3),
    ("held", 3),
    ("reaper", 3),
    ("settlement", 3),
    ("shutdown", 3),
    ("worker", 3),
    ("breakers", 2),
    ("canaries", 2),
    ("pipeline", 2),
    ("rehearsal", 2),
    ("releases", 2),
    ("replay", 2),
    ("retention", 2),
    ("shadow", 2),
    ("submission", 2),
    ("sweep", 2),
    ("db", 1),
    ("guests", 1),
    ("llm", 1),
    ("objects", 1),
    ("breaker", 0),
    ("channel", 0),
    ("comparison", 0),
    ("error", 0),
    ("figures", 0),
    ("job", 0),
    ("metrics", 0),
    ("retry", 0),
    ("this_machine", 0),
    ("variables", 0),
];

/// The layer of a module; none for what is no module of the host.
pub fn layer(module: &str) -> Option<u8> {
    LAYERS.iter().find(|(name, _)| *name == module).map(|(_, layer)| *layer)
}

/// Why `from` must not name `to`; none where it may.
pub fn violation(from: &str, to: &str) -> Option<String> {
    let (own, other) = (layer(from)?, layer(to)?);
    if from == to || other < own || (other == own && own != 1) {
        return None;
    }
    Some(if other == own {
        format!("{from} and {to} are siblings on L1")
    } else {
        format!("{from} (L{own}) names {to} (L{other})")
    })
}

/// The module path of a source below `host/src`: `db/queue/mod.rs` is `db`, `queue`.
pub fn module_of(path: &str) -> Vec<&str> {
    let path = path.strip_suffix(".rs").unwrap_or(path);
    let path = path.strip_suffix("/mod").unwrap_or(path);
    match path {
        "lib" => Vec::new(),
        path => path.split('/').collect(),
    }
}

/// The top-level names of its own crate that a source mentions, in `use` trees and in paths.
pub fn named(text: &str, module: &[&str]) -> BTreeSet<String> {
    let code = code(text);
    let tokens = tokens(&code);
    let mut here: Vec<&str> = module.to_vec();
    let mut inline = Vec::new();
    let (mut depth, mut at) = (0_usize, 0);
    let mut names = BTreeSet::new();
    while at < tokens.len() {
        match tokens[at] {
            "mod" if tokens.get(at + 2) == Some(&"{") => {
                inline.push(depth);
                here.push(tokens[at + 1]);
                depth += 1;
                at += 3;
                continue;
            }
            "{" => depth += 1,
            "}" => {
                depth = depth.saturating_sub(1);
                if inline.last() == Some(&depth) {
                    inline.pop();
                    here.pop();
                }
            }
            "use" | "crate" | "super" | "self" => {
                let start = at + usize::from(tokens[at] == "use");
                let mut paths = Vec::new();
                at = tree(&tokens, start, &[], &mut paths).max(at + 1);
                names.extend(paths.iter().filter_map(|path| top(path, &here)));
                continue;
            }
            _ => {}
        }
        at += 1;
    }
    names
}

/// Reads a path with its group, if it has one; gives the place behind it.
fn tree<'a>(tokens: &[&'a str], mut at: usize, prefix: &[&'a str], paths: &mut Vec<Vec<&'a str>>) -> usize {
    let mut path = prefix.to_vec();
    while let Some(token) = tokens.get(at) {
        match *token {
            "{" if tokens[at.saturating_sub(1)] == "::" => {
                at += 1;
                while tokens.get(at).is_some_and(|token| *token != "}") {
                    let next = tree(tokens, at, &path, paths);
                    // A comma, or what no path starts with: never stand still.
                    at = next.max(at + 1);
                    if tokens.get(next) == Some(&"}") {
                        at = next;
                    }
                }
                return at + 1;
            }
            word if word.starts_with(|c: char| c.is_alphabetic() || c == '_') => path.push(word),
            _ => break,
        }
        at += 1;
        match tokens.get(at) {
            Some(&"::") => at += 1,
            _ => break,
        }
    }
    paths.push(path);
    if tokens.get(at) == Some(&"as") {
        at += 2;
    }
    at
}

/// The first name of a path below the crate's root.
fn top(path: &[&str], here: &[&str]) -> Option<String> {
    let mut base: Vec<&str> = match *path.first()? {
        "crate" => Vec::new(),
        "self" | "super" => here.to_vec(),
        _ => return None,
    };
    for segment in path {
        match *segment {
            "crate" | "self" => {}
            "super" => {
                base.pop();
            }
            name => base.push(name),
        }
    }
    base.first().map(|name| (*name).to_owned())
}

#[test]
fn every_way_to_name_a_module_is_read() {
    let text = "use crate::{db::{self, DbError}, error::Code as C, job::*};
        use std::sync::Arc; pub(crate) fn f() -> crate::llm::Model { super::super::guests::g() }
        // use crate::worker;
        mod tests { use super::*; use super::super::objects; fn g() { super::super::super::metrics::h() } }
        fn h() { let x = { 1 }; self::queue::y(); retry::z() }";
    let names = named(text, &["db", "queue"]);
    let expected = ["db", "error", "guests", "job", "llm", "metrics"];
    assert_eq!(names.iter().map(String::as_str).collect::<Vec<_>>(), expected);
}

#[test]
fn arrows_point_down_and_siblings_of_l1_stay_apart() {
    assert_eq!(violation("pipeline", "db"), None);
    assert_eq!(violation("worker", "heartbeat"), None);
    assert!(violation("db", "pipeline").is_some());
    assert!(violation("llm", "objects").is_some());
    assert!(violation("error", "worker").is_some());
    assert_eq!(violation("db", "std"), None);
}

#[test]
fn a_sources_path_is_its_module() {
    assert_eq!(module_of("db/queue/mod.rs"), ["db", "queue"]);
    assert_eq!(module_of("db/queue/claim.rs"), ["db", "queue", "claim"]);
    assert_eq!(module_of("worker.rs"), ["worker"]);
    assert!(module_of("lib.rs").is_empty());
}
