//! From a claimed job to a report in the bucket.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use assay_conversation::{Answers, ConversationEnd, ConversationError, run as converse};
use assay_core::{
    code::Code,
    file_info::FileInfo,
    job_error::{JobError, Step},
    object_keys::{RunArtifact, run_key},
    stop_reason::StopReason,
};
use assay_objects::Objects;
use assay_runtime::{Answer, Call, Prompt, Report, Step as Next, Transcript};
use bytes::Bytes;

use crate::{
    guests::release::Release,
    pipeline::{
        ask::ask,
        bucket_calls::bucket_calls,
        guest_notes::write_notes,
        run::{ResultExt, Run, RunError, RunResult},
        transcript::decode_transcript,
    },
    services::Services,
};

/// Runs a claimed job until it can be settled, or until `interrupted` completes.
///
/// When this returns, the journal holds every answer that was paid for, unless the claim is lost.
pub async fn run(services: &Services, run: &mut Run<'_>, interrupted: impl Future<Output = StopReason>) -> RunResult {
    let result = tokio::select! {
        result = make_report(services, run) => result,
        reason = interrupted => Err(RunError::Stopped(reason)),
    };
    match result {
        Err(RunError::Stopped(StopReason::Lost)) => result,
        result => result.and(run.journaled().await),
    }
}

/// Resolves the guest, reads the transcript, runs the conversation of guest and model, and writes an accepted report.
async fn make_report(services: &Services, run: &mut Run<'_>) -> RunResult {
    let release = resolve_guest(services, run).at_step(Step::ResolveGuest)?;
    let transcript = read_transcript(services, &run.claim.file).await.at_step(Step::ReadTranscript)?;
    if let Some(kept) = &mut run.kept {
        kept.transcript = Some(transcript.clone());
    }
    let limits = &services.guests.limits().job;
    let mut model = ModelAndJournal { services, run, release: &release };
    match converse(release.guest(), &transcript, limits, &mut model).await {
        Ok(ConversationEnd::Accepted(report)) => write_report(services, run, &release, report).await,
        Ok(ConversationEnd::Rejected(rejection)) => Err(RunError::at(Step::Advance, run.rejected(&release, rejection))),
        Err(stop) => Err(run_error(run, stop)),
    }
}

/// Answers a guest from the journal of its job, otherwise from the model.
struct ModelAndJournal<'r, 'c> {
    services: &'r Services,
    run: &'r mut Run<'c>,
    release: &'r Release,
}

impl Answers for ModelAndJournal<'_, '_> {
    type Error = RunError;

    fn answers(&self) -> &[Answer] {
        &self.run.answers
    }

    async fn ask(&mut self, prompts: Vec<Prompt>) -> RunResult {
        ask(self.services, self.run, self.release, prompts).await
    }

    fn called(&mut self, call: &mut Call<Next>) {
        self.services.metrics.guest_call(&self.release.manifest().prompt_version, call.elapsed);
        self.run.spent.guest_time += call.elapsed;
        self.run.log.append(&mut call.log);
    }
}

/// Converts the stop of a conversation into step and code. Keeps the notes of a refused report.
fn run_error(run: &mut Run<'_>, stop: ConversationError<RunError>) -> RunError {
    match stop {
        ConversationError::Fault { fault, .. } => RunError::at(Step::Advance, fault.into()),
        ConversationError::OverLimit { breach, .. } => {
            RunError::at(Step::Advance, JobError::new(Code::GuestLimitExceeded, breach.to_string()))
        }
        ConversationError::NoReport { report, fault, .. } => {
            run.notes = report.notes;
            RunError::at(Step::Verify, JobError::new(Code::ReportInvalid, format!("check the report: {fault}")))
        }
        ConversationError::Unanswered(error) => error,
    }
}

/// Returns the release that the claim pinned.
fn resolve_guest(services: &Services, run: &mut Run<'_>) -> Result<Arc<Release>, JobError> {
    let digest = &run.claim.guest_digest;
    let release = services.guests.release(digest).ok_or_else(|| {
        JobError::new(Code::GuestLoadFailed, format!("resolve the guest: {digest} is not loaded on this worker"))
    })?;
    tracing::Span::current().record("prompt.version", release.manifest().prompt_version.as_str());
    run.release = Some(release.clone());
    Ok(release)
}

/// Reads the original, as the guest sees it at every call.
async fn read_transcript(services: &Services, file: &FileInfo) -> Result<Arc<Transcript>, JobError> {
    let limit = services.config.transcript_bytes;
    let read = async |objects: &Objects| {
        objects.read(&file.bucket, &file.original_key, limit).await.map_err(|error| error.for_read())
    };
    let bytes = bucket_calls(services).call(&file.bucket, read).await?;
    decode_transcript(file, &bytes).map(Arc::new)
}

/// Validates an accepted report again, in a second sandbox, and writes it.
async fn write_report(services: &Services, run: &mut Run<'_>, release: &Release, report: Report) -> RunResult {
    // Set first: a report that is not written leaves its notes in the raw output.
    run.notes = report.notes;
    let found = release.verify(&report.document).await.at_step(Step::Verify)?;
    if !found.is_empty() {
        let message = format!("check the report against its schema: {}", release.summary(&found));
        run.findings = found;
        return Err(RunError::at(Step::Verify, JobError::new(Code::ReportInvalid, message)));
    }
    let file = &run.claim.file;
    let key = run_key(file, run.claim.lease, RunArtifact::Report);
    // Set before the write: a write that is interrupted may have landed, and must be deleted then.
    run.report_key = Some(key.clone());
    let document = Bytes::from(report.document);
    if let Some(kept) = &mut run.kept {
        kept.report = Some(document.clone());
    }
    let may_have_written = AtomicBool::new(true);
    let write = async |objects: &Objects| {
        objects.write_json(&file.bucket, &key, document).await.map_err(|error| {
            may_have_written.store(error.may_have_written(), Ordering::Relaxed);
            error.for_write()
        })
    };
    // The report does not wait for the journal writes under way; the settlement does.
    if let Err(error) = bucket_calls(services).call(&file.bucket, write).await {
        if !may_have_written.into_inner() {
            run.report_key = None;
        }
        return Err(RunError::at(Step::WriteReport, error));
    }
    write_notes(services, run).await;
    Ok(())
}
