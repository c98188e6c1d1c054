//! Reads, writes and deletes objects.

use std::{sync::Arc, time::Duration};

use assay_core::secret::SecretFileError;
use aws_sdk_s3::{Client, primitives::ByteStream};
use bytes::{Bytes, BytesMut};
use tokio::{sync::Semaphore, time::timeout};

use crate::{
    content_encoding::{Decoded, decode},
    current_client::CurrentClient,
    objects_config::{ObjectsConfig, WriteOptions},
    objects_error::{ObjectsError, ObjectsErrorKind},
};

/// GETs per read, the first included, if bodies break off. The deadline usually ends a read earlier.
const MAX_BODY_ATTEMPTS: u32 = 3;

/// Longest gap in a body: a sixth of the default deadline, so that all attempts fit.
const MAX_BODY_GAP: Duration = Duration::from_secs(5);

/// The object store. Cheap to clone: clones share connections.
#[derive(Clone, Debug)]
pub struct Objects {
    client: CurrentClient,
    writing: Arc<WriteOptions>,
    pub(crate) bucket: Arc<str>,
    operation: Duration,
    pub(crate) body_gap: Duration,
    permits: Arc<Semaphore>,
}

impl Objects {
    /// Opens no connection yet.
    pub fn new(config: &ObjectsConfig) -> Self {
        Self {
            client: CurrentClient::new(config),
            writing: Arc::new(config.writing.clone()),
            bucket: config.bucket.as_str().into(),
            operation: config.operation,
            body_gap: MAX_BODY_GAP.min(config.operation / 3),
            permits: Arc::new(Semaphore::new(config.concurrency)),
        }
    }

    /// Returns the bucket of this deployment, where new files go.
    pub fn bucket(&self) -> &str {
        &self.bucket
    }

    /// Reads the files of the keys again. Returns whether they have others; without files they never have.
    ///
    /// # Errors
    /// A file cannot be used. The keys of before stay.
    pub fn read_keys_again(&self) -> Result<bool, SecretFileError> {
        self.client.read_again()
    }

    /// Reads an object of at most `max_bytes` bytes.
    ///
    /// # Errors
    /// Returns [`ObjectsErrorKind::TooLarge`] before it reads the body if the store announces the size, else when the limit
    /// is passed. Returns [`ObjectsErrorKind::BrokenBody`] only after the last attempt.
    pub async fn read(&self, bucket: &str, key: &str, max_bytes: usize) -> Result<Bytes, ObjectsError> {
        let operation = "read an object";
        if key.is_empty() {
            return Err(ObjectsError::new(operation, ObjectsErrorKind::NotFound));
        }
        self.with_deadline(operation, |client| async move {
            for _ in 1..MAX_BODY_ATTEMPTS {
                match self.read_once(&client, operation, bucket, key, max_bytes).await {
                    Err(error) if error.kind == ObjectsErrorKind::BrokenBody => {}
                    done => return done,
                }
            }
            self.read_once(&client, operation, bucket, key, max_bytes).await
        })
        .await
    }

