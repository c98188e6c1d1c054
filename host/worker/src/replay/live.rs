//! Asking the model afresh, where a guest asks what nobody has answered: within a budget, and each question once.

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

use super::{
    Replay, Tally,
    answers::{Answers, Bought},
    budget::Budget,
    cases::Read,
    engine::{Case, Ended, Evidence, Replayed},
    price::expected,
    results::Results,
};
use crate::{
    pipeline::{StoredAnswer, chat_request},
    releases::dry_run::Recorded,
};

/// Files whose questions are with the model at once.
const FILES: usize = 8;
/// Tries of a question that the model could not take just then.
const TRIES: u32 = 4;
/// The wait before the second try; it doubles.
const WAIT: Duration = Duration::from_secs(2);
/// No provider keeps a replay waiting longer than this.
const LONGEST_WAIT: Duration = Duration::from_secs(120);

/// Files without an answer, one after the other, after which the model is taken for away.
const AWAY: u64 = 3;

/// Who is asked, and how much that may cost.
pub struct Live {
    /// The model.
    pub model: Model,
    /// Tokens, those of earlier runs into the same folder included.
    pub budget: u64,
}

/// What the answers of a folder came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Spent {
    /// Answers that were bought in this run.
    pub answers: u64,
    /// Files that the model could not answer just then; the next run asks for them again.
    pub unanswered: u64,
    /// Tokens, those of earlier runs included.
    pub tokens: u64,
    /// The bound.
    pub budget: u64,
    /// Whether it ended the run.
    pub budget_exhausted: bool,
}

/// What is expected before it starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Price {
    /// Files that ask other questions.
    pub files: u64,
    /// Tokens that their first questions and the answers take.
    pub tokens: u64,
}

/// One pass over the files.
struct Pass<'a> {
    replay: &'a Replay,
    model: &'a Model,
    budget: Budget,
    answers: Mutex<Answers>,
    bought: AtomicU64,
    unanswered: AtomicU64,
    /// Files without an answer since the last answer.
    in_a_row: AtomicU64,
    exhausted: AtomicBool,
    /// Whether nothing more is asked, for whatever reason.
    stopping: AtomicBool,
}

/// Why a question has no answer.
enum Unanswered {
    /// There is no room for it in the budget.
    Budget,
    /// The run ends.
    Stopping,
    /// The provider will never take it: the file's guest asks what it must not.
    Refused(JobError),
    /// The model could not answer just then.
    Later(JobError),
    /// Nobody can be asked.
    Stop(anyhow::Error),
}

impl Price {
    /// Of those of `meant` that have no result but that.
    pub fn of(results: &Results, meant: &HashSet<FileId>) -> Self {
        let diverged = results.diverged().iter().filter(|(file, _)| meant.contains(file));
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
    /// As [`Replay::run`], or the model cannot be asked; answers that were received are in the folder and are not bought again.
    pub async fn ask(
        &self,
        live: &Live,
        results: &mut Results,
        mut progress: impl FnMut(&Tally),
    ) -> anyhow::Result<Spent> {
        let answers = Answers::open(results.folder())?;
        let pass = Pass {
            replay: self,
            model: &live.model,
            budget: Budget::new(live.budget, answers.tokens()),
            answers: Mutex::new(answers),
            bought: AtomicU64::new(0),
            unanswered: AtomicU64::new(0),
            in_a_row: AtomicU64::new(0),
            exhausted: AtomicBool::new(false),
            stopping: AtomicBool::new(false),
        };
        let diverged: HashSet<FileId> = results.diverged().keys().copied().collect();
        let jobs = self.cases.jobs(&self.selection).try_filter(|job| {
            let meant = diverged.contains(&job.file.id);
            async move { meant }
        });
        let files = jobs.map(async |job| pass.file(job?).await).buffer_unordered(FILES);
        let mut files = std::pin::pin!(files);
        let mut failed = None;
        while let Some(replayed) = files.next().await {
            match replayed {
                Ok(Some(replayed)) => {
                    results.record(&replayed, true, None).context("keep a result")?;
                    progress(results.tally());
                }
                Ok(None) => {}
                Err(error) => {
                    // Those with the model are waited for: they are paid for.
                    pass.stopping.store(true, Ordering::Relaxed);
                    failed = failed.or(Some(error));
                }
            }
        }
        if let Some(error) = failed {
            return Err(error);
        }
        Ok(Spent {
            answers: pass.bought.load(Ordering::Relaxed),
            unanswered: pass.unanswered.load(Ordering::Relaxed),
            tokens: pass.budget.used(),
            budget: live.budget,
            budget_exhausted: pass.exhausted.load(Ordering::Relaxed),
        })
    }
}

impl Pass<'_> {
    /// Asks until the guest is done with a file; none where the budget does not reach so far.
    async fn file(&self, job: ReplayJob) -> anyhow::Result<Option<Replayed>> {
        if self.stopping.load(Ordering::Relaxed) {
            return Ok(None);
        }
        let ready = match self.replay.cases.spawned(job).await? {
            Read::Case(ready) => *ready,
            Read::Skipped(file, code) => {
                let (ended, evidence) = (Ended::Skipped(code), Evidence::None);
                return Ok(Some(Replayed { file, ended, evidence, guest_time: Duration::ZERO }));
            }
        };
        let (mut case, output_tokens, _room) = ready.into_parts();
        let before = self.answers.lock().of(case.file)?;
        if let Err(error) = add(&mut case, before) {
            return Ok(Some(fault(case.file, error)));
        }
        loop {
            let replayed = self.replay.engine.replay(&case).await;
            let Evidence::Questions(prompts) = &replayed.evidence else { return Ok(Some(replayed)) };
            let bought = match self.buy_all(case.file, prompts, output_tokens).await {
                Ok(bought) => bought,
                Err(Unanswered::Budget) => {
                    self.exhausted.store(true, Ordering::Relaxed);
                    self.stopping.store(true, Ordering::Relaxed);
                    return Ok(None);
                }
                Err(Unanswered::Stopping) => return Ok(None),
                Err(Unanswered::Later(error)) => {
                    self.unanswered.fetch_add(1, Ordering::Relaxed);
                    if self.in_a_row.fetch_add(1, Ordering::Relaxed) + 1 >= AWAY {
                        return Err(anyhow::Error::from(error).context("ask the model"));
                    }
                    return Ok(None);
                }
                Err(Unanswered::Refused(error)) => return Ok(Some(fault(case.file, error))),
                Err(Unanswered::Stop(error)) => return Err(error),
            };
            if let Err(error) = add(&mut case, bought) {
                return Ok(Some(fault(case.file, error)));
            }
        }
    }

