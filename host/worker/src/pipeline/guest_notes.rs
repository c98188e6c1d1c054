//! Writes a guest's notes about an accepted report into the run folder.

use assay_core::object_keys::{RunArtifact, run_key};
use assay_runtime::{Finding, LogLine};
use bytes::Bytes;
use serde::Serialize;

use crate::{pipeline::run::Run, services::Services};

/// `notes.json`. Content.
#[derive(Serialize)]
struct GuestNotes<'a> {
    notes: &'a [Finding],
    log: &'a [LogLine],
}

/// Writes the guest's notes and log lines, if there are any. Best effort: the report does not depend on them.
pub(super) async fn write_notes(services: &Services, run: &Run<'_>) {
    if run.notes.is_empty() && run.log.is_empty() {
        return;
    }
    let notes = GuestNotes { notes: &run.notes, log: &run.log };
    let bytes = Bytes::from(serde_json::to_vec(&notes).expect("strings are always JSON"));
    let file = &run.claim.file;
    let key = run_key(file, run.claim.lease, RunArtifact::Notes);
    if let Err(error) = services.objects.write_json(&file.bucket, &key, bytes).await {
        tracing::warn!(%error, object.key = key, "guest notes were not written");
    }
}
