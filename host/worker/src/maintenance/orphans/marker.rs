//! The marker object of a bucket: which database its objects belong to.

use assay_db::Database;
use assay_objects::{Objects, ObjectsErrorKind};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::SweepError;

/// Outside of `users/`, so that it is none of what it speaks of.
pub const KEY: &str = "assay/database.json";
/// A marker has some 60 bytes.
const MAX_BYTES: usize = 4096;

/// What the marker says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Marker {
    /// As in `installation.id`.
    pub database: Uuid,
}

/// What became of marking a bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Marked {
    /// It is marked now.
    Now(Marker),
    /// It was marked as this database's before.
    Before(Marker),
}

impl Marker {
    /// The marker of the configured bucket; none where there is none.
    ///
    /// # Errors
    /// [`SweepError::NoMarker`] where the object is something else.
    pub async fn read(objects: &Objects) -> Result<Option<Self>, SweepError> {
        let no_marker = || SweepError::NoMarker { bucket: objects.bucket().to_owned() };
        match objects.read(objects.bucket(), KEY, MAX_BYTES).await {
            Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(|_content| no_marker()),
            Err(error) if error.kind == ObjectsErrorKind::NotFound => Ok(None),
            Err(error) if matches!(error.kind, ObjectsErrorKind::TooLarge { .. }) => Err(no_marker()),
            Err(error) => Err(error.into()),
        }
    }

    /// Says that the configured bucket is this database's, where nothing says so yet.
    ///
    /// # Errors
    /// [`SweepError::NotOurs`] where it is another's; that is never overwritten.
    pub async fn write(objects: &Objects, database: &Database) -> Result<Marked, SweepError> {
        let ours = Self { database: database.installation().await? };
        let bucket = || objects.bucket().to_owned();
        let not_ours =
            |other: Self| SweepError::NotOurs { bucket: bucket(), other: other.database, database: ours.database };
        match Self::read(objects).await? {
            Some(marker) if marker == ours => return Ok(Marked::Before(ours)),
            Some(marker) => return Err(not_ours(marker)),
            None => {}
        }
        let bytes = Bytes::from(serde_json::to_vec(&ours).expect("a UUID is always JSON"));
        objects.write_json(objects.bucket(), KEY, bytes).await?;
        // Somebody else may have written at the same time; the last one counts.
        match Self::read(objects).await? {
            Some(marker) if marker == ours => Ok(Marked::Now(ours)),
            Some(marker) => Err(not_ours(marker)),
            None => Err(SweepError::NotMarked { bucket: bucket() }),
        }
    }
}
