//! Checks of the configured bucket.

use bytes::Bytes;
use uuid::Uuid;

use crate::{
    objects::Objects,
    objects_error::{ObjectsError, ObjectsErrorKind},
};

/// Whether the keys may list the bucket. Jobs do not need it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MayList {
    Yes,
    No,
}

/// How a written probe object was read and deleted.
struct ProbeResult {
    read: Result<(), ObjectsError>,
    deleted: Result<(), ObjectsError>,
}

impl Objects {
    /// Checks that this worker may write, read and delete where files are. Returns whether it may list the bucket too.
    ///
    /// # Errors
    /// Names the operation that failed. A probe object stays behind only if its delete failed.
    pub async fn probe(&self) -> Result<MayList, ObjectsError> {
        let operation = "find the bucket";
        let found = self.with_deadline(operation, |client| async move {
            let sent = client.head_bucket().bucket(&*self.bucket).send().await;
            sent.map_err(|error| ObjectsError::from_sdk(operation, error))
        });
        let not_found = match found.await {
            // A HEAD has no body for an error code. Its 404 can only mean the bucket.
            Err(error) if error.status == Some(404) => {
                return Err(ObjectsError { kind: ObjectsErrorKind::NoSuchBucket, ..error });
            }
            Err(error) => Some(error),
            Ok(_) => None,
        };
        // What a write is told says more than the status of a HEAD.
        let ProbeResult { read, deleted } = self.write_probe().await?;
        deleted?;
        read?;
        match not_found {
            None => Ok(MayList::Yes),
            Some(error) if error.kind == ObjectsErrorKind::AccessDenied => Ok(MayList::No),
            Some(error) => Err(error),
        }
    }

    /// Checks that this worker may write and read where files are.
    ///
    /// It asks for no right that jobs do not need. If the worker may not delete, the probe object stays behind.
    ///
    /// # Errors
    /// Names the operation that failed.
    pub async fn check_read_write(&self) -> Result<(), ObjectsError> {
        self.write_probe().await?.read
    }

    async fn write_probe(&self) -> Result<ProbeResult, ObjectsError> {
        let key = format!("users/{}/files/{}/probe", Uuid::nil(), Uuid::new_v4());
        let written = Bytes::from_static(b"{}");
        self.write_json(&self.bucket, &key, written.clone()).await?;
        let read = self.read(&self.bucket, &key, written.len()).await;
        let deleted = self.delete(&self.bucket, &key).await;
        let read = read.and_then(|bytes| {
            let same = bytes == written;
            same.then_some(())
                .ok_or_else(|| ObjectsError::new("read back what was written", ObjectsErrorKind::BrokenBody))
        });
        Ok(ProbeResult { read, deleted })
    }
}
