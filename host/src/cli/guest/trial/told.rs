//! A trial as people read it.

use serde_json::Value;

use super::story::{Answered, Story};
use crate::cli::output::plain;

/// Lines of one text that are shown; `--json` has them all.
const LINES: usize = 40;

/// The story, with colours where a terminal shows them.
pub(super) fn text(story: &Story, colours: bool) -> String {
    let bold = |text: &str| if colours { format!("\u{1b}[1m{text}\u{1b}[0m") } else { text.to_owned() };
    let Story { guest, schema_version, digest, toolchain, .. } = story;
    let made_by = toolchain.as_deref().unwrap_or("an unknown compiler");
    let short = digest.get(..12).unwrap_or(digest);
    let mut out =
        format!("{} ({}), sha256:{short}…, made by {}\n", plain(guest), plain(schema_version), plain(made_by));
    for warning in &story.warnings {
        out.push_str(&format!("warning: {}\n", plain(warning)));
    }
    let mut ordinal = 0;
    for (round, number) in story.rounds.iter().zip(1..) {
        out.push_str(&format!("\n{}\n", bold(&format!("round {number}"))));
        // The round in which an answer failed to come has more questions than answers.
        for (index, question) in round.questions.iter().enumerate() {
            ordinal += 1;
            out.push_str(&told_question(ordinal, question));
            if let Some(answer) = round.answers.get(index) {
                out.push_str(&told_answer(ordinal, answer));
            }
        }
    }
    let (kind, content) = story.step.as_ref().and_then(Value::as_object).and_then(|step| step.iter().next()).unzip();
    out.push_str(&format!("\n{}\n", bold(kind.map_or("no step", String::as_str))));
    if let Some(content) = content {
        out.push_str(&indented(&serde_json::to_string_pretty(content).unwrap_or_default()));
    }
    if kind.is_some_and(|kind| kind == "accept") && story.error.is_none() {
        out.push_str(&told_check(story));
    }
    for line in &story.log {
        let level = serde_json::to_value(line.level).unwrap_or_default();
        out.push_str(&format!("log {}: {}\n", level.as_str().unwrap_or_default(), plain(&line.message)));
    }
    out.push_str(&told_cost(story));
    if let Some(error) = &story.error {
        out.push_str(&format!("error: {}\n", plain(error)));
    }
    if let Some(folder) = &story.recorded {
        out.push_str(&format!("recorded as {}\n", folder.display()));
    }
    out
}

fn told_question(ordinal: usize, question: &Value) -> String {
    let field = |name: &str| match &question[name] {
        Value::Null => "default".to_owned(),
        Value::String(text) => plain(text),
        other => other.to_string(),
    };
    let mut out = format!(
        "question {ordinal}: model {}, max output tokens {}, temperature {}\n",
        field("model"),
        field("max_output_tokens"),
        field("temperature")
    );
    for message in question["messages"].as_array().into_iter().flatten() {
        let role = message["role"].as_str().unwrap_or_default();
        out.push_str(&format!("  {}\n{}", plain(role), indented(&content(message))));
    }
    if let schema @ Value::Object(_) = &question["answer_schema"] {
        out.push_str(&format!("  with a schema of {} bytes\n", schema.to_string().len()));
    }
    out
}

/// A message's text: one string, or its lines.
fn content(message: &Value) -> String {
    match &message["content"] {
        Value::Array(lines) => lines.iter().filter_map(Value::as_str).collect::<Vec<_>>().join("\n"),
        content => content.as_str().unwrap_or_default().to_owned(),
    }
}

fn told_answer(ordinal: usize, answer: &Answered) -> String {
    let tokens = match (answer.input_tokens, answer.output_tokens) {
        (Some(input), Some(output)) => format!(", {input} + {output} tokens"),
        _ => String::new(),
    };
    let Answered { model, finish_reason, seconds, text, .. } = answer;
    let head = format!("{}, {}{tokens}, {seconds:.1} s", plain(model), plain(finish_reason));
    let text = match serde_json::from_str::<Value>(text) {
        Ok(document) => serde_json::to_string_pretty(&document).unwrap_or_else(|_| text.clone()),
        Err(_) => text.clone(),
    };
    format!("answer {ordinal}: {head}\n{}", indented(&text))
}

fn told_check(story: &Story) -> String {
    if story.findings.is_empty() {
        return "second check: the schema allows it\n".to_owned();
    }
    let mut out =
        "second check: the schema does not allow it; a worker would fail the job with report_invalid\n".to_owned();
    for finding in &story.findings {
        out.push_str(&format!("  {} {}: {}\n", plain(&finding.pointer), plain(&finding.code), plain(&finding.message)));
    }
    out
}

fn told_cost(story: &Story) -> String {
    let cost = &story.cost;
    let mebibytes = cost.peak_memory as f64 / f64::from(1 << 20);
    let milliseconds = cost.seconds * 1e3;
    let waited: f64 = story.rounds.iter().flat_map(|round| &round.answers).map(|answer| answer.seconds).sum();
    format!(
        "\n{} calls, fuel {}, {mebibytes:.1} MiB, {milliseconds:.1} ms in the sandbox; {} + {} tokens, {waited:.1} s of answers\n",
        cost.calls, cost.fuel, cost.input_tokens, cost.output_tokens
    )
}

/// A text set off by four blanks, without what would move a terminal's cursor, and not longer than a screen.
fn indented(text: &str) -> String {
    let mut out: String = text.lines().take(LINES).map(|line| format!("    {}\n", plain(line))).collect();
    let more = text.lines().count().saturating_sub(LINES);
    if more > 0 {
        out.push_str(&format!("    … {more} more lines; --json has them\n"));
    }
    out
}
