//! What a person reads: a line per scenario, a line per invariant, and what broke.

use std::fmt::Write;

use comfy_table::{Cell, CellAlignment, Table, presets};

use crate::outcome::{Outcome, ReleaseStats};

/// Shown of each invariant; the JSON has every violation.
const MAX_SHOWN_VIOLATIONS: usize = 5;

/// Returns the whole of it.
pub fn table(outcomes: &[Outcome]) -> String {
    let mut text = format!("{}\n\n{}\n", scenarios(outcomes), invariants(outcomes));
    // Writing to a string does not fail.
    for outcome in outcomes {
        let Some(figures) = &outcome.figures else { continue };
        if let Some((claims, taken_over)) = figures.other_program {
            let name = &outcome.scenario;
            let _ = writeln!(
                text,
                "\n{name}: the other program claimed {claims} times, {taken_over} times from a worker that was silent"
            );
        }
        if let (Some(flow), Some(leave)) = (figures.slowest_flow_ms, figures.slowest_leave_ms) {
            let (name, flow, leave) = (&outcome.scenario, flow as f64 / 1e3, leave as f64 / 1e3);
            let _ = writeln!(
                text,
                "\n{name}: after a failover a job ended within {flow:.1} s, and the standby was left within {leave:.1} s"
            );
        }
        if let Some([alone, beside]) = figures.good_p99_s {
            let name = &outcome.scenario;
            let _ = writeln!(text, "\n{name}: p99 of good documents {alone:.2} s, beside bad ones {beside:.2} s");
        }
        if !figures.throughput.is_empty() {
            let quarters: Vec<_> = figures.throughput.iter().map(|rate| format!("{rate:.0}")).collect();
            let _ = writeln!(text, "\n{}: jobs per second in each quarter: {}", outcome.scenario, quarters.join(", "));
        }
    }
    for outcome in outcomes.iter().filter(|outcome| !outcome.holds()) {
        let _ = writeln!(text, "\n{} is broken:", outcome.scenario);
        if let Some(error) = &outcome.error {
            let _ = writeln!(text, "  {error}");
        }
        for verdict in outcome.invariants.iter().filter(|verdict| !verdict.broken.is_empty()) {
            let _ = writeln!(text, "  {}: {} times", verdict.name, verdict.broken.len());
            for line in verdict.broken.iter().take(MAX_SHOWN_VIOLATIONS) {
                let _ = writeln!(text, "    {line}");
            }
        }
        if let Some(logs) = &outcome.logs {
            let _ = writeln!(text, "  logs: {}", logs.display());
        }
        let _ = writeln!(text, "  to repeat it: {}", outcome.repeat);
    }
    text
}

fn scenarios(outcomes: &[Outcome]) -> Table {
    const HEAD: [&str; 14] = [
        "SCENARIO",
        "VERDICT",
        "JOBS",
        "OK",
        "FAILED",
        "CLAIMS",
        "LOST",
        "CALLS",
        "BY STALLED",
        "KILLED",
        "STOPPED",
        "RESCUE",
        "SWEPT",
        "TIME",
    ];
    let mut table = plain(&HEAD);
    for outcome in outcomes {
        let verdict = if outcome.holds() { "holds" } else { "BROKEN" };
        let mut row = vec![Cell::new(&outcome.scenario), Cell::new(verdict)];
        let cells = outcome.figures.as_ref().map_or_else(|| vec![String::new(); HEAD.len() - 3], numbers);
        row.extend(cells.into_iter().chain([format!("{:.1} s", outcome.seconds)]).map(right));
        table.add_row(row);
    }
    table
}

fn numbers(figures: &ReleaseStats) -> Vec<String> {
    let rescue = figures.slowest_rescue_ms.map_or_else(String::new, |slowest| {
        let bound = figures.rescue_bound_ms.map(|bound| format!(" of {:.0}", bound as f64 / 1e3)).unwrap_or_default();
        format!("{:.1}{bound} s", slowest as f64 / 1e3)
    });
    let failed: usize = figures.failed.values().sum();
    let counts = [
        figures.jobs,
        figures.succeeded,
        failed,
        figures.claims,
        figures.lost,
        figures.calls,
        figures.calls_by_stalled,
        figures.deaths,
        figures.stalls,
    ];
    counts.iter().map(ToString::to_string).chain([rescue, figures.swept.to_string()]).collect()
}

/// Returns an invariant per line, a scenario per column: how much was looked at, or how often it broke.
fn invariants(outcomes: &[Outcome]) -> Table {
    let names: Vec<_> = outcomes.iter().map(|outcome| outcome.scenario.as_str()).collect();
    let mut table = plain(&[&["INVARIANT"], names.as_slice()].concat());
    let mut invariants: Vec<&str> = Vec::new();
    for verdict in outcomes.iter().flat_map(|outcome| &outcome.invariants) {
        if !invariants.contains(&verdict.name) {
            invariants.push(verdict.name);
        }
    }
    for invariant in invariants {
        let cell = |outcome: &Outcome| match outcome.invariants.iter().find(|verdict| verdict.name == invariant) {
            Some(verdict) if verdict.broken.is_empty() => verdict.checked.to_string(),
            Some(verdict) => format!("BROKEN {}", verdict.broken.len()),
            None => String::new(),
        };
        table.add_row([Cell::new(invariant)].into_iter().chain(outcomes.iter().map(cell).map(right)));
    }
    table
}

fn plain(head: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(head.iter().map(|name| (*name).to_owned()));
    table
}

fn right(text: String) -> Cell {
    Cell::new(text).set_alignment(CellAlignment::Right)
}
