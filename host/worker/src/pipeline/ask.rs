//! Asks questions: answers come from the journal if they were received before, otherwise from the model.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Instant,
};

use assay_conversation::question_sha256;
use assay_core::{
    attempt_usage::Tokens,
    breaker::Dependency,
    claim::Claim,
    code::Code,
    job_error::{JobError, Step},
    journal_entry::JournalEntry,
};
use assay_llm::{UnreadableAnswer, Usage};
use assay_objects::Objects;
use assay_runtime::{Answer, Prompt};
use futures::StreamExt;

use crate::{
    guests::release::Release,
    metrics::TokenResult,
    pipeline::{
        bucket_calls::bucket_calls,
        chat_request::chat_request,
        journal::{read_answer, start_write},
        run::{JournaledAnswer, ResultExt, Run, RunError, RunResult},
        stored_answer::StoredAnswer,
    },
    services::Services,
};

struct Received {
    answer: StoredAnswer,
    stored: JournaledAnswer,
    origin: Origin,
}

/// Where an answer comes from.
enum Origin {
    /// An earlier attempt journaled it.
    Journal,
    /// The model gave it just now. The provider may not count tokens. `shown_model` is its name for the row.
    Model { tokens: Option<Tokens>, shown_model: String },
}

/// Answers a round of questions, in the guest's order.
///
/// After a failure no further question is asked, but questions with the model are waited for. They are paid for, and their
/// answers are in the journal when the job runs again.
pub(super) async fn ask(services: &Services, run: &mut Run<'_>, release: &Release, asked: Vec<Prompt>) -> RunResult {
    // A question may build on earlier answers. If one of those were asked for again, the question would change and no longer
    // match its journaled answer. So the journal must hold all earlier answers first.
    run.journaled().await?;
    let before = run.answers.len();
    services.breakers.record_dependencies(
        release.digest(),
        asked.iter().map(|prompt| services.model.alias(prompt.model.as_deref())),
    );
    let prompts = release.share(&asked);
    drop(asked);
    let stopped = AtomicBool::new(false);
    let claim = run.claim;
    let mut answers = futures::stream::iter(prompts.into_iter().enumerate())
        .map(|(index, prompt)| {
            let stopped = &stopped;
            // Boxed: the set of futures keeps slots of the size of a future.
            Box::pin(async move {
                if stopped.load(Ordering::Relaxed) {
                    return None;
                }
                let answer = answer_one(services, claim, before + index, &prompt).await;
                stopped.fetch_or(answer.is_err(), Ordering::Relaxed);
                Some(answer)
            })
        })
        .buffer_unordered(services.guests.limits().job.concurrent_prompts);

    let mut received = Vec::new();
    let mut failed = None;
    let mut unreadable = Vec::new();
    while let Some(answer) = answers.next().await {
        match answer {
            Some(Ok(answer)) => {
                if let Origin::Model { tokens, shown_model } = answer.origin {
                    start_write(services, run, &answer.stored, &answer.answer, shown_model, tokens);
                }
                received.push((answer.stored.ordinal, answer.answer));
                // At once, so that a run that is interrupted here keeps the answer.
                run.stored.push(answer.stored);
            }
            Some(Err(Unanswered { error, unreadable: answer })) => {
                unreadable.extend(answer.map(|answer| *answer));
                failed = failed.or(Some(error));
            }
            None => {}
        }
    }
    drop(answers);
    for answer in unreadable {
        // It was paid for.
        if let Some(usage) = answer.usage {
            run.spent.tokens.add(tokens(usage));
        }
        run.unreadable.push(answer);
    }
    take_over(run, received)?;
    failed.map_or(Ok(()), Err)
}

/// Hands received answers to the guest, in its order. Fails at the first answer that the guest may not see.
fn take_over(run: &mut Run<'_>, mut received: Vec<(usize, StoredAnswer)>) -> RunResult {
    received.sort_by_key(|(ordinal, _)| *ordinal);
    run.stored.sort_by_key(|stored| stored.ordinal);
    let mut unusable = None;
    for (_, answer) in received {
        // Truncated, refused and filtered answers end the job before the guest sees them. They are kept all the same.
        unusable = unusable.or(answer.usable().err());
        run.answers.push(Answer { text: answer.text, model: answer.model });
    }
    unusable.map_or(Ok(()), |error| Err(RunError::at(Step::CallModel, error)))
}

