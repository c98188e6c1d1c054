//! `index.html`: the differences for a person. One file without scripts; every text of a document is escaped.

use std::{fmt::Write as _, io::Write as _};

use anyhow::Context;

use crate::replay::{
    detail::Detail,
    header::ReplayHeader,
    result_line::{RESULTS, ResultLine},
    results::Results,
};

/// Places shown of each result in the table.
const MAX_SHOWN_PLACES: usize = 5;

const STYLE: &str = "
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 70rem; padding: 0 1rem; color: #1b1f24; background: #fff }
table { border-collapse: collapse; width: 100%; table-layout: fixed }
th, td { text-align: left; vertical-align: top; padding: .3rem .6rem; border-bottom: 1px solid #d5d9de }
article { margin: 1.2rem 0; padding: .2rem 1rem 1rem; border: 1px solid #d5d9de; border-radius: 6px }
pre { white-space: pre-wrap; overflow-wrap: anywhere; margin: 0; font: 13px/1.4 ui-monospace, monospace }
code { overflow-wrap: anywhere }
.before { background: #fff1f0 } .after { background: #effaf0 } .none { color: #6a737d; font-style: italic }
@media (prefers-color-scheme: dark) {
  body { color: #dde2e8; background: #14171a } th, td, article { border-color: #3a4047 }
  .before { background: #3a1f1f } .after { background: #1c3322 }
}";

/// Writes the page into the folder of the results, over the one of an earlier run.
///
/// # Errors
/// When the file cannot be written.
pub fn write(header: &ReplayHeader, results: &Results) -> anyhow::Result<()> {
    let path = results.folder().join("index.html");
    let named = || format!("write {}", path.display());
    // Written to a temporary file first, readable for its owner only: the page is whole or absent.
    let mut file = tempfile::NamedTempFile::new_in(results.folder()).with_context(named)?;
    file.write_all(render(header, results).as_bytes()).with_context(named)?;
    file.persist(&path).with_context(named)?;
    Ok(())
}

fn render(header: &ReplayHeader, results: &Results) -> String {
    let of = |result: &str| (results.counts().of(result).files, results.detailed(result));
    let mut sections = String::new();
    for result in RESULTS {
        let (files, detailed) = of(result);
        if !detailed.is_empty() {
            sections += &section(result, files, detailed);
        }
    }
    if sections.is_empty() {
        sections += "<p>There is no difference to show.</p>\n";
    }
    let (title, against) = (escape(&header.prompt_version), against(header));
    let mut rows = String::new();
    for (result, count) in results.counts().present() {
        let places = count
            .top_places(MAX_SHOWN_PLACES)
            .iter()
            .map(|(place, files)| format!("{place} ({files})"))
            .collect::<Vec<_>>();
        let (name, places) = (escape(&result.replace('_', " ")), escape(&places.join(", ")));
        rows += &format!("<tr><td>{name}</td><td>{}</td><td>{places}</td></tr>\n", count.files);
    }
    format!(
        "<!doctype html>
<html lang=\"en\">
<head>
<meta charset=\"utf-8\">
<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">
<meta name=\"viewport\" content=\"width=device-width\">
<title>Replay of {title}</title>
<style>{STYLE}
</style>
</head>
<body>
<h1>Replay of {title}</h1>
<p><code>sha256:{}</code>, compared with {against}. This page holds content of documents.</p>
<table><tr><th>result</th><th>files</th><th>most often</th></tr>
{rows}</table>
{sections}</body>
</html>
",
        escape(&header.guest)
    )
}

fn against(header: &ReplayHeader) -> String {
    match &header.against {
        Some(digest) => format!("<code>sha256:{}</code> on the same answers", escape(digest)),
        None => "what is stored".to_owned(),
    }
}

fn section(result: &str, files: u64, detailed: &[ResultLine]) -> String {
    let mut text = format!("<h2>{}: {files}</h2>\n", escape(&result.replace('_', " ")));
    let more = files.saturating_sub(detailed.len() as u64);
    if more > 0 {
        _ = writeln!(text, "<p>Of these, {} are shown; results.jsonl has {more} more.</p>", detailed.len());
    }
    detailed.iter().for_each(|line| text += &article(line));
    text
}

fn article(line: &ResultLine) -> String {
    let live = if line.live { ", on fresh answers" } else { "" };
    let code = line.code.as_deref().map(|code| format!(": {}", escape(code))).unwrap_or_default();
    let name = escape(&line.result.replace('_', " "));
    let mut text = format!("<article>\n<h3><code>{}</code></h3>\n<p>{name}{code}{live}</p>\n", line.file_id);
    let Some(detail) = &line.detail else { return text + "</article>\n" };
    let Detail { places, report, reason, findings, questions } = detail;
    if let Some(reason) = reason {
        text += &block("why", reason);
    }
    if !findings.is_empty() {
        text += "<table><tr><th>code</th><th>where</th><th>message</th></tr>\n";
        for found in findings {
            let [code, pointer, message] = [&found.code, &found.pointer, &found.message].map(|text| escape(text));
            text += &format!("<tr><td>{code}</td><td><code>{pointer}</code></td><td><pre>{message}</pre></td></tr>\n");
        }
        text += "</table>\n";
    }
    if !places.is_empty() {
        text += "<table><tr><th>where</th><th>before</th><th>after</th></tr>\n";
        for place in places {
            let pointer = if place.pointer.is_empty() { "the whole document" } else { &place.pointer };
            let (before, after) = (cell("before", place.before.as_deref()), cell("after", place.after.as_deref()));
            text += &format!("<tr><td><code>{}</code></td>{before}{after}</tr>\n", escape(pointer));
        }
        text += "</table>\n";
        let more = line.pointers.len().saturating_sub(places.len());
        if more > 0 {
            _ = writeln!(text, "<p>Its line in results.jsonl has {more} more pointers.</p>");
        }
    }
    if let Some(report) = report {
        text += &block("report", report);
    }
    for question in questions {
        text += &block("asks", question);
    }
    text + "</article>\n"
}

fn cell(class: &str, value: Option<&str>) -> String {
    match value {
        Some(value) => format!("<td class=\"{class}\"><pre>{}</pre></td>", escape(value)),
        None => "<td class=\"none\">nothing</td>".to_owned(),
    }
}

fn block(title: &str, content: &str) -> String {
    format!("<table><tr><th>{title}</th></tr><tr><td><pre>{}</pre></td></tr></table>\n", escape(content))
}

/// Escapes a text for HTML, also within an attribute.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped += "&amp;",
            '<' => escaped += "&lt;",
            '>' => escaped += "&gt;",
            '"' => escaped += "&quot;",
            '\'' => escaped += "&#39;",
            // A browser would hide it, or show something else.
            control if control.is_control() && !matches!(control, '\n' | '\t') => escaped.push('\u{fffd}'),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use assay_core::ids::FileId;
    use uuid::Uuid;

    use super::*;
    use crate::replay::detail::{ChangedValue, ShownFinding};

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
        let shown = section("changed", 3, &[line]);
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
        let shown = article(&line);
        assert!(shown.contains("<td><code>the whole document</code></td><td class=\"none\">nothing</td>"), "{shown}");
        assert!(shown.contains("changed, on fresh answers") && shown.contains("has 2 more pointers"), "{shown}");
    }
}
