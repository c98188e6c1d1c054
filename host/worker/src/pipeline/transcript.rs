//! Reads an original into the transcript that a guest sees.

use assay_core::{code::Code, file_info::FileInfo, job_error::JobError};
use assay_runtime::Transcript;

/// Decodes an original: UTF-8, without its byte-order mark, and not empty.
///
/// # Errors
/// `transcript_invalid_encoding` or `transcript_empty`.
pub fn decode_transcript(file: &FileInfo, bytes: &[u8]) -> Result<Transcript, JobError> {
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let message = format!("read the original: not UTF-8 from byte {}", error.valid_up_to());
        JobError::new(Code::TranscriptInvalidEncoding, message)
    })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if text.trim().is_empty() {
        return Err(JobError::new(Code::TranscriptEmpty, "read the original: it has no text"));
    }
    Ok(Transcript {
        id: file.id.to_string(),
        text: text.to_owned(),
        media_type: file.media_type.clone(),
        filename: file.filename.clone(),
        received_at: file.received_at.clone(),
        attributes: file.attributes.clone(),
    })
}
