//! Output of commands: tables, times, JSON, and text from elsewhere.

use std::{
    io::{ErrorKind, Write},
    time::Duration,
};

use assay_db::StoredTime;
use comfy_table::{CellAlignment, Table, presets};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

pub use crate::terminal::plain;

/// Writes to standard output. If the reader closes the pipe early, as `head` does, that is not an error.
pub fn print(text: &str) -> std::io::Result<()> {
    print_bytes(text.as_bytes())
}

/// Writes bytes to standard output. A closed pipe is not an error.
pub fn print_bytes(bytes: &[u8]) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error),
        _ => Ok(()),
    }
}

/// Writes a value to standard output as one indented JSON document.
pub fn print_json(value: &impl Serialize) -> std::io::Result<()> {
    let text = serde_json::to_string_pretty(value).map_err(std::io::Error::other)?;
    print(&(text + "\n"))
}

/// Returns aligned columns without lines. `right` lists the columns that are aligned right.
pub fn table(header: &[&str], rows: Vec<Vec<String>>, right: &[usize]) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    if !header.is_empty() {
        table.set_header(header);
    }
    table.add_rows(rows.into_iter().map(|row| row.iter().map(|cell| plain(cell)).collect::<Vec<_>>()));
    for (index, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, 2));
        if right.contains(&index) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.trim_fmt() + "\n"
}

/// Stands in the place of a value that cannot be read.
pub const UNREADABLE: &str = "unreadable";

/// Returns a time span in its largest unit.
pub fn span(seconds: f64) -> String {
    if !seconds.is_finite() {
        return UNREADABLE.to_owned();
    }
    const UNITS: [(f64, &str); 3] = [(86_400.0, "d"), (3600.0, "h"), (60.0, "min")];
    UNITS.iter().find(|(unit, _)| seconds >= *unit).map_or_else(
        || format!("{:.0} s", seconds.max(0.0)),
        |(unit, name)| format!("{:.0} {name}", (seconds / unit).floor()),
    )
}

/// Returns how long ago something was.
pub fn ago(seconds: f64) -> String {
    let span = span(seconds);
    if seconds.is_finite() { format!("{span} ago") } else { span }
}

/// Returns seconds to a tenth. The time from or to an infinite instant has none.
pub fn seconds(seconds: f64) -> String {
    if seconds.is_finite() { format!("{seconds:.1}") } else { UNREADABLE.to_owned() }
}

/// Returns a time in UTC, to the second; `never` beyond the year 9999.
pub fn instant(at: impl Into<StoredTime>) -> String {
    at.into().to_string()
}

/// Returns a progress bar. It draws only on a terminal.
pub fn bar(template: &str, length: Option<u64>) -> ProgressBar {
    let style = ProgressStyle::with_template(template).expect("a constant template parses");
    let bar = length.map_or_else(ProgressBar::new_spinner, ProgressBar::new).with_style(style);
    bar.enable_steady_tick(Duration::from_millis(120));
    bar
}

/// Names with values. Leaves out empty values.
#[derive(Default)]
pub struct Rows(Vec<Vec<String>>);

impl Rows {
    pub fn add(&mut self, name: &str, value: Option<String>) {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            self.0.push(vec![name.to_owned(), value]);
        }
    }

    pub fn table(self) -> String {
        table(&[], self.0, &[])
    }
}

/// Returns the start of a digest: enough to compare it by eye.
pub fn short_digest(digest: &str) -> &str {
    digest.get(..12).unwrap_or(digest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_lines_end_without_blanks() {
        let rows = vec![
            vec!["встреча.txt".to_owned(), "7".to_owned(), String::new()],
            vec!["a.vtt".to_owned(), "1234".to_owned(), "x".to_owned()],
        ];
        assert_eq!(
            table(&["FILE", "BYTES", "CODE"], rows, &[1]),
            "FILE         BYTES  CODE\nвстреча.txt      7\na.vtt         1234  x\n"
        );
    }

    #[test]
    fn a_span_is_shown_in_its_largest_unit() {
        let shown = [0.4, 59.0, 60.0, 7300.0, 200_000.0].map(span);
        assert_eq!(shown, ["0 s", "59 s", "1 min", "2 h", "2 d"]);
    }

    #[test]
    fn times_without_a_number_of_seconds_are_unreadable() {
        for odd in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            assert_eq!([span(odd), ago(odd), seconds(odd)], [UNREADABLE; 3]);
        }
        assert_eq!([ago(59.0), seconds(3.25)], ["59 s ago", "3.2"]);
    }
}
