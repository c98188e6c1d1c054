//! The live pass of a replay: asks the model the questions without a stored answer, within a budget and each once.

use std::{
    collections::HashSet,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::Duration,
};

use anyhow::Context;
use assay_conversation::question_sha256;
use assay_core::{
    code::{Class, Code},
    ids::FileId,
    job_error::JobError,
    report_diff::Difference,
};
use assay_db::replay::ReplayJob;
use assay_llm::{Completion, Model};
use assay_runtime::Prompt;
use futures::{StreamExt, TryStreamExt};
use parking_lot::Mutex;

use crate::{
    pipeline::{chat_request::chat_request, stored_answer::StoredAnswer},
    releases::dry_run::RecordedAnswer,
    replay::{
        answer_log::{AnswerLog, NewAnswer},
        budget::Budget,
        cases::{CaseRead, ReadyCase},
        engine::{CaseResult, Evidence, ReplayCase, ReplayedCase},
        expected_tokens::expected_tokens,
        result_counts::ResultCounts,
        results::Results,
        run::Replay,
    },
};

/// Files whose questions are with the model at the same time.
const PARALLEL_FILES: usize = 8;
/// Tries of a question that the model did not accept.
const MAX_TRIES: u32 = 4;
/// Delay before the second try; doubles with each try.
const FIRST_RETRY_DELAY: Duration = Duration::from_secs(2);
/// Longest delay before a try, whatever the provider demands.
const MAX_RETRY_DELAY: Duration = Duration::from_secs(120);
/// Files without an answer in a row that end the pass: the model is down.
const MAX_UNANSWERED_IN_A_ROW: u64 = 3;

/// The model to ask, and the budget.
pub struct LiveOptions {
    pub model: Model,
    /// Tokens, including those of earlier runs into the same folder.
    pub budget: u64,
}

/// The result of a live pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct LiveSummary {
    /// New answers of this run.
    pub answers: u64,
    /// Files without an answer; the next run asks for them again.
    pub unanswered: u64,
    /// Tokens, including those of earlier runs.
    pub tokens: u64,
    pub budget: u64,
    /// Whether the budget ended the pass.
    pub budget_exhausted: bool,
}

/// The expected cost of a live pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CostEstimate {
    /// Files whose guest asks questions without a stored answer.
    pub files: u64,
    /// Tokens of their first questions and the answers.
    pub tokens: u64,
}

/// The state of one pass over the files.
struct LivePass<'a> {
    replay: &'a Replay,
    model: &'a Model,
    budget: Budget,
    answers: Mutex<AnswerLog>,
    new_answers: AtomicU64,
    unanswered: AtomicU64,
    /// Files without an answer since the last answer.
    unanswered_in_a_row: AtomicU64,
    exhausted: AtomicBool,
    /// Whether no further question is asked.
    stopping: AtomicBool,
}

/// Why a question has no answer.
enum Unanswered {
    Budget,
    /// The pass ends.
    Stopping,
    /// The provider rejects the question: a fault of the guest.
    Refused(JobError),
    /// The model could not answer now.
    Later(JobError),
    /// The model or the folder cannot be used.
    Stop(anyhow::Error),
}

impl CostEstimate {
    /// Estimates the cost of the diverged files among `selected`.
    pub fn of(results: &Results, selected: &HashSet<FileId>) -> Self {
        let diverged = results.diverged().iter().filter(|(file, _)| selected.contains(file));
        let (files, tokens) = diverged.fold((0, 0_u64), |(files, tokens), (_, line)| {
            (files + 1, tokens.saturating_add(line.expected_tokens.unwrap_or(0)))
        });
        Self { files, tokens }
    }
}