/// A question without an answer.
struct Unanswered {
    error: RunError,
    /// What the model sent in place of an answer.
    unreadable: Option<Box<UnreadableAnswer>>,
}

impl From<RunError> for Unanswered {
    fn from(error: RunError) -> Self {
        Self { error, unreadable: None }
    }
}

async fn answer_one(
    services: &Services,
    claim: &Claim,
    ordinal: usize,
    prompt: &Prompt,
) -> Result<Received, Unanswered> {
    let question = question_sha256(prompt);
    let entry = claim.journal.iter().find(|entry| usize::try_from(entry.ordinal) == Ok(ordinal));
    match entry {
        Some(entry) => Ok(read_journaled(services, claim, ordinal, entry, question).await?),
        None => ask_model(services, ordinal, prompt, question).await,
    }
}

/// Reads an answer that an earlier attempt received. A guest that asks another question this time is defective.
async fn read_journaled(
    services: &Services,
    claim: &Claim,
    ordinal: usize,
    entry: &JournalEntry,
    question: [u8; 32],
) -> Result<Received, RunError> {
    if entry.prompt_sha256 != question {
        let message = format!("replay question {ordinal}: it differs from the one that was answered");
        return Err(RunError::at(Step::Advance, JobError::new(Code::GuestNondeterministic, message)));
    }
    let read = async |objects: &Objects| read_answer(objects, &claim.file, entry).await;
    let (answer, stored) = bucket_calls(services).call(&claim.file.bucket, read).await.at_step(Step::Journal)?;
    Ok(Received { answer, stored, origin: Origin::Journal })
}

/// Asks the model, unless its breaker is open.
async fn ask_model(
    services: &Services,
    ordinal: usize,
    prompt: &Prompt,
    question: [u8; 32],
) -> Result<Received, Unanswered> {
    let model = Dependency::Model(services.model.alias(prompt.model.as_deref()));
    services.breakers.check_open(&model).at_step(Step::CallModel)?;
    let started = Instant::now();
    let completion = services.model.complete(&chat_request(prompt)).await;
    let code = completion.as_ref().map_or_else(|error| error.code.as_str(), |_| "ok");
    services.metrics.model_call(code, started.elapsed());
    let mut unreadable = None;
    let completion = completion.map_err(|mut error| {
        unreadable = error.unreadable.take();
        let answer = unreadable.as_ref().and_then(|answer| answer.name());
        JobError::from(error).about_answer(answer)
    });
    let used = completion
        .as_ref()
        .map_or_else(|_| unreadable.as_ref().and_then(|answer| answer.usage), |completion| completion.usage);
    let tokens = used.map(tokens);
    if let Some(tokens) = tokens {
        let result = if completion.is_ok() { TokenResult::Answered } else { TokenResult::Unreadable };
        services.metrics.tokens(result, tokens.input, tokens.output);
    }
    let judged = services.inquiries.judge(&model, started, completion).await.at_step(Step::CallModel);
    let completion = judged.map_err(|error| Unanswered { error, unreadable })?;
    if completion.input_truncated {
        tracing::warn!(
            event = "input_truncated",
            llm.model = completion.asked,
            "the model read far fewer tokens than the prompt has: its window is smaller, and the server cut the prompt"
        );
    }
    let shown_model = completion.shown_model().to_owned();
    let answer = StoredAnswer::from(completion);
    let stored = JournaledAnswer { ordinal, question, bytes: answer.encode() };
    Ok(Received { answer, stored, origin: Origin::Model { tokens, shown_model } })
}

/// Returns the provider's counts as the rows keep them.
fn tokens(usage: Usage) -> Tokens {
    Tokens {
        input: i64::try_from(usage.input_tokens).unwrap_or(i64::MAX),
        output: i64::try_from(usage.output_tokens).unwrap_or(i64::MAX),
    }
}
