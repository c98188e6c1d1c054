//! What a replay came to, as it is printed. Pointers are told in the words of the schema, and nothing else of a document.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use assay_worker::replay::{CostEstimate, LiveSummary, RESULTS, ResultCounts, Results};
use serde::Serialize;

use super::candidate::Candidate;
use crate::output;

/// Places that are told of each result.
const MOST: usize = 5;

/// The end of a replay.
#[derive(Debug, Serialize)]
pub struct Summary {
    guest: Told,
    /// None where it was compared with what is stored.
    against: Option<Told>,
    folder: PathBuf,
    /// Jobs that are meant.
    pub jobs: u64,
    /// Files with a result, those of earlier runs included.
    files: u64,
    /// Of them, those of this run.
    files_of_this_run: u64,
    /// The whole run, loading included.
    seconds: f64,
    results: BTreeMap<&'static str, Count>,
    /// None where the model was not to be asked.
    pub live: Option<LiveSummary>,
}

/// A guest.
#[derive(Debug, Serialize)]
struct Told {
    prompt_version: String,
    schema_version: String,
    digest: String,
    origin: String,
}

/// A result.
#[derive(Debug, Serialize)]
struct Count {
    files: u64,
    /// Of them, those for which the model was asked afresh.
    live: u64,
    /// The most frequent pointers or codes, each with its files.
    most: Vec<(String, u64)>,
}

impl Summary {
    /// Of results, of which `before` are from earlier runs, without what only the caller knows.
    pub fn new(
        candidate: &Candidate,
        against: Option<&Candidate>,
        results: &Results,
        before: u64,
        elapsed: Duration,
    ) -> Self {
        let tally = results.counts();
        Self {
            guest: Told::of(candidate),
            against: against.map(Told::of),
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

impl Told {
    fn of(candidate: &Candidate) -> Self {
        let manifest = candidate.release.manifest();
        Self {
            prompt_version: manifest.prompt_version.clone(),
            schema_version: manifest.schema_version.clone(),
            digest: candidate.release.digest().to_owned(),
            origin: candidate.origin.clone(),
        }
    }

    fn words(&self) -> String {
        let digest = self.digest.get(..12).unwrap_or(&self.digest);
        format!("{} ({}, sha256:{digest}…)", output::plain(&self.origin), self.prompt_version)
    }
}

fn counts(tally: &ResultCounts) -> BTreeMap<&'static str, Count> {
    let told = tally.present();
    told.map(|(result, count)| (result, Count { files: count.files, live: count.live, most: count.top_places(MOST) }))
        .collect()
}

/// The same for a person.
pub fn text(summary: &Summary) -> String {
    let against = summary.against.as_ref().map_or_else(|| "what is stored".to_owned(), Told::words);
    let mut text = format!("{}, compared with {against}\n\n", summary.guest.words());
    if summary.files == 0 {
        return text + "No finished job is meant that has answers (RETAIN_ANSWERS, and the filters of the command).\n";
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

/// What is expected, before the first question.
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

/// What it came to.
fn bill(spent: LiveSummary) -> String {
    let LiveSummary { answers, unanswered, tokens, budget, budget_exhausted } = spent;
    let mut text = format!("\n{answers} answers were bought in this run; {tokens} of {budget} tokens are spent.\n");
    if unanswered > 0 {
        text += &format!(
            "{unanswered} files the model could not answer just then: the same command asks for them again.\n"
        );
    }
    if budget_exhausted {
        text +=
            "The budget ended it: the same command with a larger --budget-tokens goes on, and buys no answer twice.\n";
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary(results: &[(&'static str, Count)], files: u64) -> Summary {
        let guest = |version: &str, origin: &str| Told {
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
    fn a_replay_is_told_with_its_counts_and_the_most_frequent_places() {
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
        1 files the model could not answer just then: the same command asks for them again.
        The budget ended it: the same command with a larger --budget-tokens goes on, and buys no answer twice.
        ");
        let told = price(CostEstimate { files: 9, tokens: 7000 }, 5000);
        assert_eq!(
            told,
            "9 files ask other questions; asking the model afresh takes about 7000 tokens; the budget is 5000, and the run ends there"
        );
        let nothing = text(&summary(&[], 0));
        assert!(nothing.contains("No finished job is meant"), "{nothing}");
    }
}