impl Replay {
    /// Asks the model for every file that diverged, and compares again. Ends at the budget.
    ///
    /// # Errors
    /// As [`Replay::run`], and when the model cannot be asked. Answers so far are in the folder and are not asked for again.
    pub async fn ask(
        &self,
        live: &LiveOptions,
        results: &mut Results,
        mut progress: impl FnMut(&ResultCounts),
    ) -> anyhow::Result<LiveSummary> {
        let answers = AnswerLog::open(results.folder())?;
        let pass = LivePass {
            replay: self,
            model: &live.model,
            budget: Budget::new(live.budget, answers.tokens()),
            answers: Mutex::new(answers),
            new_answers: AtomicU64::new(0),
            unanswered: AtomicU64::new(0),
            unanswered_in_a_row: AtomicU64::new(0),
            exhausted: AtomicBool::new(false),
            stopping: AtomicBool::new(false),
        };
        let diverged: HashSet<FileId> = results.diverged().keys().copied().collect();
        let jobs = self.cases.jobs(&self.selection).try_filter(|job| {
            let selected = diverged.contains(&job.file_id);
            async move { selected }
        });
        let files = jobs.map(async |job| pass.file(job?).await).buffer_unordered(PARALLEL_FILES);
        let mut files = std::pin::pin!(files);
        let mut failed = None;
        while let Some(replayed) = files.next().await {
            match replayed {
                Ok(Some(replayed)) => {
                    results.record(&replayed, true, None).context("keep a result")?;
                    progress(results.counts());
                }
                Ok(None) => {}
                Err(error) => {
                    // Questions with the model are waited for: they are paid for.
                    pass.stopping.store(true, Ordering::Relaxed);
                    failed = failed.or(Some(error));
                }
            }
        }
        if let Some(error) = failed {
            return Err(error);
        }
        Ok(LiveSummary {
            answers: pass.new_answers.load(Ordering::Relaxed),
            unanswered: pass.unanswered.load(Ordering::Relaxed),
            tokens: pass.budget.used(),
            budget: live.budget,
            budget_exhausted: pass.exhausted.load(Ordering::Relaxed),
        })
    }
}

