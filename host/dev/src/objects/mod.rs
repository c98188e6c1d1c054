//! An S3 server in this process: files in a folder behind the real protocol, signatures included.

mod bucket;

use std::path::Path;

use anyhow::Result;
use hyper::{Request, body::Incoming};

use crate::serve::{HttpServer, boxed};
pub use bucket::{Bucket, MAX_BUCKET_NAME};

/// The credentials that a server accepts.
#[derive(Clone)]
pub struct Keys {
    /// Access key id.
    pub access: String,
    /// Secret access key.
    pub secret: String,
}

impl Keys {
    /// A pair with a random secret.
    pub fn random() -> Self {
        Self { access: "assay-dev".to_owned(), secret: format!("{:032x}", rand::random::<u128>()) }
    }
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keys").field("access", &self.access).field("secret", &"…").finish()
    }
}

/// A running S3 server with one bucket. Dropping it ends it at once; [`ObjectStore::stop`] lets requests in hand finish.
#[derive(Debug)]
pub struct ObjectStore {
    bucket: Bucket,
    keys: Keys,
    server: HttpServer,
}

impl ObjectStore {
    /// Serves `bucket` out of `folder` on 127.0.0.1; port 0 picks a free one. Both are created where missing.
    ///
    /// # Errors
    /// Where the name is no bucket name (see [`MAX_BUCKET_NAME`]), the folder cannot be made, or the port is taken.
    pub async fn start(folder: &Path, bucket: &str, keys: Keys, port: u16) -> Result<Self> {
        let bucket = Bucket::open(folder, bucket, &keys)?;
        let server = HttpServer::start(port, {
            let bucket = bucket.clone();
            move |request: Request<Incoming>| {
                let bucket = bucket.clone();
                async move { bucket.answer(request.map(Into::into)).await.map(boxed) }
            }
        })?;
        Ok(Self { bucket, keys, server })
    }

    /// The endpoint for path-style requests, such as `http://127.0.0.1:40123`.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.server.address())
    }

    /// The bucket itself, for access without HTTP.
    pub fn bucket(&self) -> &Bucket {
        &self.bucket
    }

    /// The credentials that it accepts.
    pub fn keys(&self) -> &Keys {
        &self.keys
    }

    /// Ends the server after the requests in hand.
    pub async fn stop(self) {
        self.server.stop().await;
    }
}
