//! `results.jsonl`: what every file came to. The first line says what was compared; the next run goes on behind the last.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fs::DirBuilder,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, anyhow, ensure};
use assay_core::{ids::FileId, report_diff::Difference};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    detail::Detail,
    engine::{Ended, Evidence, Replayed},
    lines::Lines,
    tally::{RESULTS, SKIPPED, Tally},
};
use crate::guests::Release;

/// Files of one result that are kept in full: what the page shows.
pub const IN_FULL: usize = 50;

/// The first line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// The format of this file.
    pub replay: u32,
    /// Digest of the guest that is tried.
    pub guest: String,
    /// Its prompt version.
    pub prompt_version: String,
    /// Digest of the guest that it is compared with; none where that is what is stored.
    pub against: Option<String>,
    /// Which files were meant, at the first run.
    pub selection: Value,
}

/// The format that this binary writes.
pub const FORMAT: u32 = 1;

/// A file's line. The last one of a file holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Line {
    /// The file.
    pub file_id: FileId,
    /// One of [`RESULTS`].
    pub result: String,
    /// Where the reports differ, RFC 6901. Content: keys of a document may be.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pointers: Vec<String>,
    /// Of a fault, or why a file was skipped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// Time in the sandbox.
    #[serde(default)]
    pub guest_micros: u64,
    /// Whether the model was asked afresh.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub live: bool,
    /// Of a file that diverged: the tokens that asking afresh is expected to take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_tokens: Option<u64>,
    /// For the first files of each result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<Detail>,
}

impl Line {
    /// A line without anything to tell.
    pub fn new(file: FileId, result: &str) -> Self {
        Self {
            file_id: file,
            result: result.to_owned(),
            pointers: Vec::new(),
            code: None,
            guest_micros: 0,
            live: false,
            expected_tokens: None,
            detail: None,
        }
    }

    /// The line of a file that was not run.
    pub fn skipped(file: FileId, code: &str) -> Self {
        Self { code: Some(code.to_owned()), ..Self::new(file, SKIPPED) }
    }
}

/// The results of a replay, on disk and counted.
#[derive(Debug)]
pub struct Results {
    folder: PathBuf,
    lines: Lines,
    release: Arc<Release>,
    kept: Kept,
}

/// What is held in memory of the lines.
#[derive(Debug, Default)]
struct Kept {
    tally: Tally,
    done: HashSet<FileId>,
    diverged: HashMap<FileId, Line>,
    in_full: BTreeMap<&'static str, Vec<Line>>,
}

impl Results {
    /// Opens the folder of a replay or makes it (0700), and reads what is there.
    ///
    /// # Errors
    /// The folder cannot be used, or holds the results of another comparison.
    pub fn open(folder: &Path, header: &Header, release: &Arc<Release>) -> anyhow::Result<Self> {
        let named = || format!("make the folder {}", folder.display());
        DirBuilder::new().recursive(true).mode(0o700).create(folder).with_context(named)?;
        let (mut kept, mut first) = (Kept::default(), None::<Header>);
        let mut lines = Lines::open(&folder.join("results.jsonl"), |line, _| {
            if first.is_none() {
                let found: Header = serde_json::from_slice(line).map_err(|_| anyhow!("it is no header of a replay"))?;
                found.check(header, folder)?;
                first = Some(found);
                return Ok(());
            }
            // Without the parser's words, which quote the line.
            let line = serde_json::from_slice::<Line>(line).ok();
            let line = line.filter(|line| RESULTS.contains(&line.result.as_str()));
            let line = line.context("it is no result of a replay")?;
            kept.add(line, |pointer| release.shown(pointer));
            Ok(())
        })?;
        if lines.is_empty() {
            lines.append(header)?;
        }
        Ok(Self { folder: folder.to_owned(), lines, release: release.clone(), kept })
    }

    /// Where they are.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Counts of all runs.
    pub fn tally(&self) -> &Tally {
        &self.kept.tally
    }

    /// Files that have a line.
    pub fn done(&self) -> &HashSet<FileId> {
        &self.kept.done
    }

    /// Files that ask what nobody has answered, with their lines.
    pub fn diverged(&self) -> &HashMap<FileId, Line> {
        &self.kept.diverged
    }

    /// The files that are shown in full, by result.
    pub fn in_full(&self, result: &str) -> &[Line] {
        self.kept.in_full.get(result).map_or(&[], Vec::as_slice)
    }

    /// Keeps what a case came to.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn record(&mut self, replayed: &Replayed, live: bool, expected_tokens: Option<u64>) -> anyhow::Result<()> {
        let line = match &replayed.ended {
            Ended::Skipped(code) => Line::skipped(replayed.file, code),
            Ended::Compared(difference) => {
                let pointers =
                    if let Difference::Changed(pointers) = difference { pointers.clone() } else { Vec::new() };
                let code = if let Difference::Fault(code) = difference { Some(code.as_str().to_owned()) } else { None };
                let room = self.in_full(difference.as_str()).len() < IN_FULL;
                let shown = room && !matches!(replayed.evidence, Evidence::None);
                let detail = shown.then(|| Detail::of(&replayed.evidence, &pointers));
                let guest_micros = micros(replayed.guest_time);
                let line = Line::new(replayed.file, difference.as_str());
                Line { pointers, code, guest_micros, live, expected_tokens, detail, ..line }
            }
        };
        self.keep(line)
    }

    /// Keeps a line.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn keep(&mut self, line: Line) -> anyhow::Result<()> {
        self.lines.append(&line)?;
        let release = &self.release;
        self.kept.add(line, |pointer| release.shown(pointer));
        Ok(())
    }
}

