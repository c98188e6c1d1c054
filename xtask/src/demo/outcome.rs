//! The outcomes of the samples, from `assay submit --wait --json`, and their table.

use comfy_table::{CellAlignment, Table, presets};
use serde::Deserialize;

use super::expectation::{Ending, Sample};

/// One file of the answer.
#[derive(Debug, Deserialize)]
pub struct Outcome {
    /// Its state, where it was submitted.
    pub status: Option<State>,
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
    /// Returns how the file ended.
    pub fn ending(&self) -> Ending {
        match self.status.as_str() {
            "succeeded" => Ending::Succeeded,
            "failed" => Ending::Failed(self.error_code.clone().unwrap_or_default()),
            other => Ending::Open(other.to_owned()),
        }
    }

    /// Returns the key of what it left, where an answer was received.
    fn artifact(&self) -> Option<&str> {
        if self.status == "succeeded" { self.report_key.as_deref() } else { self.raw_output_key.as_deref() }
    }
}

/// Returns one row per sample.
pub fn render(rows: &[(&Sample, &Outcome, Result<(), String>)]) -> String {
    let mut table = table();
    table.set_header(["FILE", "STATUS", "PROMPT VERSION", "ATTEMPTS", "SECONDS", "CODE", "EXPECTED", "ARTIFACT"]);
    let nothing = State::default();
    for (sample, outcome, verdict) in rows {
        let state = outcome.status.as_ref().unwrap_or(&nothing);
        let text = |value: &Option<String>| value.clone().unwrap_or_default();
        let name = state.artifact().and_then(|key| key.rsplit('/').next());
        table.add_row([
            sample.name.clone(),
            if outcome.status.is_some() { state.status.clone() } else { "not submitted".to_owned() },
            text(&state.prompt_version),
            state.attempts.to_string(),
            state.seconds.map(|seconds| format!("{seconds:.1}")).unwrap_or_default(),
            text(&state.error_code),
            if verdict.is_ok() { "yes".to_owned() } else { "NO".to_owned() },
            name.unwrap_or("none: no answer").to_owned(),
        ]);
    }
    finish(table, &[3, 4])
}

/// Returns where each artifact lies: keys are too long for a column beside others.
pub fn render_keys(rows: &[(&Sample, &Outcome, Result<(), String>)]) -> String {
    let mut table = table();
    for (sample, outcome, _) in rows {
        if let Some(key) = outcome.status.as_ref().and_then(State::artifact) {
            table.add_row([sample.name.as_str(), key]);
        }
    }
    finish(table, &[])
}

fn table() -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table
}

fn finish(mut table: Table, right: &[usize]) -> String {
    for (index, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, 2));
        if right.contains(&index) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.trim_fmt()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{Outcome, render, render_keys};
    use crate::demo::expectation::Sample;

    #[test]
    fn the_table_shows_the_commands_output() {
        let json = r#"{"path": "x", "file_id": null, "job_id": null, "error": null, "status": {
            "file_id": "1", "filename": "x", "status": "succeeded", "error_code": null, "bucket": "b", "report_key": "users/1/report.json",
            "raw_output_key": null, "prompt_version": "meeting-v2", "schema_version": "report.v2", "guest_digest": "3f", "attempts": 1,
            "queued_at": null, "processed_at": null, "seconds": 0.25, "job": null, "history": []}}"#;
        let outcome: Outcome = serde_json::from_str(json).unwrap();
        let sample = Sample::parse(Path::new("weekly.succeeds.txt")).unwrap();
        let rows = [(&sample, &outcome, Ok(()))];
        assert_eq!(render_keys(&rows), "weekly.succeeds.txt  users/1/report.json");
        let table = render(&rows);
        let row = table.lines().nth(1).unwrap().split_whitespace().collect::<Vec<_>>();
        assert_eq!(row, ["weekly.succeeds.txt", "succeeded", "meeting-v2", "1", "0.2", "yes", "report.json"]);
    }
}
