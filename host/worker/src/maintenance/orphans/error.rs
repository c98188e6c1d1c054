//! Why a sweep stopped, with the fix.

use assay_db::DbError;
use assay_objects::ObjectsError;
use uuid::Uuid;

/// Why a sweep stopped.
#[derive(Debug, thiserror::Error)]
pub enum SweepError {
    #[error(
        "the bucket {bucket} has no assay/database.json: a sweep needs it to know that the objects belong to this database; if they \
         do, run `assay sweep --mark`"
    )]
    NotMarked { bucket: String },
    /// The bucket is marked with another database.
    #[error(
        "the bucket {bucket} is marked for the database {other}, and this is {database}: its objects are not swept; correct \
         S3_BUCKET or DATABASE_URL; if this database replaces the other one, delete assay/database.json and run \
         `assay sweep --mark`"
    )]
    NotOurs {
        bucket: String,
        /// The database in the marker.
        other: Uuid,
        /// This database.
        database: Uuid,
    },
    #[error(
        "assay/database.json in the bucket {bucket} names no database; if the objects belong to this database, delete it and run \
         `assay sweep --mark`"
    )]
    NoMarker { bucket: String },
    /// More orphans than one sweep may delete.
    #[error(
        "no row points at {orphans} of {listed} objects, more than {percent} %: nothing was deleted. The usual causes are a \
         database that was restored to an earlier moment, and objects of another database in the bucket; `assay sweep --keys` \
         shows them, and --max-percent allows their deletion"
    )]
    TooMany {
        /// Objects without a row.
        orphans: u64,
        /// Objects under `users/`.
        listed: u64,
        /// Largest share that may be deleted, in percent.
        percent: u8,
    },
    /// Objects lost their rows while the sweep deleted.
    #[error(
        "stopped after {deleted} deletions: while the sweep ran, the objects without a row grew to more than {percent} % of all; \
         find out what happened to the rows before you sweep again"
    )]
    Grew {
        deleted: u64,
        /// Largest share that may be deleted, in percent.
        percent: u8,
    },
    #[error(transparent)]
    Objects(#[from] ObjectsError),
    #[error(transparent)]
    Database(#[from] DbError),
}
