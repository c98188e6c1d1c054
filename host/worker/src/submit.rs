//! Handing a file in: upload first, then row and job in one transaction; what fails leaves nothing behind unsaid.

use assay_core::{
    code::Code,
    ids::{FileId, JobId, UserId},
    job::{self},
    job_error::JobError,
};
use assay_db::{Database, DbError, files::NewFile};
use assay_objects::Objects;
use bytes::Bytes;

/// A document to hand in.
#[derive(Debug)]
pub struct Document<'a> {
    /// The owner.
    pub user: UserId,
    /// The name the user gave it.
    pub filename: &'a str,
    /// Its kind.
    pub kind: Kind,
    /// Its bytes, as they are.
    pub bytes: Bytes,
    /// The prompt version to run; the channel's release where none is named.
    pub prompt_version: Option<&'a str>,
}

/// The kinds of document that the contract knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Plain text.
    Text,
    /// WebVTT captions.
    Vtt,
}

impl Kind {
    /// The kind of a file by its name.
    pub fn of(filename: &str) -> Option<Self> {
        let (_, extension) = filename.rsplit_once('.')?;
        match extension.to_ascii_lowercase().as_str() {
            "txt" => Some(Self::Text),
            "vtt" => Some(Self::Vtt),
            _ => None,
        }
    }

    /// `files.extension`.
    pub const fn extension(self) -> &'static str {
        match self {
            Self::Text => "txt",
            Self::Vtt => "vtt",
        }
    }

    /// `files.mime_type`.
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
/// `s3_write_failed` and its kin when the upload fails, `db_update_failed` when the rows could not be written. Either way
/// what the bucket may hold is deleted, or told of in one event where that fails too, or where nobody can tell whether
/// the rows exist.
pub async fn submit(
    objects: &Objects,
    database: &Database,
    document: Document<'_>,
) -> Result<(FileId, JobId), JobError> {
    let file = FileId(uuid::Uuid::new_v4());
    let key = job::original_key(document.user, file, document.kind.extension());
    let size_bytes = i64::try_from(document.bytes.len()).unwrap_or(i64::MAX);
    if let Err(error) = objects.write(objects.bucket(), &key, document.kind.mime_type(), document.bytes).await {
        // Without an answer the object may be there.
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

/// The rows may exist although the answer was lost: look before deleting anything.
async fn compensate(
    objects: &Objects,
    database: &Database,
    file: FileId,
    key: &str,
    error: DbError,
) -> Result<(FileId, JobId), JobError> {
    let failed = |error: DbError| JobError::new(Code::DbUpdateFailed, "enqueue the file").caused_by(error);
    if error.is_ambiguous() {
        match database.file_status(file).await {
            Ok(Some(status)) => {
                let job = status.job.map(|job| JobId(job.job_id));
                return job.map(|job| (file, job)).ok_or_else(|| failed(error));
            }
            // Not there yet, or never: a COMMIT that is late may still land, and its file needs the original.
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

/// Deletes an upload that no row points at, or says that it is there.
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
        assert_eq!(Kind::of("Weekly.VTT"), Some(Kind::Vtt));
        assert_eq!(Kind::of("notes.txt"), Some(Kind::Text));
        assert_eq!(Kind::of("notes.pdf"), None);
        assert_eq!(Kind::of("txt"), None);
    }
}
