//! How many files came to what, and where the reports of the changed ones differ.

use std::collections::{BTreeMap, BTreeSet};

use assay_core::report_diff::Difference;
use serde::Serialize;

use super::results::Line;

/// Every result, in the order in which they are told.
pub const RESULTS: [&str; 7] = {
    let [same, changed, accepted, rejected, diverged, fault] = Difference::NAMES;
    [same, changed, accepted, rejected, diverged, fault, SKIPPED]
};

/// The result of a file that there is nothing to compare of.
pub const SKIPPED: &str = "skipped";

/// Places of one result that are counted; a schema without names could have any number.
const PLACES: usize = 2000;

/// The count of one result.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Count {
    /// Files.
    pub files: u64,
    /// Of them, those for which the model was asked afresh.
    pub live: u64,
    /// Pointers in the schema's words or, for faults and skipped files, codes; each with its files.
    #[serde(skip)]
    pub places: BTreeMap<String, u64>,
}

/// Counts by result.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally(BTreeMap<&'static str, Count>);

impl Tally {
    /// Counts a file. `shown` makes a pointer into one that may leave the folder.
    pub fn add(&mut self, line: &Line, shown: impl Fn(&str) -> String) {
        let Some(count) = self.of_mut(&line.result) else { return };
        count.files += 1;
        count.live += u64::from(line.live);
        for place in places(line, shown) {
            if count.places.len() < PLACES || count.places.contains_key(&place) {
                *count.places.entry(place).or_default() += 1;
            }
        }
    }

    /// Takes a file back that has another result now.
    pub fn remove(&mut self, line: &Line, shown: impl Fn(&str) -> String) {
        let Some(count) = self.of_mut(&line.result) else { return };
        count.files = count.files.saturating_sub(1);
        count.live = count.live.saturating_sub(u64::from(line.live));
        for place in places(line, shown) {
            if let Some(files) = count.places.get_mut(&place) {
                *files = files.saturating_sub(1);
            }
        }
    }

    /// Files with a result.
    pub fn files(&self) -> u64 {
        self.0.values().map(|count| count.files).sum()
    }

    /// The count of one result.
    pub fn of(&self, result: &str) -> Count {
        self.0.get(result).cloned().unwrap_or_default()
    }

    /// Every result that a file had, in the order in which they are told.
    pub fn told(&self) -> impl Iterator<Item = (&'static str, &Count)> {
        let of = |result: &'static str| self.0.get(result).map(|count| (result, count));
        RESULTS.into_iter().filter_map(of).filter(|(_, count)| count.files > 0)
    }

    fn of_mut(&mut self, result: &str) -> Option<&mut Count> {
        let result = RESULTS.into_iter().find(|known| *known == result)?;
        Some(self.0.entry(result).or_default())
    }
}

impl Count {
    /// The most frequent places, each with its files.
    pub fn most(&self, places: usize) -> Vec<(String, u64)> {
        let mut most: Vec<_> = self.places.iter().filter(|(_, files)| **files > 0).collect();
        most.sort_by_key(|(place, files)| (std::cmp::Reverse(**files), place.as_str()));
        most.into_iter().take(places).map(|(place, files)| (place.clone(), *files)).collect()
    }
}

/// Each place once: many pointers of a file lie in one list.
fn places(line: &Line, shown: impl Fn(&str) -> String) -> BTreeSet<String> {
    line.pointers.iter().map(|pointer| shown(pointer)).chain(line.code.clone()).collect()
}

#[cfg(test)]
mod tests {
    use assay_core::ids::FileId;
    use uuid::Uuid;

    use super::*;

    fn line(result: &str, pointers: &[&str]) -> Line {
        let pointers = pointers.iter().map(|pointer| (*pointer).to_owned()).collect();
        Line { pointers, ..Line::new(FileId(Uuid::nil()), result) }
    }

    #[test]
    fn places_are_counted_once_per_file_and_the_most_frequent_told_first() {
        let shown = |pointer: &str| pointer.replace(char::is_numeric, "*");
        let mut tally = Tally::default();
        tally.add(&line("changed", &["/steps/0/due", "/steps/1/due", "/title"]), shown);
        tally.add(&line("changed", &["/steps/4/due"]), shown);
        tally.add(&line("same", &[]), shown);
        assert_eq!(tally.files(), 3);
        let told: Vec<_> = tally.told().map(|(result, count)| (result, count.files, count.most(1))).collect();
        assert_eq!(told, [("same", 1, vec![]), ("changed", 2, vec![("/steps/*/due".to_owned(), 2)])]);
    }

    #[test]
    fn a_file_with_another_result_is_counted_once() {
        let mut tally = Tally::default();
        let before = line("diverged", &[]);
        tally.add(&before, str::to_owned);
        tally.remove(&before, str::to_owned);
        tally.add(&Line { live: true, ..line("same", &[]) }, str::to_owned);
        let told: Vec<_> = tally.told().map(|(result, count)| (result, count.files, count.live)).collect();
        assert_eq!(told, [("same", 1, 1)]);
    }
}
