//! Reads the repository's files, and enough of Rust's grammar to tell code from comments and strings.

use std::{
    collections::BTreeSet,
    fs,
    ops::Range,
    path::{Path, PathBuf},
};

/// Folders of results, not of sources.
const SKIPPED: [&str; 3] = ["target", "dist", "node_modules"];

/// One file of the repository.
#[derive(Debug)]
pub struct File {
    /// From the root, with `/`.
    pub path: String,
    /// Its text.
    pub text: String,
}

/// The repository's root.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Every file below the given folders (or the given file) whose name ends in `.extension`; hidden folders are left out.
pub fn files(under: &[&str], extension: &str) -> Vec<File> {
    let mut found = Vec::new();
    for start in under {
        let path = root().join(start);
        assert!(path.exists(), "{start} is gone: correct the test");
        collect(&path, start.trim_matches('/'), extension, &mut found);
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

fn collect(path: &Path, name: &str, extension: &str, found: &mut Vec<File>) {
    if path.is_dir() {
        for entry in fs::read_dir(path).expect("a folder of the repository can be listed") {
            let entry = entry.expect("an entry of the repository can be read");
            let child = entry.file_name().into_string().expect("names of the repository are Unicode");
            let hidden = child.starts_with('.');
            if !hidden && !SKIPPED.contains(&child.as_str()) {
                let name = format!("{name}/{child}");
                collect(&entry.path(), name.trim_start_matches('/'), extension, found);
            }
        }
    } else if Path::new(name).extension().is_some_and(|ext| ext == extension) {
        found.push(File {
            path: name.to_owned(),
            text: fs::read_to_string(path).expect("a source of the repository is UTF-8"),
        });
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Comment,
    Literal,
}

/// The source with comments and literals blanked: what the compiler takes for code.
pub fn code(text: &str) -> String {
    let mut bytes = text.as_bytes().to_vec();
    for (_, range) in opaque(text) {
        for byte in &mut bytes[range] {
            if *byte != b'\n' {
                *byte = b' ';
            }
        }
    }
    String::from_utf8(bytes).expect("whole characters were blanked")
}

/// Every literal of the source, quotes included.
pub fn literals(text: &str) -> Vec<&str> {
    opaque(text).into_iter().filter(|(kind, _)| *kind == Kind::Literal).map(|(_, range)| &text[range]).collect()
}

/// The words of a blanked source: identifiers, `::`, and single characters for the rest.
pub fn tokens(code: &str) -> Vec<&str> {
    let bytes = code.as_bytes();
    let mut tokens = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let start = at;
        if is_word(bytes[at]) {
            while at < bytes.len() && is_word(bytes[at]) {
                at += 1;
            }
        } else if code[at..].starts_with("::") {
            at += 2;
        } else {
            at += code[at..].chars().next().map_or(1, char::len_utf8);
            if code[start..at].trim().is_empty() {
                continue;
            }
        }
        tokens.push(&code[start..at]);
    }
    tokens
}

/// The identifiers of a source.
pub fn identifiers(text: &str) -> BTreeSet<String> {
    tokens(&code(text)).into_iter().map(str::to_owned).collect()
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// Comments and literals in order.
fn opaque(text: &str) -> Vec<(Kind, Range<usize>)> {
    let bytes = text.as_bytes();
    let mut found = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let rest = &text[at..];
        let (kind, length) = if rest.starts_with("//") {
            (Kind::Comment, rest.find('\n').unwrap_or(rest.len()))
        } else if rest.starts_with("/*") {
            (Kind::Comment, block_comment(rest))
        } else if rest.starts_with('"') {
            (Kind::Literal, quoted(rest, '"'))
        } else if rest.starts_with('\'') && is_character(rest) {
            (Kind::Literal, quoted(rest, '\''))
        } else if let Some(length) = raw(rest) {
            (Kind::Literal, length)
        } else {
            // A whole word at once, so that the r of `for"` starts no raw string.
            let word = rest.bytes().take_while(|byte| is_word(*byte)).count();
            at += word.max(rest.chars().next().map_or(1, char::len_utf8));
            continue;
        };
        found.push((kind, at..at + length));
        at += length;
    }
    found
}

fn block_comment(rest: &str) -> usize {
    let (mut depth, mut at) = (0_usize, 0);
    while at < rest.len() {
        if rest[at..].starts_with("/*") {
            depth += 1;
            at += 2;
        } else if rest[at..].starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += rest[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    rest.len()
}

fn quoted(rest: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, character) in rest.char_indices().skip(1) {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == quote => return at + 1,
            _ => {}
        }
    }
    rest.len()
}

/// Tells `'a'` from the lifetime `'a`.
fn is_character(rest: &str) -> bool {
    let mut after = rest.chars().skip(1);
    match after.next() {
        Some('\\') => true,
        Some(_) => after.next() == Some('\''),
        None => false,
    }
}

/// The length of a raw, byte or C string that starts here.
fn raw(rest: &str) -> Option<usize> {
    let prefix = ["br", "cr", "r", "b", "c"].into_iter().find(|prefix| rest.starts_with(prefix))?;
    let after = &rest[prefix.len()..];
    if !prefix.ends_with('r') {
        return after.starts_with('"').then(|| prefix.len() + quoted(after, '"'));
    }
    let hashes = after.bytes().take_while(|byte| *byte == b'#').count();
    let body = after[hashes..].strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    let length = body.find(&end).map_or(body.len(), |at| at + end.len());
    Some(prefix.len() + hashes + 1 + length)
}

#[test]
fn code_is_told_from_comments_and_literals() {
    let text = r####"let a = "sqlx // no"; // sqlx
/* sqlx /* nested */ sqlx */ let b = r#"sqlx " sqlx"#; let c: &'static str = b"sqlx";
let d = '"'; let e = 'x'; use sqlx::PgPool; let f = '\''; for"sqlx""####;
    assert_eq!(tokens(&code(text)).iter().filter(|t| **t == "sqlx").count(), 1, "{}", code(text));
    assert_eq!(
        literals(text),
        ["\"sqlx // no\"", "r#\"sqlx \" sqlx\"#", "b\"sqlx\"", "'\"'", "'x'", "'\\''", "\"sqlx\""]
    );
    assert!(identifiers(text).contains("PgPool") && !identifiers(text).contains("nested"));
}
