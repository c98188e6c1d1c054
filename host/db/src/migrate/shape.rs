//! The columns that another program's tables must have, and how Assay uses each.

/// What a column must have.
#[derive(Clone, Copy, Debug)]
pub(super) struct Column {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) nulls: Nulls,
}

/// The types that a column may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Uuid,
    /// Text of any length, which Assay only reads.
    Read,
    /// Text without a length limit, because Assay writes it.
    Written,
    Status,
    Integer,
    /// An integer of either size.
    Size,
    Instant,
}

/// Whether a column may hold NULL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Nulls {
    /// NULL must be allowed: Assay writes it.
    Needed,
    /// NULL must not be allowed: Assay would read it.
    Refused,
    Either,
}

impl Kind {
    /// Returns whether a column has this type, by its name from `format_type`.
    pub(super) fn accepts(self, named: &str) -> bool {
        match self {
            Self::Uuid => named == "uuid",
            Self::Read | Self::Status => named == "text" || named.starts_with("character varying"),
            Self::Written => named == "text" || named == "character varying",
            Self::Integer => named == "integer",
            Self::Size => named == "bigint" || named == "integer",
            Self::Instant => named.starts_with("timestamp") && named.ends_with("with time zone"),
        }
    }

    /// Returns the accepted types, for a message.
    pub(super) fn expected(self) -> &'static str {
        match self {
            Self::Uuid => "uuid",
            Self::Read | Self::Status => "text or character varying",
            Self::Written => "text or character varying without a length",
            Self::Integer => "integer",
            Self::Size => "bigint or integer",
            Self::Instant => "timestamp with time zone",
        }
    }
}

const fn column(name: &'static str, kind: Kind, nulls: Nulls) -> Column {
    Column { name, kind, nulls }
}

pub(super) const FILES: [Column; 20] = [
    column("id", Kind::Uuid, Nulls::Refused),
    column("user_id", Kind::Uuid, Nulls::Refused),
    column("storage_bucket", Kind::Read, Nulls::Refused),
    column("storage_key_original", Kind::Read, Nulls::Refused),
    column("original_filename", Kind::Read, Nulls::Refused),
    column("extension", Kind::Read, Nulls::Refused),
    column("mime_type", Kind::Read, Nulls::Either),
    column("size_bytes", Kind::Size, Nulls::Refused),
    column("status", Kind::Status, Nulls::Refused),
    column("error_code", Kind::Written, Nulls::Needed),
    column("error_message", Kind::Written, Nulls::Needed),
    column("storage_key_report", Kind::Written, Nulls::Needed),
    column("storage_key_raw_llm_output", Kind::Written, Nulls::Needed),
    column("prompt_version", Kind::Written, Nulls::Needed),
    column("schema_version", Kind::Written, Nulls::Needed),
    column("processing_attempts", Kind::Integer, Nulls::Refused),
    column("queued_at", Kind::Instant, Nulls::Needed),
    column("started_at", Kind::Instant, Nulls::Needed),
    column("processed_at", Kind::Instant, Nulls::Needed),
    column("created_at", Kind::Instant, Nulls::Refused),
];

pub(super) const JOBS: [Column; 13] = [
    column("id", Kind::Uuid, Nulls::Refused),
    column("file_id", Kind::Uuid, Nulls::Refused),
    column("status", Kind::Status, Nulls::Refused),
    column("attempts", Kind::Integer, Nulls::Refused),
    column("max_attempts", Kind::Integer, Nulls::Refused),
    column("next_run_at", Kind::Instant, Nulls::Refused),
    column("locked_by", Kind::Written, Nulls::Needed),
    column("locked_at", Kind::Instant, Nulls::Needed),
    column("heartbeat_at", Kind::Instant, Nulls::Needed),
    column("lock_ttl_seconds", Kind::Integer, Nulls::Refused),
    column("last_error_code", Kind::Written, Nulls::Needed),
    column("last_error_message", Kind::Written, Nulls::Needed),
    column("created_at", Kind::Instant, Nulls::Refused),
];

/// Assay writes it in both tables with each change.
pub(super) const UPDATED_AT: Column = column("updated_at", Kind::Instant, Nulls::Refused);

/// Columns that adopting adds, by table.
pub(super) const ADDED: [(&str, &[&str]); 2] = [
    ("files", &["attributes", "guest_digest"]),
    (
        "processing_jobs",
        &[
            "channel",
            "priority",
            "lease_token",
            "prompt_version",
            "guest_digest",
            "snoozes",
            "cancel_requested_at",
            "life",
            "last_error_step",
        ],
    ),
];

