//! An S3 server that costs little: the real protocol, signatures included, over objects that are kept in memory.

use std::{collections::HashMap, io, net::SocketAddr, sync::Arc};

use assay_dev::Keys;
use bytes::Bytes;
use futures::{TryStreamExt, stream};
use hyper_util::rt::TokioIo;
use parking_lot::RwLock;
use s3s::{
    S3, S3Request, S3Response, S3Result,
    auth::SimpleAuth,
    dto::{
        DeleteObjectInput, DeleteObjectOutput, ETag, GetObjectInput, GetObjectOutput, HeadBucketInput,
        HeadBucketOutput, HeadObjectInput, HeadObjectOutput, PutObjectInput, PutObjectOutput, StreamingBlob,
    },
    s3_error,
    service::S3ServiceBuilder,
};
use tokio::net::TcpListener;

/// A running server with one bucket; it ends with the bench.
pub struct Store {
    address: SocketAddr,
    keys: Keys,
    objects: Objects,
}

/// What is in the bucket, by key.
#[derive(Clone, Default)]
struct Objects(Arc<RwLock<HashMap<String, Bytes>>>);

impl Store {
    /// Starts one on a free port.
    ///
    /// # Errors
    /// When no port is free.
    pub async fn start() -> anyhow::Result<Self> {
        let (keys, objects) = (Keys::random(), Objects::default());
        let mut builder = S3ServiceBuilder::new(objects.clone());
        builder.set_auth(SimpleAuth::from_single(keys.access.clone(), keys.secret.clone()));
        let service = builder.build();
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let _best_effort = stream.set_nodelay(true);
                let connection =
                    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service.clone());
                tokio::spawn(connection);
            }
        });
        Ok(Self { address, keys, objects })
    }

    /// For `S3_ENDPOINT`.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Returns the credentials that it accepts.
    pub fn keys(&self) -> &Keys {
        &self.keys
    }

    /// Stores an object, past the protocol.
    pub fn put(&self, key: String, bytes: Bytes) {
        self.objects.0.write().insert(key, bytes);
    }

    /// Reads an object, past the protocol.
    pub fn get(&self, key: &str) -> Option<Bytes> {
        self.objects.0.read().get(key).cloned()
    }
}

#[async_trait::async_trait]
impl S3 for Objects {
    async fn head_bucket(&self, _: S3Request<HeadBucketInput>) -> S3Result<S3Response<HeadBucketOutput>> {
        Ok(S3Response::new(HeadBucketOutput::default()))
    }

    async fn head_object(&self, request: S3Request<HeadObjectInput>) -> S3Result<S3Response<HeadObjectOutput>> {
        let length = self.0.read().get(&request.input.key).map(Bytes::len).ok_or_else(|| s3_error!(NoSuchKey))?;
        let content_length = i64::try_from(length).ok();
        Ok(S3Response::new(HeadObjectOutput { content_length, ..Default::default() }))
    }

    async fn get_object(&self, request: S3Request<GetObjectInput>) -> S3Result<S3Response<GetObjectOutput>> {
        let found = self.0.read().get(&request.input.key).cloned();
        let bytes = found.ok_or_else(|| s3_error!(NoSuchKey))?;
        let length = i64::try_from(bytes.len()).ok();
        let body = StreamingBlob::wrap(stream::once(async { Ok::<_, io::Error>(bytes) }));
        Ok(S3Response::new(GetObjectOutput { body: Some(body), content_length: length, ..Default::default() }))
    }

    async fn put_object(&self, request: S3Request<PutObjectInput>) -> S3Result<S3Response<PutObjectOutput>> {
        let body = request.input.body.ok_or_else(|| s3_error!(IncompleteBody))?;
        let pieces: Vec<Bytes> = body.try_collect().await.map_err(|_| s3_error!(IncompleteBody))?;
        self.0.write().insert(request.input.key, pieces.concat().into());
        Ok(S3Response::new(PutObjectOutput { e_tag: Some(ETag::Strong("bench".to_owned())), ..Default::default() }))
    }

    async fn delete_object(&self, request: S3Request<DeleteObjectInput>) -> S3Result<S3Response<DeleteObjectOutput>> {
        self.0.write().remove(&request.input.key);
        Ok(S3Response::new(DeleteObjectOutput::default()))
    }
}
