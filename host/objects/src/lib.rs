//! The object store: transcripts are read here, answers and reports written.
//!
//! One deadline covers each operation with its retries and its body. The SDK retries a request until its headers are
//! in; a body that breaks off after that, or stands still, is this module's to notice, and is fetched anew.

mod client;
mod config;
mod error;
mod listing;
mod sdk_error;
#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

use aws_sdk_s3::{Client, primitives::ByteStream};
use bytes::{Bytes, BytesMut};
use tokio::{sync::Semaphore, time::timeout};
use uuid::Uuid;

pub use self::{
    config::ObjectsConfig,
    error::{Kind, ObjectsError, classify},
    listing::{Listed, PAGE, Page},
};

/// GETs per read, the first included, where bodies break off. The deadline usually ends a bad hour sooner.
const BODY_TRIES: u32 = 3;

/// A body of which nothing arrives for this long is given up: a sixth of the default deadline, so that all tries fit.
const BODY_GAP: Duration = Duration::from_secs(5);

/// The store, ready for use. Cheap to clone: clones share connections.
#[derive(Clone, Debug)]
pub struct Objects {
    client: Client,
    bucket: Arc<str>,
    operation: Duration,
    body_gap: Duration,
    turns: Arc<Semaphore>,
}

impl Objects {
    /// Connects to nothing yet.
    pub fn new(config: &ObjectsConfig) -> Self {
        Self {
            client: client::build(config),
            bucket: config.bucket.as_str().into(),
            operation: config.operation,
            body_gap: BODY_GAP.min(config.operation / 3),
            turns: Arc::new(Semaphore::new(config.concurrency)),
        }
    }

    /// The bucket of this deployment, where new files go.
    pub fn bucket(&self) -> &str {
        &self.bucket
    }

    /// Reads an object of at most `max_bytes` bytes.
    ///
    /// # Errors
    /// [`Kind::TooLarge`] before a byte of the body is read where the store tells the size, else as soon as the limit is
    /// passed. [`Kind::BrokenBody`] only after the last try.
    pub async fn read(&self, bucket: &str, key: &str, max_bytes: usize) -> Result<Bytes, ObjectsError> {
        let operation = "read an object";
        if key.is_empty() {
            return Err(ObjectsError::new(operation, Kind::NotFound));
        }
        self.within(operation, async || {
            for _ in 1..BODY_TRIES {
                match self.read_once(operation, bucket, key, max_bytes).await {
                    Err(error) if error.kind == Kind::BrokenBody => {}
                    done => return done,
                }
            }
            self.read_once(operation, bucket, key, max_bytes).await
        })
        .await
    }

    /// Writes an object, or replaces it.
    ///
    /// # Errors
    /// After a timeout or a broken connection the object may have been written all the same.
    pub async fn write(&self, bucket: &str, key: &str, content_type: &str, bytes: Bytes) -> Result<(), ObjectsError> {
        let operation = "write an object";
        self.within(operation, async || {
            let request = self.client.put_object().bucket(bucket).key(key).content_type(content_type);
            request.body(ByteStream::from(bytes)).send().await.map_err(|error| ObjectsError::from_sdk(operation, error))
        })
        .await?;
        Ok(())
    }

    /// Writes a JSON document.
    ///
    /// # Errors
    /// As [`Objects::write`].
    pub async fn write_json(&self, bucket: &str, key: &str, bytes: Bytes) -> Result<(), ObjectsError> {
        self.write(bucket, key, "application/json", bytes).await
    }

