//! What differs between stores, and keys that change.

use std::{fs, path::Path};

use aws_sdk_s3::types::ServerSideEncryption;
use flate2::{Compression, write::GzEncoder};

use super::*;

fn ok() -> Reply {
    response(200, &[("etag", "\"1\"")], "")
}

async fn write(objects: &Objects) -> Result<(), ObjectsError> {
    objects.write_json("files", "a", Bytes::from_static(b"{}")).await
}

/// Returns the head of the only request that a write sends.
async fn head_of_write(change: impl FnOnce(ObjectsConfig) -> ObjectsConfig) -> String {
    let server = ScriptedServer::start([ok()]).await;
    let objects = Objects::new(&change(config(&format!("http://127.0.0.1:{}", server.port))));
    write(&objects).await.expect("a write");
    server.received()[0].head.clone()
}

#[tokio::test]
async fn a_written_object_carries_what_the_deployment_demands() {
    let plain = head_of_write(|config| config).await;
    assert!(!plain.contains("x-amz-checksum") && !plain.contains("server-side-encryption"), "{plain}");
    let writing = WriteOptions { checksum: true, ..WriteOptions::default() };
    let head = head_of_write(|config| ObjectsConfig { writing, ..config }).await;
    assert!(head.contains("x-amz-checksum-crc32: "), "{head}");
    // A trailer is what stores refuse, and what a body in memory does not need.
    assert!(!head.contains("x-amz-trailer") && !head.contains("aws-chunked"), "{head}");
    let writing = WriteOptions {
        encryption: Some(ServerSideEncryption::AwsKms),
        kms_key: Some("alias/reports".to_owned()),
        ..WriteOptions::default()
    };
    let head = head_of_write(|config| ObjectsConfig { writing, ..config }).await;
    assert!(head.contains("x-amz-server-side-encryption: aws:kms"), "{head}");
    assert!(head.contains("x-amz-server-side-encryption-aws-kms-key-id: alias/reports"), "{head}");
}

#[tokio::test]
async fn a_path_of_the_endpoint_stays_before_the_bucket() {
    let server = ScriptedServer::start([ok()]).await;
    let endpoint = format!("http://127.0.0.1:{}/storage/v1/s3/", server.port);
    write(&Objects::new(&config(&endpoint))).await.expect("a write");
    assert!(server.received()[0].head.starts_with("put /storage/v1/s3/files/a"), "{:?}", server.received()[0].head);
}

#[tokio::test]
async fn the_bucket_stands_in_the_host_name_where_the_store_demands_it() {
    let server = ScriptedServer::start([ok()]).await;
    let endpoint = format!("http://localhost:{}", server.port);
    let virtual_hosted = ObjectsConfig { path_style: false, ..config(&endpoint) };
    let refused = write(&Objects::new(&virtual_hosted)).await;
    // Where `files.localhost` has an address, the request names it.
    match refused {
        Ok(()) => assert!(server.received()[0].head.contains("files.localhost"), "{:?}", server.received()[0].head),
        Err(error) => assert!(matches!(error.kind, ObjectsErrorKind::Network(_)), "{error}"),
    }
}

#[tokio::test]
async fn the_region_that_an_answer_names_is_kept() {
    let body = "<Error><Code>AuthorizationHeaderMalformed</Code><Message>m</Message></Error>";
    let reply = response(400, &[("x-amz-bucket-region", "eu-central-1")], body);
    let (_server, objects) = scripted([reply]).await;
    let error = write(&objects).await.expect_err("another region");
    assert_eq!((error.kind, error.region.as_deref()), (ObjectsErrorKind::Rejected, Some("eu-central-1")));
}

#[tokio::test]
async fn an_original_in_gzip_is_unpacked_within_the_limit() {
    use std::io::Write as _;
    let text = "words of a meeting ".repeat(500);
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text.as_bytes()).expect("memory");
    let packed = encoder.finish().expect("memory");
    let (_server, objects) = scripted([vec![Act::Send(reply(&packed))]]).await;
    assert_eq!(objects.read("files", "a", text.len()).await.expect("text"), text);
    let error = objects.read("files", "a", text.len() - 1).await.expect_err("longer than the limit");
    assert!(matches!(error.kind, ObjectsErrorKind::TooLarge { .. }), "{error}");
    let (_server, objects) = scripted([vec![Act::Send(reply(&packed[..packed.len() - 4]))]]).await;
    let error = objects.read("files", "a", text.len()).await.expect_err("it breaks off").for_read();
    assert_eq!((error.code, error.class()), (Code::TranscriptInvalidEncoding, Class::Fail));
}

fn reply(body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

fn in_file(variable: &'static str, path: &Path, value: &str) -> Secret {
    fs::write(path, value).expect("a file");
    Secret::from_file(variable, path).expect("a secret")
}

#[tokio::test]
async fn other_keys_are_tried_at_once_where_the_store_refuses_these() {
    let folder = tempfile::tempdir().expect("a folder");
    let [id, secret, token] = ["id", "secret", "token"].map(|name| folder.path().join(name));
    for code in ["InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidToken", "ExpiredToken"] {
        let keys = S3Keys {
            id: in_file("S3_ACCESS_KEY_ID_FILE", &id, "first"),
            secret: in_file("S3_SECRET_ACCESS_KEY_FILE", &secret, "hush"),
            token: Some(in_file("S3_SESSION_TOKEN_FILE", &token, "one")),
        };
        let server = ScriptedServer::start([refusal(403, code), ok(), refusal(403, code)]).await;
        let credentials = S3Credentials::Keys(keys);
        let endpoint = format!("http://127.0.0.1:{}", server.port);
        let objects = Objects::new(&ObjectsConfig { credentials, ..config(&endpoint) });
        fs::write(&id, "second").expect("a file");
        write(&objects).await.expect("the second key is right");
        let heads: Vec<_> = server.received().into_iter().map(|request| request.head).collect();
        assert!(heads[0].contains("credential=first/") && heads[1].contains("credential=second/"), "{code}: {heads:?}");
        assert!(heads[1].contains("x-amz-security-token: one"), "{code}");
        // The same keys are not tried twice.
        let error = write(&objects).await.expect_err("no other key");
        assert_eq!((error.code.as_deref(), server.received().len()), (Some(code), 3));
    }
}

#[tokio::test]
async fn a_missing_right_is_no_reason_to_read_keys_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let [id, secret] = ["id", "secret"].map(|name| folder.path().join(name));
    let keys = S3Keys {
        id: in_file("S3_ACCESS_KEY_ID_FILE", &id, "first"),
        secret: in_file("S3_SECRET_ACCESS_KEY_FILE", &secret, "hush"),
        token: None,
    };
    let server = ScriptedServer::start([refusal(403, "AccessDenied")]).await;
    let endpoint = format!("http://127.0.0.1:{}", server.port);
    let objects = Objects::new(&ObjectsConfig { credentials: S3Credentials::Keys(keys), ..config(&endpoint) });
    fs::write(&id, "second").expect("a file");
    assert_eq!(write(&objects).await.expect_err("refused").kind, ObjectsErrorKind::AccessDenied);
    assert_eq!(server.received().len(), 1);
}
