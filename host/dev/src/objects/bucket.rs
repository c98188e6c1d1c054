//! One bucket in a folder, reached by the S3 protocol or directly from this process.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
};

use anyhow::{Context, Result, anyhow, bail};
use async_trait::async_trait;
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::BodyExt;
use s3s::{
    Body, S3Result,
    access::{S3Access, S3AccessContext},
    auth::{S3Auth, SecretKey},
    s3_error,
    service::{S3Service, S3ServiceBuilder},
};

use super::keys::Keys;

/// The longest bucket name, in bytes.
///
/// The store names side files after bucket and key, both in Base64. With Assay's longest keys, a longer name exceeds the 255 bytes of a
/// file name.
pub const MAX_BUCKET_NAME: usize = 15;

/// A bucket. Clones share it.
#[derive(Debug, Clone)]
pub struct Bucket {
    name: String,
    folder: PathBuf,
    service: S3Service,
    accepted: Arc<RwLock<Vec<Keys>>>,
}

/// Accepts the keys that hold now.
struct AcceptedKeys(Arc<RwLock<Vec<Keys>>>);

#[async_trait]
impl S3Auth for AcceptedKeys {
    async fn get_secret_key(&self, access: &str) -> S3Result<SecretKey> {
        let accepted = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let keys = accepted.iter().find(|keys| keys.access == access);
        keys.map(|keys| keys.secret.as_str().into()).ok_or_else(|| s3_error!(InvalidAccessKeyId))
    }
}

impl Bucket {
    /// Opens or creates the bucket `name` in `folder`. Open a folder only once at a time: the store numbers its temporary files.
    ///
    /// # Errors
    /// If the name is not a bucket name of at most [`MAX_BUCKET_NAME`] bytes, or the folder cannot be made.
    pub fn open(folder: &Path, name: &str, keys: &Keys) -> Result<Self> {
        let valid = name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if !valid || !(3..=MAX_BUCKET_NAME).contains(&name.len()) {
            bail!("invalid bucket name {name:?}: expected 3 to {MAX_BUCKET_NAME} characters out of a-z, 0-9 and -");
        }
        let bucket = folder.join(name);
        fs::create_dir_all(&bucket).with_context(|| format!("create {}", bucket.display()))?;
        let store = s3s_fs::FileSystem::new(folder)
            .map_err(|error| anyhow!("open {} as an object store: {error:?}", folder.display()))?;
        let mut builder = S3ServiceBuilder::new(store);
        let accepted = Arc::new(RwLock::new(vec![keys.clone()]));
        builder.set_auth(AcceptedKeys(accepted.clone()));
        builder.set_access(SignedOrDirect);
        Ok(Self { name: name.to_owned(), folder: bucket, service: builder.build(), accepted })
    }

