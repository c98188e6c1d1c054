//! The marker object of a bucket: it names the database that the objects belong to.

use assay_core::object_keys::MARKER_KEY;
use assay_db::Database;
use assay_objects::{Objects, ObjectsErrorKind};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::maintenance::orphans::error::SweepError;

/// Largest object that is read as a marker; a marker has some 60 bytes.
const MAX_MARKER_BYTES: usize = 4096;

/// The content of the marker object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Marker {
    /// As in `installation.id`.
    pub database: Uuid,
}

/// The result of marking a bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MarkResult {
    /// The marker was written.
    New(Marker),
    /// The bucket already had the marker of this database.
    Existing(Marker),
}

impl Marker {
    /// Reads the marker of the configured bucket, if it has one.
    ///
    /// # Errors
    /// [`SweepError::NoMarker`] when the object is not a marker; [`SweepError::Objects`] when the store fails.
    pub async fn read(objects: &Objects) -> Result<Option<Self>, SweepError> {
        let no_marker = || SweepError::NoMarker { bucket: objects.bucket().to_owned() };
        match objects.read(objects.bucket(), MARKER_KEY, MAX_MARKER_BYTES).await {
            Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(|_content| no_marker()),
            Err(error) if error.kind == ObjectsErrorKind::NotFound => Ok(None),
            Err(error) if matches!(error.kind, ObjectsErrorKind::TooLarge { .. }) => Err(no_marker()),
            Err(error) => Err(error.into()),
        }
    }

    /// Marks the configured bucket as this database's, unless it has a marker.
    ///
    /// # Errors
    /// [`SweepError::NotOurs`] when the bucket has the marker of another database, which is never overwritten; the errors of
    /// [`Self::read`]; [`SweepError::Database`].
    pub async fn write(objects: &Objects, database: &Database) -> Result<MarkResult, SweepError> {
        let ours = Self { database: database.installation().await? };
        let bucket = || objects.bucket().to_owned();
        let not_ours =
            |other: Self| SweepError::NotOurs { bucket: bucket(), other: other.database, database: ours.database };
        match Self::read(objects).await? {
            Some(marker) if marker == ours => return Ok(MarkResult::Existing(ours)),
            Some(marker) => return Err(not_ours(marker)),
            None => {}
        }
        let bytes = Bytes::from(serde_json::to_vec(&ours).expect("a UUID is always JSON"));
        objects.write_json(objects.bucket(), MARKER_KEY, bytes).await?;
        // Another command may have written at the same time; the last write counts.
        match Self::read(objects).await? {
            Some(marker) if marker == ours => Ok(MarkResult::New(ours)),
            Some(marker) => Err(not_ours(marker)),
            None => Err(SweepError::NotMarked { bucket: bucket() }),
        }
    }
}