    /// A round of questions. After a failure those with the model are waited for, because they are paid for.
    async fn buy_all(
        &self,
        file: FileId,
        prompts: &[Prompt],
        output_tokens: Option<u64>,
    ) -> Result<Vec<Bought>, Unanswered> {
        let at_once = self.replay.engine.limits.job.concurrent_prompts;
        let failed = AtomicBool::new(false);
        let answers: Vec<Option<Result<Bought, Unanswered>>> = futures::stream::iter(prompts)
            .map(async |prompt| {
                if failed.load(Ordering::Relaxed) {
                    return None;
                }
                let answer = self.buy(file, prompt, expected(prompt, output_tokens)).await;
                failed.fetch_or(answer.is_err(), Ordering::Relaxed);
                Some(answer)
            })
            .buffered(at_once)
            .collect()
            .await;
        answers.into_iter().flatten().collect()
    }

    /// One question. Its answer is on the disk before anything is made of it.
    async fn buy(&self, file: FileId, prompt: &Prompt, expected: u64) -> Result<Bought, Unanswered> {
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
                    // The next run has to know of it.
                    self.answers.lock().lose(expected).map_err(Unanswered::Stop)?;
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
        let bought = Bought { file_id: file, question: hex::encode(question_sha256(prompt)), tokens, answer };
        let kept = self.answers.lock().add(&bought);
        self.budget.settle(expected, tokens);
        self.bought.fetch_add(1, Ordering::Relaxed);
        self.in_a_row.store(0, Ordering::Relaxed);
        kept.map_err(Unanswered::Stop)?;
        Ok(bought)
    }

    /// Asks, and asks again where the model could not answer just then.
    async fn complete(&self, prompt: &Prompt) -> Result<Completion, JobError> {
        let mut wait = WAIT;
        for _ in 1..TRIES {
            match self.model.complete(&chat_request(prompt)).await {
                Err(error) if matches!(error.class(), Class::Retry | Class::Snooze) && !may_cost(error.code) => {
                    tokio::time::sleep(error.retry_after.unwrap_or(wait).min(LONGEST_WAIT)).await;
                    wait *= 2;
                }
                done => return done,
            }
        }
        self.model.complete(&chat_request(prompt)).await
    }
}

/// Whether a call that ended so may be billed all the same: it was with the model, and what came back was not understood or not
/// waited for.
fn may_cost(code: Code) -> bool {
    matches!(code, Code::LlmTimeout | Code::LlmNetworkError | Code::LlmBadEnvelope | Code::LlmAnswerTooLarge)
}

/// Adds answers to those that are recorded.
fn add(case: &mut Case, bought: Vec<Bought>) -> Result<(), JobError> {
    let recorded: Result<Vec<Recorded>, _> = bought.into_iter().map(Bought::usable).collect();
    case.recorded.extend(recorded?);
    Ok(())
}

fn fault(file: FileId, error: JobError) -> Replayed {
    let ended = Ended::Compared(Difference::Fault(error.code));
    Replayed { file, ended, evidence: Evidence::Fault(error), guest_time: Duration::ZERO }
}
