//! Checks of the configured bucket.

use bytes::Bytes;
use uuid::Uuid;

use crate::{
    objects::Objects,
    objects_error::{ObjectsError, ObjectsErrorKind},
};

/// How a written probe object was read and deleted.
struct ProbeResult {
    read: Result<(), ObjectsError>,
    deleted: Result<(), ObjectsError>,
}

impl Objects {
    /// Checks that the bucket exists and that this worker may write, read and delete where files are.
    ///
    /// # Errors
    /// Names the operation that failed. A probe object stays behind only if its delete failed.
    pub async fn probe(&self) -> Result<(), ObjectsError> {
        let operation = "find the bucket";
        self.with_deadline(operation, async || {
            self.client.head_bucket().bucket(&*self.bucket).send().await.map_err(|error| {
                // A HEAD has no body for an error code. Its 404 can only mean the bucket.
                match ObjectsError::from_sdk(operation, error) {
                    found if found.status == Some(404) => {
                        ObjectsError { kind: ObjectsErrorKind::NoSuchBucket, ..found }
                    }
                    other => other,
                }
            })
        })
        .await?;
        let ProbeResult { read, deleted } = self.write_probe().await?;
        deleted?;
        read
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
