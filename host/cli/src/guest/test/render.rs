//! Results of fixtures as text, in the style of `cargo test`.

use crate::{
    guest::test::fixture_result::{Cost, FixtureEnding, FixtureResult, Results},
    output::plain,
};

pub fn text(results: &Results, colours: bool) -> String {
    let paint = Paint { colours };
    let count = results.fixtures.len();
    let mut text = format!("\nrunning {count} fixture{} of {}\n", plural(count), plain(&results.guest));
    for outcome in &results.fixtures {
        text.push_str(&line(outcome, &paint));
    }
    for outcome in &results.fixtures {
        text.push_str(&details(outcome, &results.toolchain, &paint));
    }
    let passed = results.fixtures.iter().filter(|outcome| outcome.ending.ok()).count();
    let verdict = if results.ok { paint.green("ok") } else { paint.red("FAILED") };
    let (failed, filtered_out, seconds) = (count - passed, results.filtered_out, results.seconds);
    text.push_str(&format!(
        "\nfixture result: {verdict}. {passed} passed; {failed} failed; {filtered_out} filtered out; finished in {seconds:.2}s\n"
    ));
    text
}

fn line(outcome: &FixtureResult, paint: &Paint) -> String {
    let ending = match &outcome.ending {
        FixtureEnding::Passed => paint.green("ok"),
        FixtureEnding::Accepted { .. } | FixtureEnding::FuelAccepted { .. } => paint.yellow("accepted"),
        FixtureEnding::Unexpected { .. } | FixtureEnding::TooMuchFuel | FixtureEnding::Trouble { .. } => {
            paint.red("FAILED")
        }
    };
    let cost = outcome.cost.as_ref().map(cost).unwrap_or_default();
    format!("fixture {} ... {ending}{cost}\n", plain(&outcome.name))
}

fn cost(cost: &Cost) -> String {
    let Cost { fuel, peak_memory, calls, .. } = cost;
    let mebibytes = *peak_memory as f64 / f64::from(1 << 20);
    format!(" ({calls} call{}, fuel {}, {mebibytes:.1} MiB)", plural(*calls), thousands(*fuel))
}

/// Returns the details of a fixture below its line, and what to do.
fn details(outcome: &FixtureResult, toolchain: &str, paint: &Paint) -> String {
    let body = match &outcome.ending {
        FixtureEnding::Passed => return String::new(),
        FixtureEnding::Trouble { message } => format!("{}\n", plain(message)),
        FixtureEnding::Accepted { diff } => paint.diff(diff),
        FixtureEnding::Unexpected { diff, new } => {
            let problem = if *new { "it has no expected step yet" } else { "the step is not the expected one" };
            format!("{}{problem}; is it right? `assay guest test --accept`\n", paint.diff(diff))
        }
        FixtureEnding::FuelAccepted { before } => {
            let before = before.map_or_else(|| "none".to_owned(), thousands);
            format!("fuel budget for {toolchain}: from {before} to {}\n", fuel(outcome, |cost| Some(cost.fuel)))
        }
        FixtureEnding::TooMuchFuel => format!(
            "fuel {}, over a tenth above the budget of {} for {toolchain}; is it worth it? `assay guest test --accept`\n",
            fuel(outcome, |cost| Some(cost.fuel)),
            fuel(outcome, |cost| cost.fuel_budget)
        ),
    };
    format!("\n---- {} ----\n{body}", plain(&outcome.name))
}

fn fuel(outcome: &FixtureResult, of: impl Fn(&Cost) -> Option<u64>) -> String {
    outcome.cost.as_ref().and_then(of).map(thousands).unwrap_or_default()
}

fn plural(count: usize) -> &'static str {
    if count == 1 { "" } else { "s" }
}

/// Returns 1234567 as 1,234,567.
fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let groups: Vec<&str> =
        digits.as_bytes().rchunks(3).rev().map(|group| str::from_utf8(group).unwrap_or("")).collect();
    groups.join(",")
}

struct Paint {
    colours: bool,
}

impl Paint {
    fn paint(&self, code: &str, text: &str) -> String {
        if self.colours { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }

    fn green(&self, text: &str) -> String {
        self.paint("32", text)
    }

    fn yellow(&self, text: &str) -> String {
        self.paint("33", text)
    }

    fn red(&self, text: &str) -> String {
        self.paint("31", text)
    }

    fn diff(&self, diff: &str) -> String {
        let lines = diff.lines().map(|line| {
            let shown = plain(line);
            match line.as_bytes().first() {
                Some(b'+') => self.green(&shown),
                Some(b'-') => self.red(&shown),
                _ => shown,
            }
        });
        lines.collect::<Vec<_>>().join("\n") + "\n"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(name: &str, ending: FixtureEnding) -> FixtureResult {
        let cost =
            Cost { fuel: 1_234_567, fuel_budget: Some(1_000_000), peak_memory: 3 << 20, seconds: 0.01, calls: 2 };
        FixtureResult { name: name.into(), ending, cost: Some(cost) }
    }

    #[test]
    fn results_look_like_those_of_cargo() {
        let diff = "--- expected\n+++ actual\n@@ -1 +1 @@\n-1\n+2\n".to_owned();
        let fixtures = vec![
            outcome("asks", FixtureEnding::Passed),
            outcome("changed", FixtureEnding::Unexpected { diff: diff.clone(), new: false }),
            outcome("new", FixtureEnding::Unexpected { diff: diff.clone(), new: true }),
            outcome("accepted", FixtureEnding::Accepted { diff }),
            outcome("slow", FixtureEnding::TooMuchFuel),
            outcome("faster", FixtureEnding::FuelAccepted { before: Some(2_000_000) }),
            FixtureResult {
                name: "broken".into(),
                ending: FixtureEnding::Trouble { message: "call 1: run the guest: it exceeded its time limit".into() },
                cost: None,
            },
        ];
        let results = Results {
            ok: false,
            guest: "minutes-v1".into(),
            digest: "0".repeat(64),
            toolchain: "rustc 1.95.0".into(),
            filtered_out: 1,
            fixtures,
            seconds: 1.5,
        };
        insta::assert_snapshot!("guest_test", text(&results, false));
        insta::assert_json_snapshot!("guest_test_json", results);
        insta::assert_snapshot!("guest_test_junit", crate::guest::test::junit::xml(&results).unwrap());
        assert!(text(&results, true).contains("\u{1b}[31m-1\u{1b}[0m"));
    }

    #[test]
    fn thousands_are_separated() {
        assert_eq!([0, 999, 1000, 1_234_567].map(thousands), ["0", "999", "1,000", "1,234,567"]);
    }
}
