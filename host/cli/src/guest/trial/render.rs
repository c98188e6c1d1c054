//! The result of a trial as text.

use serde_json::Value;

use crate::{
    guest::trial::trial_report::{Answered, TrialReport},
    output::plain,
};

/// Limit for one text; `--json` has all lines.
const MAX_SHOWN_LINES: usize = 40;

pub fn text(report: &TrialReport, colours: bool) -> String {
    let bold = |text: &str| if colours { format!("\u{1b}[1m{text}\u{1b}[0m") } else { text.to_owned() };
    let TrialReport { guest, schema_version, digest, toolchain, .. } = report;
    let made_by = toolchain.as_deref().unwrap_or("an unknown compiler");
    let short = digest.get(..12).unwrap_or(digest);
    let mut out =
        format!("{} ({}), sha256:{short}…, made by {}\n", plain(guest), plain(schema_version), plain(made_by));
    for warning in &report.warnings {
        out.push_str(&format!("warning: {}\n", plain(warning)));
    }
    out.push_str(&rounds_text(report, bold));
    let (kind, content) = report.step.as_ref().and_then(Value::as_object).and_then(|step| step.iter().next()).unzip();
    out.push_str(&format!("\n{}\n", bold(kind.map_or("no step", String::as_str))));
    if let Some(content) = content {
        out.push_str(&indented(&serde_json::to_string_pretty(content).unwrap_or_default()));
    }
    if kind.is_some_and(|kind| kind == "accept") && report.error.is_none() {
        out.push_str(&check_text(report));
    }
    for line in &report.log {
        let level = serde_json::to_value(line.level).unwrap_or_default();
        out.push_str(&format!("log {}: {}\n", level.as_str().unwrap_or_default(), plain(&line.message)));
    }
    out.push_str(&cost_text(report));
    if let Some(error) = &report.error {
        out.push_str(&format!("error: {}\n", plain(error)));
    }
    if let Some(folder) = &report.recorded {
        out.push_str(&format!("recorded as {}\n", plain(&folder.display().to_string())));
    }
    out
}

fn rounds_text(report: &TrialReport, bold: impl Fn(&str) -> String) -> String {
    let mut out = String::new();
    let mut ordinal = 0;
    for (round, number) in report.rounds.iter().zip(1..) {
        out.push_str(&format!("\n{}\n", bold(&format!("round {number}"))));
        // In the round with an error, some questions have no answer.
        for (index, question) in round.questions.iter().enumerate() {
            ordinal += 1;
            out.push_str(&question_text(ordinal, question));
            if let Some(answer) = round.answers.get(index) {
                out.push_str(&answer_text(ordinal, answer));
            }
        }
    }
    out
}

