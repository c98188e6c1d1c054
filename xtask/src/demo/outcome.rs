//! What became of the samples, as `assay submit --wait --json` tells it, and the table of it.

use super::expectation::{Ending, Sample};
use comfy_table::{CellAlignment, Table, presets};
use serde::Deserialize;

/// One file of the answer.
#[derive(Debug, Deserialize)]
pub struct Outcome {
    /// Its state, where it was submitted.
    pub status: Option<State>,
    /// Why it was not.
    pub error: Option<String>,
}

/// The state of a file.
#[derive(Debug, Default, Deserialize)]
pub struct State {
    pub status: String,
    pub error_code: Option<String>,
    pub prompt_version: Option<String>,
    pub attempts: u32,
    pub seconds: Option<f64>,
    pub report_key: Option<String>,
    pub raw_output_key: Option<String>,
}

impl State {
    /// How the file ended.
    pub fn ending(&self) -> Ending {
        match self.status.as_str() {
            "succeeded" => Ending::Succeeded,
            "failed" => Ending::Failed(self.error_code.clone().unwrap_or_default()),
            other => Ending::Open(other.to_owned()),
        }
    }

    /// The key of what it left.
    fn artifact(&self) -> &str {
        let key = if self.status == "succeeded" { &self.report_key } else { &self.raw_output_key };
        key.as_deref().unwrap_or("none: no answer was received")
    }
}

/// One row per sample.
pub fn render(rows: &[(&Sample, &Outcome, Result<(), String>)]) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header([
        "FILE",
        "STATUS",
        "PROMPT VERSION",
        "ATTEMPTS",
        "SECONDS",
        "CODE",
        "AS NAMED",
        "ARTIFACT (KEY IN THE BUCKET)",
    ]);
    let nothing = State::default();
    for (sample, outcome, verdict) in rows {
        let state = outcome.status.as_ref().unwrap_or(&nothing);
        let text = |value: &Option<String>| value.clone().unwrap_or_default();
        table.add_row([
            sample.name.clone(),
            if outcome.status.is_some() { state.status.clone() } else { "not submitted".to_owned() },
            text(&state.prompt_version),
            state.attempts.to_string(),
            state.seconds.map(|seconds| format!("{seconds:.1}")).unwrap_or_default(),
            text(&state.error_code),
            if verdict.is_ok() { "yes".to_owned() } else { "NO".to_owned() },
            state.artifact().to_owned(),
        ]);
    }
    for (index, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, 2));
        if index == 3 || index == 4 {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.trim_fmt()
}

#[cfg(test)]
mod tests {
    use super::{Outcome, render};
    use crate::demo::expectation::Sample;
    use std::path::Path;

    #[test]
    fn the_table_shows_what_the_command_line_tells() {
        let json = r#"{"path": "x", "file_id": null, "job_id": null, "error": null, "status": {
            "file_id": "1", "filename": "x", "status": "succeeded", "error_code": null, "bucket": "b", "report_key": "users/1/report.json",
            "raw_output_key": null, "prompt_version": "meeting-v2", "schema_version": "report.v2", "guest_digest": "3f", "attempts": 1,
            "queued_at": null, "processed_at": null, "seconds": 0.25, "job": null, "history": []}}"#;
        let outcome: Outcome = serde_json::from_str(json).unwrap();
        let sample = Sample::parse(Path::new("weekly.succeeds.txt")).unwrap();
        let table = render(&[(&sample, &outcome, Ok(()))]);
        let row = table.lines().nth(1).unwrap().split_whitespace().collect::<Vec<_>>();
        assert_eq!(row, ["weekly.succeeds.txt", "succeeded", "meeting-v2", "1", "0.2", "yes", "users/1/report.json"]);
    }
}
