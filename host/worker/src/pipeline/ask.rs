//! Asking the model: from the journal where the answer was received before, else over the wire.

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
use assay_llm::usable;
use assay_objects::Objects;
use assay_runtime::{Answer, Prompt};
use futures::StreamExt;

use crate::{
    guests::Release,
    pipeline::{
        bucket_calls::bucket_calls,
        chat_request::chat_request,
        journal::{StoredAnswer, journal, read_answer},
        run::{ResultExt, Run, RunError, RunResult, Stored},
    },
    services::Services,
};

/// An answer in hand.
struct Received {
    answer: StoredAnswer,
    stored: Stored,
    /// For an answer that was bought just now: what it cost, where the provider says so.
    bought: Option<Option<Tokens>>,
}

/// Answers a round of questions, in the guest's order.
///
/// After a failure no further question is asked, but those with the model are waited for: they are paid for, and
/// their answers are in the journal when the job comes back.
pub(super) async fn ask(services: &Services, run: &mut Run<'_>, release: &Release, asked: Vec<Prompt>) -> RunResult {
    // A question may be built on the answers before it. Were one of those bought again, the question would change under
    // its own journaled answer, so nothing new is bought until the journal holds everything before it.
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
    let probes = run.probes.clone();
    let probes = probes.as_slice();
    let mut answers = futures::stream::iter(prompts.into_iter().enumerate())
        .map(|(index, prompt)| {
            let stopped = &stopped;
            // In a box: the set of futures keeps an empty place of the same size.
            Box::pin(async move {
                if stopped.load(Ordering::Relaxed) {
                    return None;
                }
                let answer = answer(services, claim, probes, before + index, &prompt).await;
                stopped.fetch_or(answer.is_err(), Ordering::Relaxed);
                Some(answer)
            })
        })
        .buffer_unordered(services.guests.limits().job.concurrent_prompts);

    let mut received = Vec::new();
    let mut failed = None;
    while let Some(answer) = answers.next().await {
        match answer {
            Some(Ok(answer)) => {
                journal(services, run, &answer.stored, &answer.answer, answer.bought);
                received.push((answer.stored.ordinal, answer.answer));
                // At once: a run that is cut short here keeps what it has.
                run.stored.push(answer.stored);
            }
            Some(Err(error)) => failed = failed.or(Some(error)),
            None => {}
        }
    }
    drop(answers);

    received.sort_by_key(|(ordinal, _)| *ordinal);
    run.stored.sort_by_key(|stored| stored.ordinal);
    let mut unusable = None;
    for (_, answer) in received {
        // Truncated, refused and filtered answers end the job before a guest sees them, and are kept all the same.
        unusable = unusable.or(usable(&answer.finish_reason, answer.refusal.is_some()).err());
        run.answers.push(Answer { text: answer.text, model: answer.model });
    }
    if let Some(error) = unusable {
        return Err(RunError::at(Step::CallModel, error));
    }
    failed.map_or(Ok(()), Err)
}

async fn answer(
    services: &Services,
    claim: &Claim,
    probes: &[Dependency],
    ordinal: usize,
    prompt: &Prompt,
) -> Result<Received, RunError> {
    let question = question_sha256(prompt);
    let entry = claim.journal.iter().find(|entry| usize::try_from(entry.ordinal) == Ok(ordinal));
    match entry {
        Some(entry) => replay(services, claim, ordinal, entry, question).await,
        None => buy(services, probes, ordinal, prompt, question).await,
    }
}

/// An answer that an earlier attempt received. A guest that asks something else this time is defective.
async fn replay(
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
    Ok(Received { answer, stored, bought: None })
}

/// Asks the model, unless it is known to be away; a job that `probes` it asks all the same.
async fn buy(
    services: &Services,
    probes: &[Dependency],
    ordinal: usize,
    prompt: &Prompt,
    question: [u8; 32],
) -> Result<Received, RunError> {
    let model = Dependency::Model(services.model.alias(prompt.model.as_deref()));
    let probe = probes.contains(&model);
    if !probe {
        services.breakers.check_open(&model).at_step(Step::CallModel)?;
    }
    let started = Instant::now();
    let completion = services.model.complete(&chat_request(prompt)).await;
    let code = completion.as_ref().map_or_else(|error| error.code.as_str(), |_| "ok");
    services.metrics.model_call(code, started.elapsed());
    let completion = services.breakers.record(&model, probe, started, completion).at_step(Step::CallModel)?;
    let tokens = completion.usage.map(|usage| Tokens {
        input: i64::try_from(usage.input_tokens).unwrap_or(i64::MAX),
        output: i64::try_from(usage.output_tokens).unwrap_or(i64::MAX),
    });
    if let Some(tokens) = tokens {
        services.metrics.tokens(tokens.input, tokens.output);
    }
    let answer = StoredAnswer::from(completion);
    let stored = Stored { ordinal, question, bytes: answer.encode() };
    Ok(Received { answer, stored, bought: Some(tokens) })
}