impl LivePass<'_> {
    /// Asks until the guest is done with a file. Returns `None` if the file stays without a result.
    async fn file(&self, job: ReplayJob) -> anyhow::Result<Option<ReplayedCase>> {
        if self.stopping.load(Ordering::Relaxed) {
            return Ok(None);
        }
        let ready = match self.replay.cases.spawn(job).await? {
            CaseRead::Ready(ready) => *ready,
            CaseRead::Skipped(file, code) => {
                let (result, evidence) = (CaseResult::Skipped(code), Evidence::None);
                return Ok(Some(ReplayedCase { file, result, evidence, guest_time: Duration::ZERO }));
            }
        };
        let ReadyCase { mut case, output_tokens, memory: _memory } = ready;
        let before = self.answers.lock().of(case.file)?;
        if let Err(error) = add(&mut case, before) {
            return Ok(Some(fault(case.file, error)));
        }
        loop {
            let replayed = self.replay.engine.replay(&case).await;
            let Evidence::Questions(prompts) = &replayed.evidence else { return Ok(Some(replayed)) };
            let answers = match self.ask_round(case.file, prompts, output_tokens).await {
                Ok(answers) => answers,
                Err(Unanswered::Budget) => {
                    self.exhausted.store(true, Ordering::Relaxed);
                    self.stopping.store(true, Ordering::Relaxed);
                    return Ok(None);
                }
                Err(Unanswered::Stopping) => return Ok(None),
                Err(Unanswered::Later(error)) => {
                    self.unanswered.fetch_add(1, Ordering::Relaxed);
                    if self.unanswered_in_a_row.fetch_add(1, Ordering::Relaxed) + 1 >= MAX_UNANSWERED_IN_A_ROW {
                        return Err(anyhow::Error::from(error).context("ask the model"));
                    }
                    return Ok(None);
                }
                Err(Unanswered::Refused(error)) => return Ok(Some(fault(case.file, error))),
                Err(Unanswered::Stop(error)) => return Err(error),
            };
            if let Err(error) = add(&mut case, answers) {
                return Ok(Some(fault(case.file, error)));
            }
        }
    }

    /// Asks a round of questions. After a failure, waits for the questions with the model, because they are paid for.
    async fn ask_round(
        &self,
        file: FileId,
        prompts: &[Prompt],
        output_tokens: Option<u64>,
    ) -> Result<Vec<NewAnswer>, Unanswered> {
        let parallel = self.replay.engine.limits.job.concurrent_prompts;
        let failed = AtomicBool::new(false);
        let answers: Vec<Option<Result<NewAnswer, Unanswered>>> = futures::stream::iter(prompts)
            .map(async |prompt| {
                if failed.load(Ordering::Relaxed) {
                    return None;
                }
                let answer = self.ask_one(file, prompt, expected_tokens(prompt, output_tokens)).await;
                failed.fetch_or(answer.is_err(), Ordering::Relaxed);
                Some(answer)
            })
            .buffered(parallel)
            .collect()
            .await;
        answers.into_iter().flatten().collect()
    }

    /// Asks one question. Its answer is on the disk before it is used.
    async fn ask_one(&self, file: FileId, prompt: &Prompt, expected: u64) -> Result<NewAnswer, Unanswered> {
        if self.stopping.load(Ordering::Relaxed) {
            return Err(Unanswered::Stopping);
        }
        if !self.budget.reserve(expected).await {
            return Err(Unanswered::Budget);
        }
        let answer = match self.complete(prompt).await {
            Ok(completion) => StoredAnswer::from(completion),
            Err(error) => {
                if may_cost(error.code) {
                    self.budget.settle(expected, expected);
                    // The next run must count it.
                    self.answers.lock().add_lost(expected).map_err(Unanswered::Stop)?;
                } else {
                    self.budget.settle(expected, 0);
                }
                return Err(match error.class() {
                    Class::Fail => Unanswered::Refused(error),
                    Class::Retry | Class::Snooze => Unanswered::Later(error),
                    Class::Hold => Unanswered::Stop(anyhow::Error::from(error).context("ask the model")),
                });
            }
        };
        let counted = answer.usage.map(|usage| usage.input_tokens.saturating_add(usage.output_tokens));
        let tokens = counted.unwrap_or(expected);
        let answer = NewAnswer { file_id: file, question: hex::encode(question_sha256(prompt)), tokens, answer };
        let kept = self.answers.lock().add(&answer);
        self.budget.settle(expected, tokens);
        self.new_answers.fetch_add(1, Ordering::Relaxed);
        self.unanswered_in_a_row.store(0, Ordering::Relaxed);
        kept.map_err(Unanswered::Stop)?;
        Ok(answer)
    }

    /// Asks the model, and retries while it cannot answer.
    async fn complete(&self, prompt: &Prompt) -> Result<Completion, JobError> {
        let mut delay = FIRST_RETRY_DELAY;
        for _ in 1..MAX_TRIES {
            match self.model.complete(&chat_request(prompt)).await {
                Err(error) if matches!(error.code.class(), Class::Retry | Class::Snooze) && !may_cost(error.code) => {
                    tokio::time::sleep(error.retry_after.unwrap_or(delay).min(MAX_RETRY_DELAY)).await;
                    delay *= 2;
                }
                done => return Ok(done?),
            }
        }
        Ok(self.model.complete(&chat_request(prompt)).await?)
    }
}

/// Returns whether a failed call may be billed: the model had the question, and the answer was lost or unreadable.
fn may_cost(code: Code) -> bool {
    matches!(code, Code::LlmTimeout | Code::LlmNetworkError | Code::LlmBadEnvelope | Code::LlmAnswerTooLarge)
}

/// Adds new answers to a case.
fn add(case: &mut ReplayCase, answers: Vec<NewAnswer>) -> Result<(), JobError> {
    let recorded: Result<Vec<RecordedAnswer>, _> = answers.into_iter().map(NewAnswer::usable).collect();
    case.recorded.extend(recorded?);
    Ok(())
}

fn fault(file: FileId, error: JobError) -> ReplayedCase {
    let result = CaseResult::Compared(Difference::Fault(error.code));
    ReplayedCase { file, result, evidence: Evidence::Fault(error), guest_time: Duration::ZERO }
}
