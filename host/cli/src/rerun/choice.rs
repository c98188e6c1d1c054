//! The files that a rerun is for: named one by one, or selected; a bounded number of them at a time.

use anyhow::Context;
use assay_core::ids::FileId;
use assay_db::{
    Database,
    succeeded::{SucceededFile, SucceededSelection},
};
use time::OffsetDateTime;

/// Files of one statement.
const BATCH: usize = 500;

/// The files of a rerun.
#[derive(Debug)]
pub(super) enum Choice {
    /// These, each once.
    Files(Vec<FileId>),
    /// All that are like this.
    Selected(SucceededSelection),
}

impl Choice {
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
    found: Vec<SucceededFile>,
}

impl Walk<'_> {
    /// The next files, few enough for one statement; nothing at the end.
    pub(super) async fn next(&mut self, database: &Database) -> anyhow::Result<Vec<SucceededFile>> {
        match self.choice {
            Choice::Files(files) => {
                let batch = &files[self.at..files.len().min(self.at + BATCH)];
                self.at += batch.len();
                database.succeeded_files(batch, self.began).await.context("look at the files")
            }
            Choice::Selected(selection) => {
                while self.found.is_empty() {
                    let page = database.select_succeeded(selection, self.began, self.after).await;
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
