//! `index.html`: the differences for a person. One file without scripts; every text of a document is escaped.

use std::{
    fmt::{self, Write},
    io::Write as _,
};

use anyhow::Context;
use askama::{Template, filters::Escaper};

use crate::replay::{
    header::ReplayHeader,
    result_line::{RESULTS, ResultLine},
    results::Results,
};

/// Places shown of each result in the table.
const MAX_SHOWN_PLACES: usize = 5;

/// Writes the page into the folder of the results, over the one of an earlier run.
///
/// # Errors
/// When the file cannot be written.
pub fn write(header: &ReplayHeader, results: &Results) -> anyhow::Result<()> {
    let path = results.folder().join("index.html");
    let named = || format!("write {}", path.display());
    // Written to a temporary file first, readable for its owner only: the page is whole or absent.
    let mut file = tempfile::NamedTempFile::new_in(results.folder()).with_context(named)?;
    file.write_all(Page::of(header, results).render().with_context(named)?.as_bytes()).with_context(named)?;
    file.persist(&path).with_context(named)?;
    Ok(())
}

#[derive(Template)]
#[template(path = "replay.html")]
struct Page<'a> {
    header: &'a ReplayHeader,
    counts: Vec<ShownCount>,
    sections: Vec<Section<'a>>,
}

/// A row of the table of results.
struct ShownCount {
    name: String,
    files: u64,
    places: String,
}

/// The files of one result.
struct Section<'a> {
    name: String,
    files: u64,
    /// The first ones.
    lines: &'a [ResultLine],
}

impl<'a> Page<'a> {
    fn of(header: &'a ReplayHeader, results: &'a Results) -> Self {
        let counts = results.counts().present().map(|(result, count)| {
            let places = count.top_places(MAX_SHOWN_PLACES);
            let places: Vec<_> = places.iter().map(|(place, files)| format!("{place} ({files})")).collect();
            ShownCount { name: words(result), files: count.files, places: places.join(", ") }
        });
        let sections = RESULTS.iter().map(|result| Section {
            name: words(result),
            files: results.counts().of(result).files,
            lines: results.detailed(result),
        });
        Self {
            header,
            counts: counts.collect(),
            sections: sections.filter(|section| !section.lines.is_empty()).collect(),
        }
    }
}

impl Section<'_> {
    /// Returns how many files are not shown.
    fn more(&self) -> u64 {
        self.files.saturating_sub(self.lines.len() as u64)
    }
}

fn words(result: &str) -> String {
    result.replace('_', " ")
}

/// Escapes text for HTML, also within an attribute. `askama.toml` names it.
#[derive(Clone, Copy)]
struct HtmlText;

impl Escaper for HtmlText {
    fn write_escaped_str<W: Write>(&self, mut escaped: W, text: &str) -> fmt::Result {
        for character in text.chars() {
            match character {
                '&' => escaped.write_str("&amp;"),
                '<' => escaped.write_str("&lt;"),
                '>' => escaped.write_str("&gt;"),
                '"' => escaped.write_str("&quot;"),
                '\'' => escaped.write_str("&#39;"),
                // A browser would hide it, or show something else.
                control if control.is_control() && !matches!(control, '\n' | '\t') => escaped.write_char('\u{fffd}'),
                other => escaped.write_char(other),
            }?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use assay_core::ids::FileId;
    use uuid::Uuid;

    use super::*;
    use crate::replay::detail::{ChangedValue, Detail, ShownFinding};

    /// Renders files of one result.
    fn rendered(files: u64, lines: &[ResultLine]) -> String {
        let header = ReplayHeader {
            replay: 1,
            guest: "d".to_owned(),
            prompt_version: "v".to_owned(),
            against: None,
            selection: serde_json::Value::Null,
        };
        let section = Section { name: "changed".to_owned(), files, lines };
        Page { header: &header, counts: Vec::new(), sections: vec![section] }.render().expect("a page")
    }

    #[test]
    fn content_is_shown_as_text() {
        let hostile = r#"<script>alert("x")</script><img src=x onerror='y'>&"#;
        let detail = Detail {
            places: vec![ChangedValue {
                pointer: format!("/{hostile}"),
                before: Some(hostile.to_owned()),
                after: Some(hostile.to_owned()),
            }],
            report: Some(hostile.to_owned()),
            reason: Some(hostile.to_owned()),
            findings: vec![ShownFinding {
                code: hostile.to_owned(),
                pointer: hostile.to_owned(),
                message: hostile.to_owned(),
            }],
            questions: vec![hostile.to_owned()],
        };
        let line = ResultLine {
            code: Some(hostile.to_owned()),
            detail: Some(detail),
            ..ResultLine::new(FileId(Uuid::nil()), "changed")
        };
        let shown = rendered(3, &[line]);
        assert!(!shown.contains("<script") && !shown.contains("<img"), "{shown}");
        assert_eq!(shown.matches("&lt;script&gt;alert(&quot;x&quot;)").count(), 10, "{shown}");
        assert!(shown.contains("onerror=&#39;y&#39;&gt;&amp;"), "{shown}");
        assert!(shown.contains("Of these, 1 are shown; results.jsonl has 2 more."), "{shown}");
    }

    #[test]
    fn a_place_without_a_value_says_so() {
        let detail = Detail {
            places: vec![ChangedValue { pointer: String::new(), before: None, after: Some("{}".to_owned()) }],
            ..Detail::default()
        };
        let line = ResultLine {
            pointers: vec![String::new(); 3],
            detail: Some(detail),
            live: true,
            ..ResultLine::new(FileId(Uuid::nil()), "changed")
        };
        let shown = rendered(1, &[line]);
        assert!(shown.contains("<td><code>the whole document</code></td><td class=\"none\">nothing</td>"), "{shown}");
        assert!(!shown.contains("results.jsonl has 0 more"), "{shown}");
        assert!(shown.contains("changed, on fresh answers") && shown.contains("has 2 more pointers"), "{shown}");
    }
}