    /// Whether an object is there.
    ///
    /// # Errors
    /// When the store does not say. A HEAD carries no code, so a missing bucket reads as a missing object.
    pub async fn exists(&self, bucket: &str, key: &str) -> Result<bool, ObjectsError> {
        let operation = "look for an object";
        let done = self.within(operation, async || {
            let sent = self.client.head_object().bucket(bucket).key(key).send().await;
            sent.map_err(|error| ObjectsError::from_sdk(operation, error))
        });
        match done.await {
            Ok(_) => Ok(true),
            Err(error) if error.status == Some(404) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Deletes an object. That it is not there is success.
    ///
    /// # Errors
    /// After a timeout or a broken connection the object may be gone all the same.
    pub async fn delete(&self, bucket: &str, key: &str) -> Result<(), ObjectsError> {
        let operation = "delete an object";
        let done = self.within(operation, async || {
            let sent = self.client.delete_object().bucket(bucket).key(key).send().await;
            sent.map_err(|error| ObjectsError::from_sdk(operation, error))
        });
        match done.await {
            Err(error) if error.kind != Kind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Finds out whether the configured bucket is there and lets this worker write, read and delete where files live.
    ///
    /// # Errors
    /// Names the operation that did not work. A probe object stays behind only if its delete is what fails.
    pub async fn probe(&self) -> Result<(), ObjectsError> {
        let operation = "find the bucket";
        self.within(operation, async || {
            self.client.head_bucket().bucket(&*self.bucket).send().await.map_err(|error| {
                // A HEAD has no body to carry a code, so its 404 can only mean the bucket.
                match ObjectsError::from_sdk(operation, error) {
                    found if found.status == Some(404) => ObjectsError { kind: Kind::NoSuchBucket, ..found },
                    other => other,
                }
            })
        })
        .await?;
        let (read, deleted) = self.write_and_read().await?;
        deleted?;
        read
    }

    /// Finds out whether the configured bucket does what jobs need of it, where files live: no right is asked for that they do
    /// not need, so what is written stays behind where this worker may not delete.
    ///
    /// # Errors
    /// Names the operation that did not work.
    pub async fn try_out(&self) -> Result<(), ObjectsError> {
        let (read, _left_behind) = self.write_and_read().await?;
        read
    }

    /// Writes a small object, and tells how reading and deleting it ended.
    async fn write_and_read(&self) -> Result<(Result<(), ObjectsError>, Result<(), ObjectsError>), ObjectsError> {
        let key = format!("users/{}/files/{}/probe", Uuid::nil(), Uuid::new_v4());
        let written = Bytes::from_static(b"{}");
        self.write_json(&self.bucket, &key, written.clone()).await?;
        let read = self.read(&self.bucket, &key, written.len()).await;
        let deleted = self.delete(&self.bucket, &key).await;
        let read = read.and_then(|bytes| {
            let same = bytes == written;
            same.then_some(()).ok_or_else(|| ObjectsError::new("read back what was written", Kind::BrokenBody))
        });
        Ok((read, deleted))
    }

    async fn read_once(
        &self,
        operation: &'static str,
        bucket: &str,
        key: &str,
        max_bytes: usize,
    ) -> Result<Bytes, ObjectsError> {
        let sent = self.client.get_object().bucket(bucket).key(key).send().await;
        let answer = sent.map_err(|error| ObjectsError::from_sdk(operation, error))?;
        let announced = answer.content_length().and_then(|length| usize::try_from(length).ok());
        let too_large = |found: usize| {
            ObjectsError::new(operation, Kind::TooLarge { found: found as u64, limit: max_bytes as u64 })
        };
        if let Some(length) = announced.filter(|length| *length > max_bytes) {
            return Err(too_large(length));
        }
        let broken = || ObjectsError::new(operation, Kind::BrokenBody);
        let mut body = answer.body;
        let mut read = BytesMut::new();
        loop {
            let chunk = match timeout(self.body_gap, body.next()).await {
                Err(_) => {
                    return Err(broken().caused_by(format!("nothing came for {:?}", self.body_gap)));
                }
                Ok(None) => break,
                Ok(Some(Err(error))) => return Err(broken().caused_by(error)),
                Ok(Some(Ok(chunk))) => chunk,
            };
            if read.len() + chunk.len() > max_bytes {
                return Err(too_large(read.len() + chunk.len()));
            }
            if read.is_empty() && announced == Some(chunk.len()) {
                // The usual transcript comes in one piece: no copy.
                return Ok(chunk);
            }
            if read.is_empty() {
                read.reserve(announced.unwrap_or(chunk.len()));
            }
            read.extend_from_slice(&chunk);
        }
        match announced {
            Some(length) if length != read.len() => Err(broken()),
            _ => Ok(read.freeze()),
        }
    }

    /// Holds an operation, retries and body included, to its deadline.
    async fn within<T>(
        &self,
        operation: &'static str,
        work: impl AsyncFnOnce() -> Result<T, ObjectsError>,
    ) -> Result<T, ObjectsError> {
        // Waiting for a turn is no fault of the store, so it does not count against the deadline.
        let _turn = self.turns.acquire().await;
        // The SDK's futures take tens of KB. In a box they take them for the operation; in the job's own future they
        // would for as long as the model thinks, and thousands of jobs wait for it at a time.
        timeout(self.operation, Box::pin(work()))
            .await
            .unwrap_or_else(|_| Err(ObjectsError::new(operation, Kind::Timeout)))
    }
}