    /// Accepts these keys from now on, and no others.
    pub fn accept(&self, keys: &[Keys]) {
        *self.accepted.write().unwrap_or_else(PoisonError::into_inner) = keys.to_vec();
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// Answers one request of the S3 protocol.
    pub async fn answer(&self, request: Request<Body>) -> Response<Body> {
        self.service.call(request).await.unwrap_or_else(|_| {
            let mut response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
            response
        })
    }

    /// Stores an object, without HTTP or a signature.
    ///
    /// # Errors
    /// If the store refuses the key or cannot write.
    pub async fn put(&self, key: &str, bytes: impl Into<Bytes>) -> Result<()> {
        let (status, _) = self.direct(Method::PUT, key, bytes.into()).await?;
        if !status.is_success() {
            bail!("store answered {status} to a write");
        }
        Ok(())
    }

    /// Reads an object; returns `None` if it does not exist.
    ///
    /// # Errors
    /// If the store refuses the key or cannot read.
    pub async fn get(&self, key: &str) -> Result<Option<Bytes>> {
        match self.direct(Method::GET, key, Bytes::new()).await? {
            (StatusCode::NOT_FOUND, _) => Ok(None),
            (status, bytes) if status.is_success() => Ok(Some(bytes)),
            (status, _) => bail!("store answered {status} to a read"),
        }
    }

    /// Removes an object, if it exists.
    ///
    /// # Errors
    /// If the store refuses the key or cannot write.
    pub async fn delete(&self, key: &str) -> Result<()> {
        match self.direct(Method::DELETE, key, Bytes::new()).await?.0 {
            StatusCode::NOT_FOUND => Ok(()),
            status if status.is_success() => Ok(()),
            status => bail!("store answered {status} to a delete"),
        }
    }

    /// Lists the keys that begin with `prefix`, sorted.
    ///
    /// # Errors
    /// If the folder cannot be read.
    pub fn keys(&self, prefix: &str) -> Result<Vec<String>> {
        let mut keys = Vec::new();
        let mut folders = vec![self.folder.clone()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(&folder).with_context(|| format!("list {}", folder.display()))? {
                let entry = entry?;
                if entry.file_type()?.is_dir() {
                    folders.push(entry.path());
                } else if let Ok(key) = entry.path().strip_prefix(&self.folder) {
                    keys.push(key.to_string_lossy().into_owned());
                }
            }
        }
        keys.retain(|key| key.starts_with(prefix));
        keys.sort();
        Ok(keys)
    }

    /// Returns the file that holds an object.
    pub fn path(&self, key: &str) -> PathBuf {
        self.folder.join(key)
    }

    async fn direct(&self, method: Method, key: &str, bytes: Bytes) -> Result<(StatusCode, Bytes)> {
        let request = Request::builder()
            .method(method)
            .uri(format!("/{}/{}", self.name, encode(key)))
            .header("content-length", bytes.len())
            .header("host", "localhost")
            .extension(Direct)
            .body(Body::from(bytes))
            .context("make a request for the store")?;
        let response = self.answer(request).await;
        let status = response.status();
        let body = response.into_body().collect().await.map_err(|error| anyhow!("read the store's answer: {error}"))?;
        Ok((status, body.to_bytes()))
    }
}

/// Marks a request of this process. No client can set it.
#[derive(Clone)]
struct Direct;

/// Allows signed requests and requests of this process.
struct SignedOrDirect;

#[async_trait::async_trait]
impl S3Access for SignedOrDirect {
    async fn check(&self, cx: &mut S3AccessContext<'_>) -> S3Result<()> {
        if cx.credentials().is_some() || cx.extensions_mut().get::<Direct>().is_some() {
            return Ok(());
        }
        Err(s3_error!(AccessDenied, "Signature is required"))
    }
}

/// Percent-encodes a key for a path.
fn encode(key: &str) -> String {
    let mut path = String::with_capacity(key.len());
    for byte in key.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => path.push(char::from(byte)),
            _ => path.push_str(&format!("%{byte:02X}")),
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(method: Method, path: &str) -> Request<Body> {
        Request::builder().method(method).uri(path).header("host", "localhost").body(Body::empty()).unwrap()
    }

    #[tokio::test]
    async fn an_object_is_read_and_listed_until_it_is_deleted() {
        let folder = tempfile::tempdir().unwrap();
        let bucket = Bucket::open(folder.path(), "assay-test", &Keys::random()).unwrap();
        bucket.put("users/ä b/один.txt", "text").await.unwrap();
        bucket.put("users/ä b/один.txt", "newer text").await.unwrap();
        assert_eq!(bucket.get("users/ä b/один.txt").await.unwrap().unwrap(), "newer text");
        assert_eq!(bucket.keys("users/").unwrap(), ["users/ä b/один.txt"]);
        assert_eq!(fs::read(bucket.path("users/ä b/один.txt")).unwrap(), b"newer text");
        bucket.delete("users/ä b/один.txt").await.unwrap();
        assert_eq!(bucket.get("users/ä b/один.txt").await.unwrap(), None);
        assert_eq!(bucket.keys("").unwrap(), Vec::<String>::new());
    }

    #[tokio::test]
    async fn the_longest_key_of_a_run_fits() {
        let folder = tempfile::tempdir().unwrap();
        let bucket = Bucket::open(folder.path(), &"b".repeat(MAX_BUCKET_NAME), &Keys::random()).unwrap();
        let id = "0".repeat(36);
        let key = format!("users/{id}/files/{id}/runs/{id}-99/raw_llm_output.json");
        bucket.put(&key, "{}").await.unwrap();
        assert_eq!(bucket.get(&key).await.unwrap().unwrap(), "{}");
    }

    #[tokio::test]
    async fn an_unsigned_request_is_denied() {
        let folder = tempfile::tempdir().unwrap();
        let bucket = Bucket::open(folder.path(), "assay-test", &Keys::random()).unwrap();
        bucket.put("secret", "text").await.unwrap();
        assert_eq!(bucket.answer(request(Method::GET, "/assay-test/secret")).await.status(), StatusCode::FORBIDDEN);
    }
}