impl Kept {
    fn add(&mut self, mut line: Line, shown: impl Fn(&str) -> String) {
        let file = line.file_id;
        if let Some(before) = self.diverged.remove(&file) {
            self.tally.remove(&before, &shown);
            if let Some(lines) = self.in_full.get_mut(Difference::Diverged.as_str()) {
                lines.retain(|line| line.file_id != file);
            }
        }
        self.tally.add(&line, &shown);
        self.done.insert(file);
        let result = RESULTS.into_iter().find(|known| *known == line.result);
        if let (Some(result), true) = (result, line.detail.is_some()) {
            let lines = self.in_full.entry(result).or_default();
            if lines.len() < IN_FULL {
                lines.push(line.clone());
            }
        }
        if line.result == Difference::Diverged.as_str() {
            line.detail = None;
            self.diverged.insert(file, line);
        }
    }
}

impl Header {
    /// Whether the results of a folder are of the comparison that is asked for.
    fn check(&self, wanted: &Self, folder: &Path) -> anyhow::Result<()> {
        let folder = folder.display();
        let cure = "name another folder with --out, or delete this one";
        ensure!(self.replay == wanted.replay, "{folder} was written by another version of assay; {cure}");
        ensure!(
            self.guest == wanted.guest,
            "{folder} has the results of another guest, {} (sha256:{}); {cure}",
            self.prompt_version,
            self.guest.get(..12).unwrap_or(&self.guest)
        );
        let told = |against: &Option<String>| {
            let digest = against.as_deref().map(|digest| digest.get(..12).unwrap_or(digest));
            digest.map_or_else(|| "what is stored".to_owned(), |digest| format!("the release sha256:{digest}"))
        };
        ensure!(
            self.against == wanted.against,
            "{folder} has a comparison with {}, not with {}; {cure}",
            told(&self.against),
            told(&wanted.against)
        );
        Ok(())
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn header(guest: &str, against: Option<&str>) -> Header {
        Header {
            replay: FORMAT,
            guest: guest.repeat(64),
            prompt_version: "minutes-v2".to_owned(),
            against: against.map(|digest| digest.repeat(64)),
            selection: Value::Null,
        }
    }

    #[test]
    fn results_of_another_comparison_are_refused_with_the_cure() {
        let check =
            |found: &Header, wanted: &Header| found.check(wanted, Path::new("out")).map_err(|error| error.to_string());
        let found = header("a", None);
        assert_eq!(check(&found, &found.clone()), Ok(()));
        let other_files = Header { selection: serde_json::json!({"limit": 5}), ..header("a", None) };
        assert_eq!(check(&found, &other_files), Ok(()), "more files of the same comparison");
        let told = check(&found, &header("b", None)).unwrap_err();
        assert_eq!(
            told,
            "out has the results of another guest, minutes-v2 (sha256:aaaaaaaaaaaa); name another folder with --out, or delete this one"
        );
        let told = check(&found, &header("a", Some("c"))).unwrap_err();
        assert!(told.contains("with what is stored, not with the release sha256:cccccccccccc"), "{told}");
        assert!(check(&Header { replay: 7, ..found.clone() }, &found).unwrap_err().contains("another version"));
    }

    #[test]
    fn the_last_line_of_a_file_holds() {
        let mut kept = Kept::default();
        let file = |number: u128| FileId(Uuid::from_u128(number));
        let detail = Some(Detail::default());
        for number in 0..2 {
            let diverged =
                Line { expected_tokens: Some(7), detail: detail.clone(), ..Line::new(file(number), "diverged") };
            kept.add(diverged, str::to_owned);
        }
        assert_eq!((kept.tally.of("diverged").files, kept.in_full["diverged"].len()), (2, 2));
        kept.add(Line { live: true, detail, ..Line::new(file(1), "newly_accepted") }, str::to_owned);
        assert_eq!((kept.tally.files(), kept.tally.of("diverged").files), (2, 1));
        assert_eq!(kept.tally.of("newly_accepted").live, 1);
        assert_eq!(kept.diverged.keys().collect::<Vec<_>>(), [&file(0)]);
        assert_eq!((kept.in_full["diverged"].len(), kept.in_full["newly_accepted"].len()), (1, 1));
    }

    #[test]
    fn of_each_result_only_the_first_files_are_kept_in_full() {
        let mut kept = Kept::default();
        for number in 0..2 * IN_FULL as u128 {
            let line =
                Line { detail: Some(Detail::default()), ..Line::new(FileId(Uuid::from_u128(number)), "changed") };
            kept.add(line, str::to_owned);
        }
        assert_eq!((kept.in_full["changed"].len(), kept.done.len()), (IN_FULL, 2 * IN_FULL));
    }

    #[test]
    fn a_line_that_tells_little_is_short() {
        let line = serde_json::to_string(&Line::new(FileId(Uuid::nil()), "same")).unwrap();
        assert_eq!(line, r#"{"file_id":"00000000-0000-0000-0000-000000000000","result":"same","guest_micros":0}"#);
        assert_eq!(serde_json::from_str::<Line>(&line).unwrap(), Line::new(FileId(Uuid::nil()), "same"));
    }
}
