//! Markdown: the links of a page, and whether they lead anywhere.

use std::path::{Component, Path, PathBuf};

/// Returns the targets of a page's links and pictures. Code, in blocks or in lines, has none.
pub fn links(markdown: &str) -> Vec<String> {
    let text = prose(markdown);
    let mut found = Vec::new();
    let mut rest = text.as_str();
    while let Some(at) = rest.find("](") {
        rest = &rest[at + 2..];
        let end = rest.find(')').unwrap_or(rest.len());
        // A title may follow the target.
        if let Some(target) = rest[..end].split_whitespace().next() {
            found.push(target.trim_matches(['<', '>']).to_owned());
        }
    }
    for line in text.lines() {
        if let Some((label, target)) = line.split_once("]: ")
            && label.starts_with('[')
        {
            found.push(target.trim().to_owned());
        }
    }
    found
}

/// Returns the page without its code.
fn prose(markdown: &str) -> String {
    let mut fenced = false;
    let mut text = String::new();
    for line in markdown.lines() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        } else if !fenced {
            let outside = line.split('`').step_by(2);
            // Link texts may be code: what stood there is kept as a word.
            text.push_str(&outside.collect::<Vec<_>>().join("code"));
            text.push('\n');
        }
    }
    text
}

/// Returns the anchors of a page: its headings in lower case, without punctuation, with `-` for spaces.
pub fn anchors(markdown: &str) -> Vec<String> {
    let mut fenced = false;
    let mut found: Vec<String> = Vec::new();
    for line in markdown.lines() {
        fenced ^= line.trim_start().starts_with("```");
        if let Some(heading) = line.strip_prefix('#').filter(|_| !fenced) {
            let slug: String = heading
                .trim_start_matches('#')
                .trim()
                .to_lowercase()
                .chars()
                .filter(|c| c.is_alphanumeric() || matches!(c, '-' | '_' | ' '))
                .map(|c| if c == ' ' { '-' } else { c })
                .collect();
            found.push(slug);
        }
    }
    found
}

/// Why a link of the page at `page` (from the root) leads nowhere; none where it leads to something or out of here.
pub fn dead(page: &str, link: &str, read: impl Fn(&Path) -> Option<String>) -> Option<String> {
    if link.contains("://") || link.starts_with("mailto:") {
        return None;
    }
    let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
    let target = if path.is_empty() {
        PathBuf::from(page)
    } else {
        let folder = Path::new(page).parent().unwrap_or(Path::new(""));
        match normal(&folder.join(path)) {
            Some(target) => target,
            None => return Some(format!("{page}: {link} leads out of the repository")),
        }
    };
    let Some(text) = read(&target) else {
        return Some(format!("{page}: {link} leads to nothing"));
    };
    if !anchor.is_empty() && !anchors(&text).iter().any(|known| known == anchor) {
        return Some(format!("{page}: {link} names no heading"));
    }
    None
}

/// Resolves `..`; none where it climbs over the root.
fn normal(path: &Path) -> Option<PathBuf> {
    let mut parts = PathBuf::new();
    for component in path.components() {
        match component {
            Component::ParentDir => {
                if !parts.pop() {
                    return None;
                }
            }
            Component::CurDir => {}
            other => parts.push(other),
        }
    }
    Some(parts)
}

#[test]
fn links_are_read_outside_of_code() {
    let page = "[a](one.md) ![b](two.png \"t\") `[c](no.md)`\n```\n[d](no.md)\n```\n[`e`](three.md#x)\n[f]: four.md";
    assert_eq!(links(page), ["one.md", "two.png", "three.md#x", "four.md"]);
}

#[test]
fn a_link_is_dead_that_names_no_file_no_heading_or_leaves_the_repository() {
    let read = |path: &Path| (path == Path::new("docs/here.md")).then(|| "# A heading: it's `here`\n".to_owned());
    let dead = |link| dead("docs/adr/page.md", link, read).is_some();
    assert!(!dead("../here.md") && !dead("../here.md#a-heading-its-here"));
    assert!(!dead("https://example.com/x"));
    assert!(dead("here.md") && dead("../here.md#elsewhere") && dead("../../../here.md"));
}
