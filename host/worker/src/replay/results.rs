//! `results.jsonl`: the result of every file, under a header. The next run appends to it.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fs::DirBuilder,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, anyhow};
use assay_core::{ids::FileId, report_diff::Difference};

use crate::{
    guests::release::Release,
    replay::{
        detail::Detail,
        engine::{CaseResult, Evidence, ReplayedCase},
        header::ReplayHeader,
        lines::Lines,
        result_counts::ResultCounts,
        result_line::{RESULTS, ResultLine},
    },
};

/// Files of each result that are kept with their details, as the page shows them.
pub const MAX_DETAILED_FILES: usize = 50;

/// The results of a replay, on disk and counted.
#[derive(Debug)]
pub struct Results {
    folder: PathBuf,
    lines: Lines,
    release: Arc<Release>,
    index: ResultIndex,
}

/// The part of the lines that is held in memory.
#[derive(Debug, Default)]
struct ResultIndex {
    counts: ResultCounts,
    done: HashSet<FileId>,
    diverged: HashMap<FileId, ResultLine>,
    detailed: BTreeMap<&'static str, Vec<ResultLine>>,
}

impl Results {
    /// Opens the folder of a replay or makes it (0700), and reads what is there.
    ///
    /// # Errors
    /// When the folder cannot be used, or holds the results of another comparison.
    pub fn open(folder: &Path, header: &ReplayHeader, release: &Arc<Release>) -> anyhow::Result<Self> {
        let named = || format!("make the folder {}", folder.display());
        DirBuilder::new().recursive(true).mode(0o700).create(folder).with_context(named)?;
        let (mut index, mut first) = (ResultIndex::default(), None::<ReplayHeader>);
        let mut lines = Lines::open(&folder.join("results.jsonl"), |line, _| {
            if first.is_none() {
                let found: ReplayHeader =
                    serde_json::from_slice(line).map_err(|_| anyhow!("not a header of a replay"))?;
                found.check(header, folder)?;
                first = Some(found);
                return Ok(());
            }
            // Without the parser's error, which quotes the line.
            let line = serde_json::from_slice::<ResultLine>(line).ok();
            let line = line.filter(|line| RESULTS.contains(&line.result.as_str()));
            let line = line.context("not a result of a replay")?;
            index.add(line, |pointer| release.shown(pointer));
            Ok(())
        })?;
        if lines.is_empty() {
            lines.append(header)?;
        }
        Ok(Self { folder: folder.to_owned(), lines, release: release.clone(), index })
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Returns the counts of all runs.
    pub fn counts(&self) -> &ResultCounts {
        &self.index.counts
    }

    /// Returns the files with a line.
    pub fn done(&self) -> &HashSet<FileId> {
        &self.index.done
    }

    /// Returns the files whose guest asked a question without a stored answer, with their lines.
    pub fn diverged(&self) -> &HashMap<FileId, ResultLine> {
        &self.index.diverged
    }

    /// Returns the files of a result that are kept with their details.
    pub fn detailed(&self, result: &str) -> &[ResultLine] {
        self.index.detailed.get(result).map_or(&[], Vec::as_slice)
    }

    /// Writes the result of a case.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn record(&mut self, replayed: &ReplayedCase, live: bool, expected_tokens: Option<u64>) -> anyhow::Result<()> {
        let line = match &replayed.result {
            CaseResult::Skipped(code) => ResultLine::skipped(replayed.file, code),
            CaseResult::Compared(difference) => {
                let pointers =
                    if let Difference::Changed(pointers) = difference { pointers.clone() } else { Vec::new() };
                let code = if let Difference::Fault(code) = difference { Some(code.as_str().to_owned()) } else { None };
                let has_room = self.detailed(difference.as_str()).len() < MAX_DETAILED_FILES;
                let shown = has_room && !matches!(replayed.evidence, Evidence::None);
                let detail = shown.then(|| Detail::of(&replayed.evidence, &pointers));
                let guest_micros = micros(replayed.guest_time);
                let line = ResultLine::new(replayed.file, difference.as_str());
                ResultLine { pointers, code, guest_micros, live, expected_tokens, detail, ..line }
            }
        };
        self.append(line)
    }

    /// Writes a line.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn append(&mut self, line: ResultLine) -> anyhow::Result<()> {
        self.lines.append(&line)?;
        let release = &self.release;
        self.index.add(line, |pointer| release.shown(pointer));
        Ok(())
    }
}

impl ResultIndex {
    fn add(&mut self, mut line: ResultLine, shown: impl Fn(&str) -> String) {
        let file = line.file_id;
        if let Some(before) = self.diverged.remove(&file) {
            self.counts.remove(&before, &shown);
            if let Some(lines) = self.detailed.get_mut(Difference::Diverged.as_str()) {
                lines.retain(|line| line.file_id != file);
            }
        }
        self.counts.add(&line, &shown);
        self.done.insert(file);
        let result = RESULTS.into_iter().find(|known| *known == line.result);
        if let (Some(result), true) = (result, line.detail.is_some()) {
            let lines = self.detailed.entry(result).or_default();
            if lines.len() < MAX_DETAILED_FILES {
                lines.push(line.clone());
            }
        }
        if line.result == Difference::Diverged.as_str() {
            line.detail = None;
            self.diverged.insert(file, line);
        }
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn a_later_line_of_a_file_replaces_the_earlier() {
        let mut index = ResultIndex::default();
        let file = |number: u128| FileId(Uuid::from_u128(number));
        let detail = Some(Detail::default());
        for number in 0..2 {
            let diverged = ResultLine {
                expected_tokens: Some(7),
                detail: detail.clone(),
                ..ResultLine::new(file(number), "diverged")
            };
            index.add(diverged, str::to_owned);
        }
        assert_eq!((index.counts.of("diverged").files, index.detailed["diverged"].len()), (2, 2));
        index.add(ResultLine { live: true, detail, ..ResultLine::new(file(1), "newly_accepted") }, str::to_owned);
        assert_eq!((index.counts.files(), index.counts.of("diverged").files), (2, 1));
        assert_eq!(index.counts.of("newly_accepted").live, 1);
        assert_eq!(index.diverged.keys().collect::<Vec<_>>(), [&file(0)]);
        assert_eq!((index.detailed["diverged"].len(), index.detailed["newly_accepted"].len()), (1, 1));
    }

    #[test]
    fn only_the_first_files_of_each_result_keep_their_details() {
        let mut index = ResultIndex::default();
        for number in 0..2 * MAX_DETAILED_FILES as u128 {
            let line = ResultLine {
                detail: Some(Detail::default()),
                ..ResultLine::new(FileId(Uuid::from_u128(number)), "changed")
            };
            index.add(line, str::to_owned);
        }
        assert_eq!((index.detailed["changed"].len(), index.done.len()), (MAX_DETAILED_FILES, 2 * MAX_DETAILED_FILES));
    }
}
