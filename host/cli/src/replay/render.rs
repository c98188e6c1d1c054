//! The result of a replay as JSON and as text. Content: pointers name properties of the schema; nothing else comes from a document.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use assay_worker::replay::{CostEstimate, LiveSummary, RESULTS, ResultCounts, Results};
use serde::Serialize;

use crate::{output, replay::guest_loader::Candidate};

/// For each result.
const MAX_SHOWN_POINTERS: usize = 5;

#[derive(Debug, Serialize)]
pub struct Summary {
    guest: GuestView,
    /// `None` if it was compared with the stored reports.
    against: Option<GuestView>,
    folder: PathBuf,
    /// Selected jobs.
    pub jobs: u64,
    /// Files with a result, also from earlier runs.
    files: u64,
    files_of_this_run: u64,
    /// With loading.
    seconds: f64,
    results: BTreeMap<&'static str, Count>,
    /// `None` if the model was not to be asked.
    pub live: Option<LiveSummary>,
}

#[derive(Debug, Serialize)]
struct GuestView {
    prompt_version: String,
    schema_version: String,
    digest: String,
    origin: String,
}

#[derive(Debug, Serialize)]
struct Count {
    files: u64,
    /// Files for which the model was asked.
    live: u64,
    /// The most frequent pointers or codes, each with its files.
    most: Vec<(String, u64)>,
}

impl Summary {
    /// Summarizes the results; `before` of them are from earlier runs. The caller sets `jobs` and `live`.
    pub fn new(
        candidate: &Candidate,
        against: Option<&Candidate>,
        results: &Results,
        before: u64,
        elapsed: Duration,
    ) -> Self {
        let tally = results.counts();
        Self {
            guest: GuestView::of(candidate),
            against: against.map(GuestView::of),
            folder: results.folder().to_owned(),
            files: tally.files(),
            files_of_this_run: tally.files().saturating_sub(before),
            seconds: elapsed.as_secs_f64(),
            results: counts(tally),
            jobs: 0,
            live: None,
        }
    }
}

impl GuestView {
    fn of(candidate: &Candidate) -> Self {
        let manifest = candidate.release.manifest();
        Self {
            prompt_version: manifest.prompt_version.clone(),
            schema_version: manifest.schema_version.clone(),
            digest: candidate.release.digest().to_owned(),
            origin: candidate.origin.clone(),
        }
    }

    fn text(&self) -> String {
        let digest = self.digest.get(..12).unwrap_or(&self.digest);
        format!("{} ({}, sha256:{digest}…)", output::plain(&self.origin), self.prompt_version)
    }
}

fn counts(tally: &ResultCounts) -> BTreeMap<&'static str, Count> {
    let results = tally.present();
    results
        .map(|(result, count)| {
            (result, Count { files: count.files, live: count.live, most: count.top_places(MAX_SHOWN_POINTERS) })
        })
        .collect()
}

pub fn text(summary: &Summary) -> String {
    let against = summary.against.as_ref().map_or_else(|| "what is stored".to_owned(), GuestView::text);
    let mut text = format!("{}, compared with {against}\n\n", summary.guest.text());
    if summary.files == 0 {
        return text + "No selected job has stored answers (see RETAIN_ANSWERS and the filters of the command).\n";
    }
    let of = |result: &&str| summary.results.get_key_value(*result);
    let rows = RESULTS.iter().filter_map(of).map(|(result, count)| {
        let percent = 100.0 * count.files as f64 / summary.files as f64;
        let live = if count.live > 0 { format!(", {} live", count.live) } else { String::new() };
        let most = count.most.iter().map(|(place, files)| format!("{} ({files})", output::plain(place)));
        vec![
            result.replace('_', " "),
            format!("{} ({percent:.1} %){live}", count.files),
            most.collect::<Vec<_>>().join(", "),
        ]
    });
    text += &output::table(&["RESULT", "FILES", "MOST OFTEN"], rows.collect(), &[]);
    let Summary { files, files_of_this_run, seconds, folder, .. } = summary;
    let earlier = files - files_of_this_run;
    let before = if earlier > 0 { format!("; {earlier} are of earlier runs") } else { String::new() };
    let folder = output::plain(&folder.display().to_string());
    text += &format!(
        "\n{files_of_this_run} files in {seconds:.1} s{before}
{folder}/index.html shows the differences, {folder}/results.jsonl has a line for each file.
They hold content of documents: keep the folder as you keep the documents.\n"
    );
    text += &summary.live.map(bill).unwrap_or_default();
    text
}

/// Returns the expected price, to print before the first question.
pub fn price(price: CostEstimate, budget: u64) -> String {
    let CostEstimate { files, tokens } = price;
    let mut text = format!(
        "{files} files ask other questions; asking the model afresh takes about {tokens} tokens; the budget is {budget}"
    );
    if tokens > budget {
        text += ", and the run ends there";
    }
    text
}

fn bill(spent: LiveSummary) -> String {
    let LiveSummary { answers, unanswered, tokens, budget, budget_exhausted } = spent;
    let mut text = format!("\n{answers} answers were bought in this run; {tokens} of {budget} tokens are spent.\n");
    if unanswered > 0 {
        text += &format!("{unanswered} files got no answer from the model; the same command asks again.\n");
    }
    if budget_exhausted {
        text += "The budget is spent; the same command with a larger --budget-tokens continues, and buys no answer twice.\n";
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary(results: &[(&'static str, Count)], files: u64) -> Summary {
        let guest = |version: &str, origin: &str| GuestView {
            prompt_version: version.to_owned(),
            schema_version: "minutes.v1".to_owned(),
            digest: "0123456789abcdef".repeat(4),
            origin: origin.to_owned(),
        };
        let copy = |(result, count): &(&'static str, Count)| {
            (*result, Count { files: count.files, live: count.live, most: count.most.clone() })
        };
        Summary {
            guest: guest("minutes-v3", "./minutes-v3"),
            against: Some(guest("minutes-v2", "release minutes-v2@1")),
            folder: PathBuf::from("replay-minutes-v3-01234567"),
            files,
            files_of_this_run: files.min(90),
            seconds: 1.25,
            results: results.iter().map(copy).collect(),
            jobs: files,
            live: None,
        }
    }

    #[test]
    fn a_replay_is_shown_with_its_counts_and_most_frequent_pointers() {
        let count = |files, live, most: &[(&str, u64)]| Count {
            files,
            live,
            most: most.iter().map(|(place, files)| ((*place).to_owned(), *files)).collect(),
        };
        let results = [
            ("same", count(90, 0, &[])),
            ("changed", count(8, 2, &[("/next_steps/*/owner", 7), ("/summary", 3)])),
            ("fault", count(1, 0, &[("guest_trap", 1)])),
            ("skipped", count(1, 0, &[("transcript_not_found", 1)])),
        ];
        insta::assert_snapshot!(text(&summary(&results, 100)));
        let spent = LiveSummary { answers: 3, unanswered: 1, tokens: 4800, budget: 5000, budget_exhausted: true };
        insta::assert_snapshot!(bill(spent), @r"
        3 answers were bought in this run; 4800 of 5000 tokens are spent.
        1 files got no answer from the model; the same command asks again.
        The budget is spent; the same command with a larger --budget-tokens continues, and buys no answer twice.
        ");
        let expected = price(CostEstimate { files: 9, tokens: 7000 }, 5000);
        assert_eq!(
            expected,
            "9 files ask other questions; asking the model afresh takes about 7000 tokens; the budget is 5000, and the run ends there"
        );
        let nothing = text(&summary(&[], 0));
        assert!(nothing.contains("No selected job has stored answers"), "{nothing}");
    }
}
