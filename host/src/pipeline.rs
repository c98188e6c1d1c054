//! One job, top to bottom.
//!
//! A run reads the transcript, lets the guest decide what to ask, asks, and lets the guest make a report of the answers;
//! a second check stands between the guest and the bucket. Nothing here writes job state: a run ends in a
//! [`Settlement`], which the worker writes under the claim's token. No SQL, S3, HTTP or wasm type appears in this flow.

mod dependencies;
mod journal;
mod limits;
mod questions;
mod raw_output;
mod run;
mod transcript;

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use assay_runtime::{Report, Step as Next, Transcript};
use bytes::Bytes;
pub use journal::{StoredAnswer, StoredUsage, read_answer};
pub use limits::{PipelineConfig, check_prompts, check_report};
pub use questions::fingerprint;
use run::{At, Failed};
pub use run::{Run, Stored, reasons};
pub use transcript::transcript;

use crate::{
    breaker::Dependency,
    breakers::Breakers,
    db::Database,
    error::{Code, JobError, Step},
    guests::{Guests, Release},
    job::{Failure, FileFacts, FileResult, Interruption, Settlement},
    llm::Model,
    metrics::Metrics,
    objects::Objects,
    retry::{Tries, Verdict},
};

/// Everything a job needs from the outside worlds.
#[derive(Clone)]
pub struct Pipeline {
    /// Originals, answers and reports.
    pub objects: Objects,
    /// The journal.
    pub database: Database,
    /// The sandbox.
    pub guests: Guests,
    /// The model.
    pub model: Model,
    /// What is not called at the moment.
    pub breakers: Breakers,
    /// What is counted.
    pub metrics: Metrics,
    /// Limits and waits.
    pub config: PipelineConfig,
}

/// How a run ends.
#[derive(Debug)]
pub enum Ending {
    /// The claim is to be settled so.
    Settle(Box<Settlement>),
    /// The claim is not ours any more: there is nothing to write.
    Lost,
}

impl Pipeline {
    /// Runs a claimed job until it can be settled, or until `interrupted` completes.
    pub async fn run(&self, run: &mut Run<'_>, interrupted: impl Future<Output = Interruption>) -> Ending {
        let result = tokio::select! {
            result = self.report(run) => result,
            interruption = interrupted => Err(Failed::Interrupted(interruption)),
        };
        // Whatever happened, an answer that was paid for is in the journal before its job is settled.
        let result = match result {
            Err(Failed::Interrupted(Interruption::Lost)) => result,
            result => result.and(run.journaled().await),
        };
        match result {
            Ok(()) => Ending::Settle(Settlement::succeeded(run.finished(), run.spent).into()),
            Err(Failed::Interrupted(Interruption::Stopping)) => Ending::Settle(Settlement::released(run.spent).into()),
            Err(Failed::Interrupted(Interruption::Cancelled)) => {
                Ending::Settle(Box::pin(self.cancelled(run)).await.into())
            }
            Err(Failed::Interrupted(Interruption::Lost)) => Ending::Lost,
            Err(Failed::Job { step, error }) => Ending::Settle(Box::pin(self.failed(run, step, error)).await.into()),
        }
    }

    /// The way from a transcript to a report in the bucket.
    async fn report(&self, run: &mut Run<'_>) -> Result<(), Failed> {
        let release = self.resolve(run).at(Step::ResolveGuest)?;
        let transcript = self.read(&run.claim.file).await.at(Step::ReadTranscript)?;
        run.observe(self.guests.shadow_of(&run.claim.channel, release.digest()), &transcript);
        let rounds = self.guests.limits().job.rounds;
        let mut asked = 0;
        loop {
            match self.advance(run, &release, &transcript).await.at(Step::Advance)? {
                Next::Ask(_) if asked == rounds => {
                    let message = format!("ask the model: more than {rounds} rounds (GUEST_MAX_ROUNDS)");
                    return Err(Failed::at(Step::Advance, JobError::new(Code::GuestLimitExceeded, message)));
                }
                Next::Ask(prompts) => self.ask(run, &release, prompts).await?,
                Next::Accept(report) => return self.accept(run, &release, report).await,
                Next::Reject(rejection) => {
                    let error = run.rejected(&release, rejection);
                    return Err(Failed::at(Step::Advance, error));
                }
            }
            asked += 1;
        }
    }

    /// The release that the claim pinned.
    fn resolve(&self, run: &mut Run<'_>) -> Result<Arc<Release>, JobError> {
        let digest = &run.claim.guest_digest;
        let release = self.guests.release(digest).ok_or_else(|| {
            JobError::new(Code::GuestLoadFailed, format!("resolve the guest: {digest} is not loaded on this worker"))
        })?;
        tracing::Span::current().record("prompt.version", release.manifest().prompt_version.as_str());
        run.release = Some(release.clone());
        Ok(release)
    }