    /// Writes or replaces an object.
    ///
    /// # Errors
    /// After a timeout or a broken connection the object may still have been written.
    pub async fn write(&self, bucket: &str, key: &str, content_type: &str, bytes: Bytes) -> Result<(), ObjectsError> {
        let operation = "write an object";
        // The client adds the checksum.
        let WriteOptions { encryption, kms_key, .. } = &*self.writing;
        self.with_deadline(operation, |client| {
            let request = client.put_object().bucket(bucket).key(key).content_type(content_type);
            let request = request.set_server_side_encryption(encryption.clone()).set_ssekms_key_id(kms_key.clone());
            let request = request.body(ByteStream::from(bytes.clone()));
            async move { request.send().await.map_err(|error| ObjectsError::from_sdk(operation, error)) }
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

    /// Returns whether an object exists.
    ///
    /// # Errors
    /// Fails if the store does not say. A HEAD has no error code, so a missing bucket looks like a missing object.
    pub async fn exists(&self, bucket: &str, key: &str) -> Result<bool, ObjectsError> {
        let operation = "look for an object";
        let done = self.with_deadline(operation, |client| async move {
            let sent = client.head_object().bucket(bucket).key(key).send().await;
            sent.map_err(|error| ObjectsError::from_sdk(operation, error))
        });
        match done.await {
            Ok(_) => Ok(true),
            Err(error) if error.status == Some(404) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Deletes an object. A missing object is success.
    ///
    /// # Errors
    /// After a timeout or a broken connection the object may still be gone.
    pub async fn delete(&self, bucket: &str, key: &str) -> Result<(), ObjectsError> {
        let operation = "delete an object";
        let done = self.with_deadline(operation, |client| async move {
            let sent = client.delete_object().bucket(bucket).key(key).send().await;
            sent.map_err(|error| ObjectsError::from_sdk(operation, error))
        });
        match done.await {
            Err(error) if error.kind != ObjectsErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    async fn read_once(
        &self,
        client: &Client,
        operation: &'static str,
        bucket: &str,
        key: &str,
        max_bytes: usize,
    ) -> Result<Bytes, ObjectsError> {
        let sent = client.get_object().bucket(bucket).key(key).send().await;
        let answer = sent.map_err(|error| ObjectsError::from_sdk(operation, error))?;
        let announced = answer.content_length().and_then(|length| usize::try_from(length).ok());
        if let Some(length) = announced.filter(|length| *length > max_bytes) {
            return Err(too_large(operation, length, max_bytes));
        }
        let encoding = answer.content_encoding;
        let stored = self.read_body(operation, answer.body, announced, max_bytes).await?;
        match decode(encoding.as_deref(), stored, max_bytes) {
            Decoded::Bytes(bytes) => Ok(bytes),
            Decoded::TooLarge => Err(too_large(operation, max_bytes + 1, max_bytes)),
            Decoded::Broken => Err(ObjectsError::new(operation, ObjectsErrorKind::BadEncoding)),
        }
    }

    async fn read_body(
        &self,
        operation: &'static str,
        mut body: ByteStream,
        announced: Option<usize>,
        max_bytes: usize,
    ) -> Result<Bytes, ObjectsError> {
        let broken = || ObjectsError::new(operation, ObjectsErrorKind::BrokenBody);
        let mut read = BytesMut::new();
        loop {
            let chunk = match timeout(self.body_gap, body.next()).await {
                Err(_) => return Err(broken().caused_by(format!("no data for {:?}", self.body_gap))),
                Ok(None) => break,
                Ok(Some(Err(error))) => return Err(broken().caused_by(error)),
                Ok(Some(Ok(chunk))) => chunk,
            };
            if read.len() + chunk.len() > max_bytes {
                return Err(too_large(operation, read.len() + chunk.len(), max_bytes));
            }
            if read.is_empty() && announced == Some(chunk.len()) {
                // The usual transcript arrives in one piece: no copy.
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

    /// Runs an operation, retries and body included, within its deadline. Where the store refuses the keys and there are
    /// others by now, runs it again with them.
    pub(crate) async fn with_deadline<T, F>(
        &self,
        operation: &'static str,
        work: impl Fn(Client) -> F,
    ) -> Result<T, ObjectsError>
    where
        F: Future<Output = Result<T, ObjectsError>>,
    {
        // The wait for a permit is not the store's fault, so the deadline starts after it.
        let _permit = self.permits.acquire().await;
        // The SDK's futures take tens of KB. Boxed, they are freed after the operation. In the job's own future they would
        // stay while the model answers, and thousands of jobs wait for the model.
        timeout(
            self.operation,
            Box::pin(async {
                let used = self.client.get();
                match work(used.client.clone()).await {
                    Err(error) if error.is_of_keys() && self.client.renew(&used) => {
                        work(self.client.get().client).await
                    }
                    done => done,
                }
            }),
        )
        .await
        .unwrap_or_else(|_| Err(ObjectsError::new(operation, ObjectsErrorKind::Timeout)))
    }
}

fn too_large(operation: &'static str, found: usize, limit: usize) -> ObjectsError {
    ObjectsError::new(operation, ObjectsErrorKind::TooLarge { found: found as u64, limit: limit as u64 })
}
