//! The repository's files, and the tokens and SQL statements in them.

use std::{
    fs,
    path::{Path, PathBuf},
};

use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};

/// Folders of results, not of sources.
const SKIPPED: [&str; 3] = ["target", "dist", "node_modules"];

#[derive(Debug)]
pub struct File {
    /// From the root, with `/`.
    pub path: String,
    pub text: String,
}

pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Lists every file below the given folders (or the given file) whose name ends in `.extension`; leaves out hidden ones.
pub fn files(under: &[&str], extension: &str) -> Vec<File> {
    let mut found = Vec::new();
    for start in under {
        let path = root().join(start);
        assert!(path.exists(), "{start} is gone: correct the test");
        collect(&path, start, extension, &mut found);
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

fn collect(path: &Path, name: &str, extension: &str, found: &mut Vec<File>) {
    if path.is_dir() {
        for entry in fs::read_dir(path).expect("a folder of the repository can be listed") {
            let entry = entry.expect("an entry of the repository can be read");
            let child = entry.file_name().into_string().expect("names of the repository are Unicode");
            if !child.starts_with('.') && !SKIPPED.contains(&child.as_str()) {
                collect(&entry.path(), &format!("{name}/{child}"), extension, found);
            }
        }
    } else if path.extension().is_some_and(|ext| ext == extension) {
        let text = fs::read_to_string(path).expect("a source of the repository is UTF-8");
        found.push(File { path: name.to_owned(), text });
    }
}

/// Fails with every violation, not only the first.
#[track_caller]
pub fn assert_none(found: &[String]) {
    assert!(found.is_empty(), "{} violations:\n{}", found.len(), found.join("\n"));
}

/// Returns the tokens of a Rust source in order, without comments and doc comments.
pub fn tokens(text: &str) -> Vec<TokenTree> {
    let mut found = Vec::new();
    flatten(text.parse().expect("a source of the repository is Rust"), &mut found);
    found
}

fn flatten(stream: TokenStream, found: &mut Vec<TokenTree>) {
    for tree in stream {
        match tree {
            TokenTree::Group(group) if is_doc(&group) => {}
            TokenTree::Group(group) => {
                let inner = group.stream();
                found.push(TokenTree::Group(group));
                flatten(inner, found);
            }
            tree => found.push(tree),
        }
    }
}

fn is_doc(group: &Group) -> bool {
    group.delimiter() == Delimiter::Bracket
        && matches!(group.stream().into_iter().next(), Some(TokenTree::Ident(first)) if first == "doc")
}

/// Returns the SQL statements of a source, each on one line in lower case: literals of `.rs`, the whole of `.sql`.
pub fn statements(file: &File) -> Vec<String> {
    if file.path.ends_with(".sql") {
        return vec![flat(&file.text)];
    }
    // Lexing everything takes long in a debug build.
    if !["select ", "insert into ", "update ", "delete from "]
        .iter()
        .any(|verb| file.text.to_lowercase().contains(verb))
    {
        return Vec::new();
    }
    let literals = tokens(&file.text).into_iter().filter_map(|token| match token {
        TokenTree::Literal(literal) => Some(flat(&literal.to_string())),
        _ => None,
    });
    literals.filter(|text| is_sql(text)).collect()
}

/// Returns SQL without its comments, in lower case, with one space for every run of white space.
pub fn flat(sql: &str) -> String {
    let code = sql.lines().map(|line| line.split("--").next().unwrap_or_default());
    code.flat_map(str::split_whitespace).collect::<Vec<_>>().join(" ").to_lowercase()
}

fn is_sql(literal: &str) -> bool {
    // A sentence may begin with a verb of SQL; what must follow the verb tells them apart.
    const VERBS: [(&str, &[&str]); 5] = [
        ("select ", &[" from ", "("]),
        ("insert into ", &[" values ", " select "]),
        ("update ", &[" set "]),
        ("delete from ", &[""]),
        ("with ", &[" as ("]),
    ];
    let sql = literal.trim_start_matches(['r', '#', '"', ' ']);
    VERBS.iter().any(|(verb, follows)| {
        sql.strip_prefix(verb).is_some_and(|rest| follows.iter().any(|next| rest.contains(next)))
    })
}

#[test]
fn sql_is_found_in_literals_and_prose_is_not() {
    let of = |path: &str, text: &str| statements(&File { path: path.to_owned(), text: text.to_owned() });
    let text = "fn f() { sqlx::query!(r#\"\n update files f -- set x\n set status = 'failed'\"#) }";
    assert_eq!(of("a.rs", text), ["r#\" update files f set status = 'failed'\"#"]);
    assert_eq!(of("a.rs", "const Q: &str = \"select id from files\";").len(), 1);
    assert_eq!(of("a.rs", "const Q: &str = \"with a as (select 1) update files f set x = 1\";").len(), 1);
    assert!(of("a.rs", "const A: [&str; 2] = [\"update the file\", \"select a guest with care\"];").is_empty());
    assert!(of("a.rs", "/// update files set status\n// delete from files\nfn f() {}").is_empty());
    assert_eq!(of("a.sql", "-- Why.\nUPDATE files\n   SET x = 1"), ["update files set x = 1"]);
}

#[test]
fn a_token_is_no_comment_and_no_literal() {
    let text =
        "//! unsafe\n/* unsafe */ const A: &str = \"unsafe\"; const B: char = '\"'; fn f<'a>(_: &'a str) { unsafe {} }";
    let is_unsafe = |token: &TokenTree| matches!(token, TokenTree::Ident(name) if name == "unsafe");
    assert_eq!(tokens(text).iter().filter(|token| is_unsafe(token)).count(), 1);
}
