//! Counts of files by result, and of the places where reports differ.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::replay::result_line::{RESULTS, ResultLine};

/// Places counted of one result; a schema without names could have any number.
const MAX_PLACES: usize = 2000;

/// The count of one result.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ResultCount {
    pub files: u64,
    /// Files for which the model was asked for new answers.
    pub live: u64,
    /// Files by place: by pointer in words of the schema, or by code for faults and skipped files.
    #[serde(skip)]
    pub places: BTreeMap<String, u64>,
}

/// Counts of files by result.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResultCounts(BTreeMap<&'static str, ResultCount>);

impl ResultCounts {
    /// Counts a file. `shown` makes a pointer that may leave the folder.
    pub fn add(&mut self, line: &ResultLine, shown: impl Fn(&str) -> String) {
        let Some(count) = self.of_mut(&line.result) else { return };
        count.files += 1;
        count.live += u64::from(line.live);
        for place in places(line, shown) {
            if count.places.len() < MAX_PLACES || count.places.contains_key(&place) {
                *count.places.entry(place).or_default() += 1;
            }
        }
    }

    /// Uncounts a file that has another result now.
    pub fn remove(&mut self, line: &ResultLine, shown: impl Fn(&str) -> String) {
        let Some(count) = self.of_mut(&line.result) else { return };
        count.files = count.files.saturating_sub(1);
        count.live = count.live.saturating_sub(u64::from(line.live));
        for place in places(line, shown) {
            if let Some(files) = count.places.get_mut(&place) {
                *files = files.saturating_sub(1);
            }
        }
    }

    /// Returns the number of files with a result.
    pub fn files(&self) -> u64 {
        self.0.values().map(|count| count.files).sum()
    }

    /// Returns the count of one result.
    pub fn of(&self, result: &str) -> ResultCount {
        self.0.get(result).cloned().unwrap_or_default()
    }

    /// Returns every result that a file has, in the order of [`RESULTS`].
    pub fn present(&self) -> impl Iterator<Item = (&'static str, &ResultCount)> {
        let of = |result: &'static str| self.0.get(result).map(|count| (result, count));
        RESULTS.into_iter().filter_map(of).filter(|(_, count)| count.files > 0)
    }

    fn of_mut(&mut self, result: &str) -> Option<&mut ResultCount> {
        let result = RESULTS.into_iter().find(|known| *known == result)?;
        Some(self.0.entry(result).or_default())
    }
}

impl ResultCount {
    /// Returns the most frequent places, each with its files.
    pub fn top_places(&self, places: usize) -> Vec<(String, u64)> {
        let mut most: Vec<_> = self.places.iter().filter(|(_, files)| **files > 0).collect();
        most.sort_by_key(|(place, files)| (std::cmp::Reverse(**files), place.as_str()));
        most.into_iter().take(places).map(|(place, files)| (place.clone(), *files)).collect()
    }
}

/// Returns each place of a line once: many pointers of a file lie in one list.
fn places(line: &ResultLine, shown: impl Fn(&str) -> String) -> BTreeSet<String> {
    line.pointers.iter().map(|pointer| shown(pointer)).chain(line.code.clone()).collect()
}

#[cfg(test)]
mod tests {
    use assay_core::ids::FileId;
    use uuid::Uuid;

    use super::*;

    fn line(result: &str, pointers: &[&str]) -> ResultLine {
        let pointers = pointers.iter().map(|pointer| (*pointer).to_owned()).collect();
        ResultLine { pointers, ..ResultLine::new(FileId(Uuid::nil()), result) }
    }

    #[test]
    fn places_are_counted_once_per_file_and_sorted_by_files() {
        let shown = |pointer: &str| pointer.replace(char::is_numeric, "*");
        let mut counts = ResultCounts::default();
        counts.add(&line("changed", &["/steps/0/due", "/steps/1/due", "/title"]), shown);
        counts.add(&line("changed", &["/steps/4/due"]), shown);
        counts.add(&line("same", &[]), shown);
        assert_eq!(counts.files(), 3);
        let present: Vec<_> =
            counts.present().map(|(result, count)| (result, count.files, count.top_places(1))).collect();
        assert_eq!(present, [("same", 1, vec![]), ("changed", 2, vec![("/steps/*/due".to_owned(), 2)])]);
    }

    #[test]
    fn a_file_with_another_result_is_counted_once() {
        let mut counts = ResultCounts::default();
        let before = line("diverged", &[]);
        counts.add(&before, str::to_owned);
        counts.remove(&before, str::to_owned);
        counts.add(&ResultLine { live: true, ..line("same", &[]) }, str::to_owned);
        let present: Vec<_> = counts.present().map(|(result, count)| (result, count.files, count.live)).collect();
        assert_eq!(present, [("same", 1, 1)]);
    }
}