fn question_text(ordinal: usize, question: &Value) -> String {
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

/// Returns the text of a message: one string, or its lines.
fn content(message: &Value) -> String {
    match &message["content"] {
        Value::Array(lines) => lines.iter().filter_map(Value::as_str).collect::<Vec<_>>().join("\n"),
        content => content.as_str().unwrap_or_default().to_owned(),
    }
}

fn answer_text(ordinal: usize, answer: &Answered) -> String {
    let tokens = match (answer.input_tokens, answer.output_tokens) {
        (Some(input), Some(output)) => format!(", {input} + {output} tokens"),
        _ => String::new(),
    };
    let Answered { model, finish_reason, seconds, text, notes, .. } = answer;
    let mut head = format!("{}, {}{tokens}, {seconds:.1} s", plain(model), plain(finish_reason));
    for note in *notes {
        head.push_str(", ");
        head.push_str(note);
    }
    let text = match serde_json::from_str::<Value>(text) {
        Ok(document) => serde_json::to_string_pretty(&document).unwrap_or_else(|_| text.clone()),
        Err(_) => text.clone(),
    };
    format!("answer {ordinal}: {head}\n{}", indented(&text))
}

fn check_text(report: &TrialReport) -> String {
    if report.findings.is_empty() {
        return "second check: the schema allows it\n".to_owned();
    }
    let mut out =
        "second check: the schema does not allow it; a worker would fail the job with report_invalid\n".to_owned();
    for finding in &report.findings {
        out.push_str(&format!("  {} {}: {}\n", plain(&finding.pointer), plain(&finding.code), plain(&finding.message)));
    }
    out
}

fn cost_text(report: &TrialReport) -> String {
    let cost = &report.cost;
    let mebibytes = cost.peak_memory as f64 / f64::from(1 << 20);
    let milliseconds = cost.seconds * 1e3;
    // `sum` of an empty list is -0.0.
    let waited = report.rounds.iter().flat_map(|round| &round.answers).fold(0.0, |sum, answer| sum + answer.seconds);
    format!(
        "\n{} calls, fuel {}, {mebibytes:.1} MiB, {milliseconds:.1} ms in the sandbox; {} + {} tokens, {waited:.1} s of answers\n",
        cost.calls, cost.fuel, cost.input_tokens, cost.output_tokens
    )
}

/// Indents a text, replaces control characters, and shortens it.
fn indented(text: &str) -> String {
    let mut out: String = text.lines().take(MAX_SHOWN_LINES).map(|line| format!("    {}\n", plain(line))).collect();
    let more = text.lines().count().saturating_sub(MAX_SHOWN_LINES);
    if more > 0 {
        out.push_str(&format!("    … {more} more lines; --json has them\n"));
    }
    out
}

#[cfg(test)]
mod tests {
    use assay_runtime::{Finding, LogLevel, LogLine};
    use serde_json::json;

    use super::*;
    use crate::guest::trial::trial_report::{Cost, Round};

    fn answer(text: &str, tokens: Option<u64>) -> Answered {
        let (input_tokens, output_tokens) = (tokens, tokens.map(|tokens| tokens / 4));
        let finish_reason = "stop".to_owned();
        Answered {
            text: text.into(),
            model: "large-2".into(),
            finish_reason,
            input_tokens,
            output_tokens,
            seconds: 1.25,
            ..Answered::default()
        }
    }

    fn report() -> TrialReport {
        let question = |content: Value| {
            json!({"messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": content}],
                "model": null, "max_output_tokens": 900, "temperature": 0.2, "answer_schema": {"type": "object"}})
        };
        let long: Vec<String> = (1..=50).map(|line| format!("line {line}")).collect();
        let lines = json!(["Anna: hello\u{1b}[2J", "Ben: hello"]);
        let rounds = vec![
            Round { questions: vec![question(lines)], answers: vec![answer("{\"title\": 1}", Some(400))] },
            Round { questions: vec![question(json!(long))], answers: vec![answer("Sorry.", None)] },
        ];
        TrialReport {
            guest: "minutes-v1".into(),
            schema_version: "minutes.v1".into(),
            digest: "0123456789abcdef".repeat(4),
            toolchain: Some("rustc 1.95.0".into()),
            warnings: vec!["`anyOf` beside `properties` is not for the model".into()],
            rounds,
            step: Some(json!({"accept": {"document": {"title": "Agreed"}, "notes": []}})),
            findings: Vec::new(),
            log: vec![LogLine { level: LogLevel::Warn, message: "a quote was not found".into() }],
            cost: Cost { calls: 3, fuel: 1_234_567, peak_memory: 3 << 20, seconds: 0.0042, ..Cost::default() },
            recorded: Some("minutes-v1/fixtures/first".into()),
            error: None,
        }
        .summed()
    }

    #[test]
    fn a_trial_is_shown_from_the_first_question_to_the_cost() {
        insta::assert_snapshot!(text(&report(), false));
    }

    #[test]
    fn a_terminal_shows_the_parts_in_bold() {
        let shown = text(&report(), true);
        let bold: Vec<_> = shown.lines().filter(|line| line.starts_with("\u{1b}[1m")).collect();
        assert_eq!(bold, ["\u{1b}[1mround 1\u{1b}[0m", "\u{1b}[1mround 2\u{1b}[0m", "\u{1b}[1maccept\u{1b}[0m"]);
    }

    #[test]
    fn an_invalid_report_is_shown_with_its_findings() {
        let finding = ["required", "/", "\"title\" is missing"].map(str::to_owned);
        let [code, pointer, message] = finding;
        let rounds = Vec::new();
        let report =
            TrialReport { findings: vec![Finding { code, pointer, message }], rounds, recorded: None, ..report() };
        insta::assert_snapshot!(text(&report.summed(), false));
    }

    #[test]
    fn a_question_without_an_answer_is_shown_with_the_error() {
        let mut report = TrialReport { step: None, recorded: None, log: Vec::new(), warnings: Vec::new(), ..report() };
        report.rounds.truncate(1);
        report.rounds[0].answers.clear();
        report.error = Some("question 1: call the model: 429".into());
        insta::assert_snapshot!(text(&report.summed(), false));
    }
}
