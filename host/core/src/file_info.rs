//! What a run knows about its file.

use crate::ids::{FileId, UserId};

/// The file of a claimed job.
#[derive(Debug)]
pub struct FileInfo {
    pub id: FileId,
    pub user: UserId,
    /// The bucket that holds the file's objects.
    pub bucket: String,
    /// The key of the original.
    pub original_key: String,
    /// The name the user gave it; may be empty. Content: never logged.
    pub filename: String,
    /// IANA media type of the original.
    pub media_type: String,
    /// When the file was received, RFC 3339 in UTC, from the database.
    pub received_at: String,
    /// What the application attached, sorted by name. Content: never logged.
    pub attributes: Vec<(String, String)>,
}
