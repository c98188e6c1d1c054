//! One replay: runs every selected job without a result.

use std::collections::HashSet;

use anyhow::Context;
use assay_core::ids::FileId;
use assay_db::replay::ReplaySelection;
use futures::{StreamExt, TryStreamExt};

use crate::replay::{
    cases::{CaseRead, CaseReader, ReadyCase},
    engine::{Engine, Evidence, ReplayedCase},
    expected_tokens::expected_tokens,
    result_counts::ResultCounts,
    result_line::ResultLine,
    results::Results,
};

/// Jobs whose objects are read at the same time.
const PARALLEL_READS: usize = 32;

/// A candidate, and the jobs to run it on.
pub struct Replay {
    pub engine: Engine,
    pub cases: CaseReader,
    pub selection: ReplaySelection,
}

enum JobResult {
    Replayed { case: ReplayedCase, expected_tokens: Option<u64> },
    Skipped(ResultLine),
}

impl Replay {
    /// Runs every selected job without a result. Returns the files of all selected jobs. `progress` sees the counts after each job.
    ///
    /// # Errors
    /// When the database, the bucket or the folder fails. The results so far stay, and the next run goes on from there.
    pub async fn run(
        &self,
        results: &mut Results,
        mut progress: impl FnMut(&ResultCounts),
    ) -> anyhow::Result<HashSet<FileId>> {
        let mut selected = HashSet::new();
        let done = results.done().clone();
        {
            let jobs = self.cases.jobs(&self.selection).try_filter(|job| {
                selected.insert(job.file_id);
                let fresh = !done.contains(&job.file_id);
                async move { fresh }
            });
            let reads = jobs.map(async |job| self.cases.spawn(job?).await).buffer_unordered(PARALLEL_READS);
            let runs = reads.map(async |read| self.run_one(read?).await).buffer_unordered(self.engine.at_once);
            let mut runs = std::pin::pin!(runs);
            while let Some(result) = runs.next().await {
                match result? {
                    JobResult::Replayed { case, expected_tokens } => results.record(&case, false, expected_tokens),
                    JobResult::Skipped(line) => results.append(line),
                }
                .context("keep a result")?;
                progress(results.counts());
            }
        }
        Ok(selected)
    }

    async fn run_one(&self, read: CaseRead) -> anyhow::Result<JobResult> {
        let ready = match read {
            CaseRead::Ready(ready) => *ready,
            CaseRead::Skipped(file, code) => return Ok(JobResult::Skipped(ResultLine::skipped(file, code))),
        };
        // The memory stays reserved until the case has run.
        let ReadyCase { case, output_tokens, memory: _memory } = ready;
        let replayed = self.engine.spawn(case).await;
        let expected = match &replayed.evidence {
            Evidence::Questions(prompts) => {
                Some(prompts.iter().map(|prompt| expected_tokens(prompt, output_tokens)).sum())
            }
            _ => None,
        };
        Ok(JobResult::Replayed { case: replayed, expected_tokens: expected })
    }
}
