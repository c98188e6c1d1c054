//! Why a sweep did not come to its end, each with its cure.

use assay_db::DbError;
use assay_objects::ObjectsError;
use uuid::Uuid;

/// Why a sweep stopped.
#[derive(Debug, thiserror::Error)]
pub enum SweepError {
    /// Nobody has said whose bucket it is.
    #[error(
        "the bucket {bucket} has no assay/database.json, so that nobody knows whether its objects are those of this database; where \
         they are, run `assay sweep --mark`"
    )]
    NotMarked {
        /// The bucket.
        bucket: String,
    },
    /// It is another database's.
    #[error(
        "the bucket {bucket} is marked as that of the database {other}, and this is {database}: its objects are not swept; correct \
         S3_BUCKET or DATABASE_URL, or where this database has taken the other's place, delete assay/database.json and run \
         `assay sweep --mark`"
    )]
    NotOurs {
        /// The bucket.
        bucket: String,
        /// The database that it is marked with.
        other: Uuid,
        /// This one.
        database: Uuid,
    },
    /// The marker cannot be read as one.
    #[error(
        "assay/database.json in the bucket {bucket} names no database; where its objects are those of this database, delete it and run \
         `assay sweep --mark`"
    )]
    NoMarker {
        /// The bucket.
        bucket: String,
    },
    /// More than is plausible.
    #[error(
        "no row points at {orphans} of {listed} objects, more than {percent} %: nothing was deleted. It is so after the database was \
         restored to an earlier moment, or where another database's objects lie in the bucket; `assay sweep --keys` shows them, and \
         --max-percent lets them go"
    )]
    TooMany {
        /// Objects without a row.
        orphans: u64,
        /// Objects under `users/`.
        listed: u64,
        /// The most that may go, in percent.
        percent: u8,
    },
    /// While it deleted, more had lost their rows than it may delete.
    #[error(
        "stopped after {deleted} deletions: more objects have no row than a moment ago, and more than {percent} % of them all; look \
         at what happened to the rows before you run it again"
    )]
    Grew {
        /// Objects that were deleted.
        deleted: u64,
        /// The most that may go, in percent.
        percent: u8,
    },
    /// The store.
    #[error(transparent)]
    Objects(#[from] ObjectsError),
    /// The database.
    #[error(transparent)]
    Database(#[from] DbError),
}
