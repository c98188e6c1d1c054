//! Releases and channels: what is published, what runs where, and who changed it.

mod change;
mod publish;
mod read;
mod shadow;
mod stats;

use serde::Serialize;
use time::OffsetDateTime;

pub use change::Changed;
pub use publish::{NewRelease, Published};
pub use read::ChannelRow;
pub use shadow::{ShadowResult, ShadowTally};

/// A published release.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ReleaseRow {
    /// sha256 of the component, lower hex.
    pub digest: String,
    /// What jobs name.
    pub prompt_version: String,
    /// Counts the different bytes under one prompt version, from 1.
    pub revision: i32,
    /// Of its reports.
    pub schema_version: String,
    /// Bytes of the component.
    pub size_bytes: i64,
    /// What compiled it.
    pub toolchain: Option<String>,
    /// The hash of its sources.
    pub sources: Option<String>,
    /// Who published it.
    pub published_by: String,
    /// When.
    #[serde(with = "time::serde::rfc3339")]
    pub published_at: OffsetDateTime,
    /// Since when it serves no new jobs.
    #[serde(with = "time::serde::rfc3339::option")]
    pub retired_at: Option<OffsetDateTime>,
}

/// One line of the audit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ChangeRow {
    /// When.
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
    /// Who.
    pub actor: String,
    /// `publish`, `activate`, `canary`, `shadow`, `promote`, `halt`, `rollback` or `retire`.
    pub action: String,
    /// Where; a release is published and retired for every channel.
    pub channel: Option<String>,
    /// The release before.
    pub digest_from: Option<String>,
    /// The release after.
    pub digest_to: Option<String>,
    /// Why.
    pub reason: String,
}

/// Who changes something, and why: for the audit.
#[derive(Clone, Copy, Debug)]
pub struct By<'a> {
    /// Who.
    pub actor: &'a str,
    /// Why; may be empty.
    pub reason: &'a str,
}
