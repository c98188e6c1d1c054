//! One replay: every job that has no line yet.

use std::collections::HashSet;

use anyhow::Context;
use assay_core::ids::FileId;
use assay_db::replay::ReplaySelection;
use futures::{StreamExt, TryStreamExt};

use super::{
    cases::{Cases, Read},
    engine::{Engine, Evidence, Replayed},
    price::expected as expected_tokens,
    results::{Line, Results},
    tally::Tally,
};

/// Jobs whose objects are read at once.
const READS: usize = 32;

/// One guest, and the jobs that it is tried on.
pub struct Replay {
    /// Runs it.
    pub engine: Engine,
    /// Brings the jobs.
    pub cases: Cases,
    /// Which they are.
    pub selection: ReplaySelection,
}

/// What came of a job.
enum Done {
    Replayed(Replayed, Option<u64>),
    Skipped(Line),
}

impl Replay {
    /// Runs every job that has no line yet; gives the files of all that are meant. `progress` sees the counts after each.
    ///
    /// # Errors
    /// The database, the bucket or the folder fails; what is in the folder stays, and the next run goes on behind it.
    pub async fn run(
        &self,
        results: &mut Results,
        mut progress: impl FnMut(&Tally),
    ) -> anyhow::Result<HashSet<FileId>> {
        let mut meant = HashSet::new();
        let done = results.done().clone();
        {
            let jobs = self.cases.jobs(&self.selection).try_filter(|job| {
                meant.insert(job.file.id);
                let fresh = !done.contains(&job.file.id);
                async move { fresh }
            });
            let reads = jobs.map(async |job| self.cases.spawned(job?).await).buffer_unordered(READS);
            let runs = reads.map(async |read| self.one(read?).await).buffer_unordered(self.engine.at_once);
            let mut runs = std::pin::pin!(runs);
            while let Some(done) = runs.next().await {
                match done? {
                    Done::Replayed(replayed, expected_tokens) => results.record(&replayed, false, expected_tokens),
                    Done::Skipped(line) => results.keep(line),
                }
                .context("keep a result")?;
                progress(results.tally());
            }
        }
        Ok(meant)
    }

    async fn one(&self, read: Read) -> anyhow::Result<Done> {
        let ready = match read {
            Read::Case(ready) => *ready,
            Read::Skipped(file, code) => return Ok(Done::Skipped(Line::skipped(file, code))),
        };
        // Its place in memory is kept until it has run.
        let (case, output_tokens, _room) = ready.into_parts();
        let replayed = self.engine.spawned(case).await;
        let expected = match &replayed.evidence {
            Evidence::Questions(prompts) => {
                Some(prompts.iter().map(|prompt| expected_tokens(prompt, output_tokens)).sum())
            }
            _ => None,
        };
        Ok(Done::Replayed(replayed, expected))
    }
}