    /// The original, as the guest sees it at every call.
    async fn read(&self, file: &FileFacts) -> Result<Arc<Transcript>, JobError> {
        let limit = self.config.transcript_bytes;
        let read = async |objects: &Objects| {
            objects.read(&file.bucket, &file.original_key, limit).await.map_err(|error| error.for_read())
        };
        let bytes = self.bucket().call(&file.bucket, read).await?;
        transcript(file, &bytes).map(Arc::new)
    }

    /// One call of the guest, with the answers so far.
    async fn advance(
        &self,
        run: &mut Run<'_>,
        release: &Release,
        transcript: &Arc<Transcript>,
    ) -> Result<Next, JobError> {
        let advanced = release.advance(transcript, &run.answers).await;
        self.metrics.guest_call(&release.manifest().prompt_version, advanced.elapsed);
        run.spent.guest_time += advanced.elapsed;
        run.log.extend(advanced.log);
        advanced.step
    }

    /// Checks an accepted report once more and writes it; no report leaves on the word of the guest alone.
    async fn accept(&self, run: &mut Run<'_>, release: &Release, report: Report) -> Result<(), Failed> {
        check_report(&report.document, &self.guests.limits().job).at(Step::Verify)?;
        let found = release.verify(&report.document).await.at(Step::Verify)?;
        if !found.is_empty() {
            let message = format!("check the report against its schema: {}", release.summary(&found));
            run.findings = found;
            return Err(Failed::at(Step::Verify, JobError::new(Code::ReportInvalid, message)));
        }
        let file = &run.claim.file;
        let key = file.run_key(run.claim.lease, "report.json");
        // Known before it is written: a write that is cut short may have landed, and is to be deleted then.
        run.report_key = Some(key.clone());
        let document = Bytes::from(report.document);
        run.accepted(&document);
        let may_have_written = AtomicBool::new(true);
        let write = async |objects: &Objects| {
            objects.write_json(&file.bucket, &key, document).await.map_err(|error| {
                may_have_written.store(error.may_have_written(), Ordering::Relaxed);
                error.for_write()
            })
        };
        // The journal's writes are under way; the report need not wait for them, only the settlement does.
        if let Err(error) = self.bucket().call(&file.bucket, write).await {
            if !may_have_written.into_inner() {
                run.report_key = None;
            }
            return Err(Failed::at(Step::WriteReport, error));
        }
        self.keep_words(run, &report.notes).await;
        Ok(())
    }

    /// Decides what becomes of a failed attempt; where the job ends, its answers are kept first.
    pub async fn failed(&self, run: &mut Run<'_>, step: Step, error: JobError) -> Settlement {
        let error = match step {
            Step::Settle => self.breakers.held_where_open(&Dependency::Database, error),
            _ => error,
        };
        let tries =
            Tries { attempts: run.claim.attempts, max_attempts: run.claim.max_attempts, snoozes: run.claim.snoozes };
        let failure = Failure { code: error.code, step, message: error.chain() };
        match self.config.retry.decide(error.class(), tries, error.retry_after, rand::random()) {
            Verdict::Retry(wait) => Settlement::retried(failure, wait, run.spent),
            Verdict::Snooze(wait) => Settlement::snoozed(failure, wait, run.spent),
            Verdict::Hold(wait) => Settlement::held(failure, wait, run.spent),
            Verdict::Fail => {
                let raw_output_key = self.keep_raw_output(run, error.code).await;
                let result = FileResult { report_key: None, raw_output_key, ..run.versions() };
                Settlement::failed(failure, result, run.spent)
            }
        }
    }

    /// The end of a job that somebody asked for; its answers are kept as at any other end.
    pub async fn cancelled(&self, run: &mut Run<'_>) -> Settlement {
        let error = JobError::new(Code::Cancelled, "cancel the job: somebody asked for its end");
        self.failed(run, Step::Cancel, error).await
    }

    /// Deletes the report of a run that was settled as anything but a success, so that no row can come to point at it.
    /// Best effort: what is left is told in one event and found by the sweeper.
    pub async fn discard_report(&self, run: &mut Run<'_>) {
        let Some(key) = run.report_key.take() else { return };
        let file = &run.claim.file;
        let Err(error) = self.objects.delete(&file.bucket, &key).await else { return };
        self.metrics.orphans.inc();
        tracing::error!(event = "orphan_report_object", file.id = %file.id, object.key = key, %error, "report without a row");
    }
}
