//! Submits a file: uploads it, then writes file and job in one transaction. A failure deletes the upload, or logs that it stays.

use assay_core::{
    code::Code,
    ids::{FileId, JobId, UserId},
    job_error::JobError,
    object_keys::original_key,
};
use assay_db::{Database, DbError, files::NewFile};
use assay_objects::Objects;
use bytes::Bytes;

/// A document to submit.
#[derive(Debug)]
pub struct Document<'a> {
    pub user: UserId,
    pub filename: &'a str,
    pub kind: DocumentKind,
    pub bytes: Bytes,
    /// The prompt version to run; by default the release of the channel.
    pub prompt_version: Option<&'a str>,
}

/// The kinds of document that the contract knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DocumentKind {
    Text,
    /// WebVTT captions.
    Vtt,
}

impl DocumentKind {
    /// Returns the kind by the extension of a file name.
    pub fn of(filename: &str) -> Option<Self> {
        let (_, extension) = filename.rsplit_once('.')?;
        match extension.to_ascii_lowercase().as_str() {
            "txt" => Some(Self::Text),
            "vtt" => Some(Self::Vtt),
            _ => None,
        }
    }

    /// Returns `files.extension`.
    pub const fn extension(self) -> &'static str {
        match self {
            Self::Text => "txt",
            Self::Vtt => "vtt",
        }
    }

    /// Returns `files.mime_type`.
    pub const fn mime_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain",
            Self::Vtt => "text/vtt",
        }
    }
}

/// Uploads a document and enqueues its job.
///
/// # Errors
/// `s3_write_failed` or another code of the bucket when the upload fails, `db_update_failed` when the rows could not be written.
/// Either way the upload is deleted. It is logged in one event if the deletion fails, or if the rows may exist.
pub async fn submit(
    objects: &Objects,
    database: &Database,
    document: Document<'_>,
) -> Result<(FileId, JobId), JobError> {
    let file = FileId(uuid::Uuid::new_v4());
    let key = original_key(document.user, file, document.kind.extension());
    let size_bytes = i64::try_from(document.bytes.len()).unwrap_or(i64::MAX);
    if let Err(error) = objects.write(objects.bucket(), &key, document.kind.mime_type(), document.bytes).await {
        // The object may exist, although no answer came.
        if error.may_have_written() {
            discard(objects, file, &key).await;
        }
        return Err(error.for_write());
    }
    let row = NewFile {
        id: file,
        user: document.user,
        bucket: objects.bucket(),
        original_key: &key,
        filename: document.filename,
        extension: document.kind.extension(),
        mime_type: document.kind.mime_type(),
        size_bytes,
        prompt_version: document.prompt_version,
    };
    let error = match database.submit(&row).await {
        Ok(job) => return Ok((file, job)),
        Err(error) => error,
    };
    compensate(objects, database, file, &key, error).await
}

/// Checks whether the rows exist although the answer was lost, and deletes the upload only if they do not.
async fn compensate(
    objects: &Objects,
    database: &Database,
    file: FileId,
    key: &str,
    error: DbError,
) -> Result<(FileId, JobId), JobError> {
    let failed = |error: DbError| {
        let code = if matches!(error, DbError::OutOfFiles) { Code::WorkerOutOfFiles } else { Code::DbUpdateFailed };
        JobError::new(code, "enqueue the file").caused_by(error)
    };
    if error.is_ambiguous() {
        match database.file_status(file).await {
            Ok(Some(status)) => {
                let job = status.job.map(|job| JobId(job.job_id));
                return job.map(|job| (file, job)).ok_or_else(|| failed(error));
            }
            // A late COMMIT may still land, and its file needs the original.
            Ok(None) | Err(_) => {
                tracing::error!(
                    event = "orphan_upload",
                    file.id = %file,
                    object.key = key,
                    "an upload whose row may or may not exist"
                );
                return Err(failed(error));
            }
        }
    }
    discard(objects, file, key).await;
    Err(failed(error))
}

/// Deletes an upload without a row, or logs that it stays.
async fn discard(objects: &Objects, file: FileId, key: &str) {
    if let Err(error) = objects.delete(objects.bucket(), key).await {
        tracing::error!(event = "orphan_upload", file.id = %file, object.key = key, %error, "an upload without a row");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_known_by_its_extension_in_any_case() {
        assert_eq!(DocumentKind::of("Weekly.VTT"), Some(DocumentKind::Vtt));
        assert_eq!(DocumentKind::of("notes.txt"), Some(DocumentKind::Text));
        assert_eq!(DocumentKind::of("notes.pdf"), None);
        assert_eq!(DocumentKind::of("txt"), None);
    }
}
