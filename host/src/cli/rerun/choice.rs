//! The files that a rerun is for: named one by one, or selected; a bounded number of them at a time.

use std::{collections::HashSet, io::BufRead, str::FromStr};

use anyhow::{Context, ensure};
use time::OffsetDateTime;

use crate::{
    cli::output,
    db::{
        Database,
        rerun::{Candidate, Selection},
    },
    job::FileId,
};

/// Files named one by one are held in memory: 16 MB of ids.
const MOST_IDS: usize = 1_000_000;
/// Files of one statement.
const BATCH: usize = 500;

/// A file as the command line names it.
#[derive(Clone, Copy, Debug)]
pub(super) enum Named {
    File(FileId),
    /// `-`: one id per line of standard input.
    StandardInput,
}

impl FromStr for Named {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "-" { Ok(Self::StandardInput) } else { text.parse().map(Self::File) }
    }
}

/// The files of a rerun.
#[derive(Debug)]
pub(super) enum Choice {
    /// These, each once.
    Files(Vec<FileId>),
    /// All that are like this.
    Selected(Selection),
}

impl Choice {
    /// The named files, each once, in the order named. Nothing is changed before all of them are read.
    pub(super) fn read(named: &[Named], mut input: impl BufRead) -> anyhow::Result<Self> {
        let mut seen = HashSet::new();
        let mut files = Vec::new();
        let mut add = |file: FileId| {
            if seen.insert(file) {
                files.push(file);
            }
            ensure!(
                files.len() <= MOST_IDS,
                "more than {MOST_IDS} files are named; rerun them in parts, or select them"
            );
            Ok(())
        };
        for one in named {
            match one {
                Named::File(file) => add(*file)?,
                Named::StandardInput => {
                    for (number, line) in input.by_ref().lines().enumerate() {
                        let line = line.context("read ids from standard input")?;
                        let text = line.trim();
                        if !text.is_empty() {
                            let place = || {
                                format!(
                                    "line {} of standard input: {:?} is no file's id",
                                    number + 1,
                                    output::plain(text)
                                )
                            };
                            add(text.parse().with_context(place)?)?;
                        }
                    }
                }
            }
        }
        Ok(Self::Files(files))
    }

    /// Walks through the files from the beginning.
    pub(super) fn walk(&self, began: OffsetDateTime) -> Walk<'_> {
        Walk { choice: self, began, at: 0, after: None, found: Vec::new() }
    }
}

/// A way through the files, some at a time.
#[derive(Debug)]
pub(super) struct Walk<'a> {
    choice: &'a Choice,
    began: OffsetDateTime,
    /// Named files that were handed out.
    at: usize,
    /// The last file that was looked at.
    after: Option<FileId>,
    /// Selected files that were not handed out yet.
    found: Vec<Candidate>,
}

impl Walk<'_> {
    /// The next files, few enough for one statement; nothing at the end.
    pub(super) async fn next(&mut self, database: &Database) -> anyhow::Result<Vec<Candidate>> {
        match self.choice {
            Choice::Files(files) => {
                let batch = &files[self.at..files.len().min(self.at + BATCH)];
                self.at += batch.len();
                database.candidates(batch, self.began).await.context("look at the files")
            }
            Choice::Selected(selection) => {
                while self.found.is_empty() {
                    let page = database.select_for_rerun(selection, self.began, self.after).await;
                    let page = page.context("look for the files")?;
                    let Some(last) = page.last else { return Ok(Vec::new()) };
                    (self.after, self.found) = (Some(last), page.files);
                }
                let rest = self.found.split_off(self.found.len().min(BATCH));
                Ok(std::mem::replace(&mut self.found, rest))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn files(named: &[&str], input: &str) -> Result<Vec<u128>, String> {
        let named: Vec<Named> = named.iter().map(|text| text.parse().unwrap()).collect();
        match Choice::read(&named, input.as_bytes()) {
            Ok(Choice::Files(files)) => Ok(files.into_iter().map(|file| file.0.as_u128()).collect()),
            Ok(Choice::Selected(_)) => unreachable!("they were named"),
            Err(error) => Err(format!("{error:#}")),
        }
    }

    #[test]
    fn ids_come_from_the_command_line_and_from_standard_input_each_once() {
        let [one, two, three] = [1, 2, 3].map(|number| Uuid::from_u128(number).to_string());
        let input = format!("{two}\n\n  {one}\r\n{three}");
        assert_eq!(files(&[&one, "-", &one], &input).unwrap(), [1, 2, 3]);
    }

    #[test]
    fn a_line_that_is_no_id_is_named() {
        let error = files(&["-"], &format!("{}\ncall.vtt\n", Uuid::from_u128(1))).unwrap_err();
        assert!(error.starts_with("line 2 of standard input: \"call.vtt\" is no file's id"), "{error}");
    }
}