/// Columns of `processing_jobs` that `assay_fill_job` fills in each row that Assay inserts, with or without a default.
pub(super) const FILLED: [&str; 8] =
    ["id", "file_id", "status", "attempts", "max_attempts", "next_run_at", "created_at", "updated_at"];

/// Rows as Assay leaves them, to try the other program's CHECKs on: a table, and its values besides [`FILE`] or
/// [`JOB`].
pub(super) const ROW_STATES: [(&str, &str); 13] = [
    ("files", r#"{"status": "uploaded", "queued_at": null, "started_at": null, "processing_attempts": 0}"#),
    ("files", r#"{"status": "queued", "started_at": null, "processing_attempts": 0}"#),
    (
        "files",
        r#"{"status": "queued", "storage_key_report": "users/u/files/f/runs/j-1/report.json", "prompt_version": "v"}"#,
    ),
    ("files", r#"{"status": "processing"}"#),
    (
        "files",
        r#"{"status": "processing", "storage_key_report": "users/u/files/f/runs/j-1/report.json", "prompt_version": "v"}"#,
    ),
    (
        "files",
        r#"{"status": "succeeded", "storage_key_report": "users/u/files/f/runs/j-1/report.json", "prompt_version": "v",
            "schema_version": "1", "processed_at": "2026-01-01T00:00:03Z"}"#,
    ),
    (
        "files",
        r#"{"status": "failed", "error_code": "schema_validation_failed", "error_message": "m", "prompt_version": "v",
            "storage_key_raw_llm_output": "users/u/files/f/runs/j-1/raw_llm_output.json",
            "storage_key_report": "users/u/files/f/runs/j-0/report.json", "processed_at": "2026-01-01T00:00:03Z"}"#,
    ),
    ("processing_jobs", r#"{"status": "queued", "attempts": 0}"#),
    ("processing_jobs", r#"{"status": "queued", "last_error_code": "llm_timeout", "last_error_message": "m"}"#),
    (
        "processing_jobs",
        r#"{"status": "processing", "lock_ttl_seconds": 30, "locked_by": "w", "locked_at": "2026-01-01T00:00:02Z",
            "heartbeat_at": "2026-01-01T00:00:02Z", "last_error_code": "llm_timeout", "last_error_message": "m"}"#,
    ),
    ("processing_jobs", r#"{"status": "succeeded"}"#),
    (
        "processing_jobs",
        r#"{"status": "failed", "last_error_code": "schema_validation_failed", "last_error_message": "m"}"#,
    ),
    (
        "processing_jobs",
        r#"{"status": "failed", "attempts": 0, "last_error_code": "cancelled", "last_error_message": "m"}"#,
    ),
];

/// Values of every row of `files`.
pub(super) const FILE: &str = r#"{
    "id": "00000000-0000-0000-0000-000000000001", "user_id": "00000000-0000-0000-0000-000000000002", "storage_bucket": "b",
    "storage_key_original": "users/u/files/f/original.txt", "original_filename": "meeting.txt", "extension": "txt",
    "mime_type": "text/plain", "size_bytes": 41, "processing_attempts": 1, "queued_at": "2026-01-01T00:00:01Z",
    "started_at": "2026-01-01T00:00:02Z", "created_at": "2026-01-01T00:00:00Z", "updated_at": "2026-01-01T00:00:03Z"
}"#;

/// Values of every row of `processing_jobs`.
pub(super) const JOB: &str = r#"{
    "id": "00000000-0000-0000-0000-000000000003", "file_id": "00000000-0000-0000-0000-000000000001", "attempts": 1,
    "max_attempts": 4, "next_run_at": "2026-01-01T00:00:01Z", "lock_ttl_seconds": 300,
    "created_at": "2026-01-01T00:00:00Z", "updated_at": "2026-01-01T00:00:03Z"
}"#;

/// Columns that Assay writes, by table: no foreign key and no unique index may constrain them.
pub(super) const WRITTEN: [(&str, &[&str]); 2] = [
    (
        "files",
        &[
            "error_code",
            "error_message",
            "storage_key_report",
            "storage_key_raw_llm_output",
            "prompt_version",
            "schema_version",
            "processing_attempts",
            "queued_at",
            "started_at",
            "processed_at",
        ],
    ),
    (
        "processing_jobs",
        &["attempts", "next_run_at", "locked_by", "locked_at", "heartbeat_at", "last_error_code", "last_error_message"],
    ),
];
