//! An S3 server in this process: files in a folder behind the real protocol, signatures included.

mod bucket;
mod keys;

use std::path::Path;

use anyhow::Result;
use hyper::{Request, body::Incoming};

use crate::serve::{HttpServer, boxed};
pub use bucket::{Bucket, MAX_BUCKET_NAME};
pub use keys::Keys;

/// A running S3 server with one bucket. Dropping it ends it at once; [`ObjectStore::stop`] lets requests in hand finish.
#[derive(Debug)]
pub struct ObjectStore {
    bucket: Bucket,
    keys: Keys,
    server: HttpServer,
}

impl ObjectStore {
    /// Serves `bucket` out of `folder` on 127.0.0.1 and creates both if missing; port 0 picks a free one.
    ///
    /// # Errors
    /// If the name is not a bucket name (see [`MAX_BUCKET_NAME`]), the folder cannot be made, or the port is taken.
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

    /// Returns the endpoint for path-style requests, such as `http://127.0.0.1:40123`.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.server.address())
    }

    /// Returns the bucket, for access without HTTP.
    pub fn bucket(&self) -> &Bucket {
        &self.bucket
    }

    pub fn keys(&self) -> &Keys {
        &self.keys
    }

    /// Ends the server after the requests in hand.
    pub async fn stop(self) {
        self.server.stop().await;
    }
}
