//! The adapter against a scripted server that breaks off, stalls and refuses, and against a real S3 server.

mod stores;

use std::time::{Duration, Instant};

use assay_core::{
    code::{Class, Code},
    secret::Secret,
};
use assay_dev::scripted_server::{Act, Reply, ScriptedServer, beginning, response};
use assay_network::ConnectionFault;
use bytes::Bytes;
use url::Url;

use crate::{Objects, ObjectsConfig, ObjectsError, ObjectsErrorKind, S3Credentials, S3Keys, WriteOptions, classify};

const LONG: Duration = Duration::from_secs(30);

fn config(endpoint: &str) -> ObjectsConfig {
    ObjectsConfig {
        endpoint: Some(Url::parse(endpoint).unwrap()),
        region: "us-east-1".to_owned(),
        bucket: "files".to_owned(),
        credentials: keys_of("id", "hush"),
        path_style: true,
        writing: WriteOptions::default(),
        roots: None,
        operation: LONG,
        concurrency: 4,
    }
}

fn keys_of(id: &str, secret: &str) -> S3Credentials {
    let [id, secret] = [("S3_ACCESS_KEY_ID", id), ("S3_SECRET_ACCESS_KEY", secret)]
        .map(|(variable, value)| Secret::fixed(variable, value.to_owned()));
    S3Credentials::Keys(S3Keys { id, secret, token: None })
}

async fn scripted(replies: impl IntoIterator<Item = Reply>) -> (ScriptedServer, Objects) {
    let server = ScriptedServer::start(replies).await;
    let objects = Objects::new(&config(&format!("http://127.0.0.1:{}", server.port)));
    (server, objects)
}

fn object(body: &str) -> Reply {
    response(200, &[("etag", "\"1\"")], body)
}

fn refusal(status: u16, code: &str) -> Reply {
    let body = format!("<Error><Code>{code}</Code><Message>SECRET users/1/files/2</Message></Error>");
    response(status, &[("content-type", "application/xml")], &body)
}

async fn read(objects: &Objects) -> Result<Bytes, ObjectsError> {
    objects.read("files", "users/1/SECRET", 100).await
}

/// The error of a read that the SDK does not repeat.
async fn read_error(reply: Reply) -> ObjectsError {
    let (_server, objects) = scripted([reply]).await;
    let error = read(&objects).await.expect_err("the reply is no object");
    let shown = format!("{error} {error:?}");
    assert!(!shown.contains("SECRET") && !shown.contains("hush"), "{shown}");
    error
}

// Requests and answers.

#[tokio::test]
async fn objects_are_read_and_written_by_path_on_one_connection() {
    let (server, objects) = scripted([object("hello"), object("hello"), object("")]).await;
    assert_eq!(read(&objects).await.unwrap(), "hello");
    assert_eq!(read(&objects).await.unwrap(), "hello");
    objects.write_json("files", "a/b", Bytes::from_static(b"{}")).await.unwrap();

    let received = server.received();
    assert!(received[0].head.starts_with("get /files/users/1/secret?x-id=getobject "), "{}", received[0].head);
    let write = &received[2];
    assert!(write.head.starts_with("put /files/a/b?x-id=putobject "), "{}", write.head);
    assert!(write.head.contains("content-type: application/json\r\n"));
    assert_eq!(write.body, b"{}", "no trailer, no checksum framing");
    assert!(!write.head.contains("x-amz-checksum") && !write.head.contains("aws-chunked"), "{}", write.head);
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn an_empty_object_is_read_as_nothing() {
    let (_server, objects) = scripted([object("")]).await;
    assert!(read(&objects).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_body_in_pieces_is_put_together() {
    let head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n".to_vec();
    let rest = b"6\r\n world\r\n0\r\n\r\n".to_vec();
    let (_server, objects) = scripted([vec![Act::Send(head), Act::Send(rest)]]).await;
    assert_eq!(read(&objects).await.unwrap(), "hello world");
}

// Sizes.

#[tokio::test]
async fn an_object_over_the_limit_is_refused_before_its_body_is_read() {
    let error = read_error(vec![beginning(200, 101, ""), Act::Hold]).await;
    assert_eq!(error.kind, ObjectsErrorKind::TooLarge { found: 101, limit: 100 });
    assert_eq!(error.to_string(), "read an object: 101 bytes, but at most 100 are allowed");
    assert_eq!(error.for_read().code, Code::TranscriptTooLarge);
}

#[tokio::test]
async fn an_object_of_unknown_size_is_counted_while_it_is_read() {
    let head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
    let piece = format!("40\r\n{}\r\n", "x".repeat(0x40)).into_bytes();
    let error = read_error(vec![Act::Send(head), Act::Send(piece.clone()), Act::Send(piece), Act::Hold]).await;
    assert_eq!(error.kind, ObjectsErrorKind::TooLarge { found: 128, limit: 100 });
}

#[tokio::test]
async fn an_object_at_the_limit_is_read() {
    let (_server, objects) = scripted([object(&"x".repeat(100))]).await;
    assert_eq!(read(&objects).await.unwrap().len(), 100);
}

// Failures that are retried within the deadline.

#[tokio::test]
async fn a_throttled_request_and_a_broken_connection_are_retried() {
    for fault in [refusal(503, "SlowDown"), refusal(500, "InternalError"), vec![Act::Reset], vec![Act::Close]] {
        let (server, objects) = scripted([fault.clone(), object("hello")]).await;
        assert_eq!(read(&objects).await.unwrap(), "hello", "{fault:?}");
        assert_eq!(server.received().len(), 2);
    }
}

#[tokio::test]
async fn a_store_that_stays_throttled_ends_after_three_tries() {
    let (server, objects) = scripted([refusal(503, "SlowDown")]).await;
    let error = read(&objects).await.unwrap_err();
    assert_eq!((error.kind, server.received().len()), (ObjectsErrorKind::Throttled, 3));
    assert_eq!(error.to_string(), "read an object: 503 SlowDown");
    let error = error.for_read();
    assert_eq!((error.code, error.class()), (Code::S3ReadFailed, Class::Retry));
}

#[tokio::test]
async fn a_body_that_breaks_off_is_read_again() {
    for fault in [Act::Close, Act::Reset] {
        let broken = vec![beginning(200, 11, "hello"), fault];
        let (server, objects) = scripted([broken.clone(), broken, object("hello world")]).await;
        assert_eq!(read(&objects).await.unwrap(), "hello world");
        assert_eq!(server.received().len(), 3);
    }
}

#[tokio::test]
async fn a_body_that_always_breaks_off_ends_after_three_tries() {
    let (server, objects) = scripted([vec![beginning(200, 11, "hello"), Act::Close]]).await;
    let error = read(&objects).await.unwrap_err();
    assert_eq!((error.kind, server.received().len()), (ObjectsErrorKind::BrokenBody, 3));
    assert_eq!(error.for_read().code, Code::S3ReadFailed);
}

#[tokio::test]
async fn a_body_that_stalls_is_read_again() {
    let (server, mut objects) = scripted([vec![beginning(200, 11, "hello"), Act::Hold], object("hello world")]).await;
    objects.body_gap = Duration::from_millis(500);
    assert_eq!(read(&objects).await.unwrap(), "hello world");
    assert_eq!(server.received().len(), 2);
}

#[tokio::test]
async fn one_deadline_covers_every_try() {
    let server = ScriptedServer::start([vec![beginning(200, 11, "hello"), Act::Hold]]).await;
    let operation = Duration::from_millis(300);
    let endpoint = format!("http://127.0.0.1:{}", server.port);
    let mut objects = Objects::new(&ObjectsConfig { operation, ..config(&endpoint) });
    objects.body_gap = LONG;
    let started = Instant::now();
    let error = read(&objects).await.unwrap_err();
    assert_eq!(error.kind, ObjectsErrorKind::Timeout);
    assert!(started.elapsed() < LONG / 2);
    assert_eq!(error.to_string(), "read an object: no answer in time (S3_OPERATION_TIMEOUT_MS)");
}

#[tokio::test]
async fn a_silent_store_leaves_time_for_a_second_attempt() {
    let server = ScriptedServer::start([vec![Act::Hold], object("")]).await;
    let endpoint = format!("http://127.0.0.1:{}", server.port);
    let objects = Objects::new(&ObjectsConfig { operation: Duration::from_secs(6), ..config(&endpoint) });
    objects.write_json("files", "a", Bytes::from_static(b"{}")).await.unwrap();
    assert_eq!(server.received().len(), 2);
}

#[tokio::test]
async fn an_unreachable_store_is_a_network_error() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let error = read(&Objects::new(&config(&format!("http://{closed}")))).await.unwrap_err();
    assert_eq!((error.kind, error.status), (ObjectsErrorKind::Network(Some(ConnectionFault::Refused)), None));
    assert_eq!(error.for_write().code, Code::S3WriteFailed);
}

// Refusals.

#[tokio::test]
async fn a_refusal_shows_status_and_code_and_nothing_else() {
    let error = read_error(refusal(403, "AccessDenied")).await;
    assert_eq!(error.to_string(), "read an object: 403 AccessDenied");
    let error = error.for_read();
    assert_eq!((error.code, error.class()), (Code::S3AccessDenied, Class::Hold));
    assert_eq!(error.chain(), "read an object: 403 AccessDenied");
}

#[tokio::test]
async fn missing_object_missing_bucket_and_wrong_address_differ() {
    for (reply, code) in [
        (refusal(404, "NoSuchKey"), Code::TranscriptNotFound),
        (refusal(404, "NoSuchBucket"), Code::S3ConfigError),
        (response(404, &[], "<html>no such page</html>"), Code::S3ConfigError),
        (response(301, &[("location", "http://127.0.0.1:1/")], ""), Code::S3ConfigError),
    ] {
        assert_eq!(read_error(reply.clone()).await.for_read().code, code, "{reply:?}");
    }
}

#[tokio::test]
async fn the_stores_wait_is_passed_on() {
    let (_server, objects) = scripted([response(429, &[("retry-after", "7")], "")]).await;
    assert_eq!(read(&objects).await.unwrap_err().for_read().retry_after, Some(Duration::from_secs(7)));
}

#[tokio::test]
async fn an_object_without_a_key_is_not_found() {
    let (server, objects) = scripted([object("hello")]).await;
    let error = objects.read("files", "", 100).await.unwrap_err();
    assert_eq!((error.kind, server.received().len()), (ObjectsErrorKind::NotFound, 0));
}

#[tokio::test]
async fn a_write_that_the_store_refuses_holds_the_job() {
    for (status, code) in [(400, "BadDigest"), (501, "NotImplemented"), (400, "InvalidArgument"), (404, "NoSuchBucket")]
    {
        let (_server, objects) = scripted([refusal(status, code)]).await;
        let error = objects.write_json("files", "a", Bytes::new()).await.unwrap_err().for_write();
        assert_eq!((error.code, error.class()), (Code::S3ConfigError, Class::Hold), "{code}");
    }
}

#[tokio::test]
async fn deleting_a_missing_object_is_success_and_a_missing_bucket_is_not() {
    let (_server, objects) = scripted([refusal(404, "NoSuchKey"), refusal(404, "NoSuchBucket")]).await;
    objects.delete("files", "a").await.unwrap();
    let error = objects.delete("files", "a").await.unwrap_err();
    assert_eq!(error.to_string(), "delete an object: 404 NoSuchBucket");
}

/// A page of a listing.
fn listing(keys: &[&str], rest: &str) -> Reply {
    let objects: String = keys
        .iter()
        .map(|key| {
            format!("<Contents><Key>{key}</Key><LastModified>2026-03-04T09:30:00.000Z</LastModified><Size>1</Size></Contents>")
        })
        .collect();
    response(200, &[], &format!("<ListBucketResult>{objects}{rest}</ListBucketResult>"))
}

#[tokio::test]
async fn a_listing_continues_where_the_last_page_ended() {
    let more = "<IsTruncated>true</IsTruncated><NextContinuationToken>t/1</NextContinuationToken>";
    let (server, objects) =
        scripted([listing(&["a", "b"], more), listing(&["c"], "<IsTruncated>false</IsTruncated>")]).await;
    let first = objects.list("files", "users/", None).await.unwrap();
    let keys: Vec<_> = first.objects.iter().map(|object| object.key.as_str()).collect();
    assert_eq!((keys, first.next.as_deref()), (vec!["a", "b"], Some("t/1")));
    let at = time::macros::datetime!(2026-03-04 09:30:00 UTC);
    assert_eq!(first.objects[0].written_at, Some(at));
    let second = objects.list("files", "users/", first.next.as_deref()).await.unwrap();
    assert_eq!((second.objects.len(), second.next), (1, None));
    let asked: Vec<_> = server.received().into_iter().map(|request| request.head).collect();
    assert!(asked[0].starts_with("get /files/?list-type=2&prefix=users%2f "), "{}", asked[0]);
    assert!(asked[1].contains("continuation-token=t%2f1"), "{}", asked[1]);
}

#[tokio::test]
async fn half_a_listing_is_an_error() {
    let endless = "<IsTruncated>true</IsTruncated><NextContinuationToken>t</NextContinuationToken>";
    for (rest, next) in [("<IsTruncated>true</IsTruncated>", None), (endless, Some("t"))] {
        let (_server, objects) = scripted([listing(&["a"], rest)]).await;
        let error = objects.list("files", "users/", next).await.unwrap_err();
        assert_eq!(error.kind, ObjectsErrorKind::Rejected, "{rest}");
    }
}

#[test]
fn an_ended_session_and_a_wrong_clock_are_the_operators() {
    for code in ["ExpiredToken", "TokenRefreshRequired"] {
        let error = ObjectsError::new("read an object", classify(400, Some(code)));
        assert_eq!((error.kind, error.for_read().class()), (ObjectsErrorKind::KeysExpired, Class::Hold), "{code}");
    }
    let slow = ObjectsError::new("read an object", classify(400, Some("RequestTimeout")));
    assert_eq!(slow.for_read().class(), Class::Retry);
    for code in ["RequestTimeTooSkewed", "RequestExpired"] {
        let error = ObjectsError::new("read an object", classify(403, Some(code)));
        assert_eq!(error.for_read().code, Code::S3ClockSkewed, "{code}");
    }
}

#[test]
fn every_http_status_of_the_object_store_has_one_class() {
    let mut rows: Vec<(u16, u16, [Code; 2])> = Vec::new();
    for status in 100..=599 {
        let error = || ObjectsError::new("ask the store", classify(status, None));
        let codes = [error().for_read().code, error().for_write().code];
        match rows.last_mut() {
            Some((_, last, known)) if *known == codes => *last = status,
            _ => rows.push((status, status, codes)),
        }
    }
    let row = |code: Code| format!("{code} {}", code.class().as_str());
    let table: Vec<_> = rows
        .iter()
        .map(|(first, last, [read, write])| format!("{first}-{last} read: {}, write: {}", row(*read), row(*write)))
        .collect();
    insta::assert_snapshot!(table.join("\n"));
}

/// Against `s3s-fs`, which checks signatures.
mod real {
    use assay_dev::{Keys, ObjectStore};

    use super::*;
    use crate::MAX_PAGE_OBJECTS;

    async fn store(folder: &tempfile::TempDir) -> (ObjectStore, ObjectsConfig) {
        let store = ObjectStore::start(folder.path(), "files", Keys::random(), 0).await.unwrap();
        let keys = store.keys();
        let config = ObjectsConfig { credentials: keys_of(&keys.access, &keys.secret), ..config(&store.endpoint()) };
        (store, config)
    }

    #[tokio::test]
    async fn a_written_object_is_read_and_deleted() {
        let folder = tempfile::tempdir().unwrap();
        let (store, config) = store(&folder).await;
        let objects = Objects::new(&config);
        let written = Bytes::from("ж".repeat(100_000));
        objects.write("files", "users/1/a b.txt", "text/plain", written.clone()).await.unwrap();
        assert_eq!(objects.read("files", "users/1/a b.txt", 200_000).await.unwrap(), written);
        let error = objects.read("files", "users/1/a b.txt", 199_999).await.unwrap_err();
        assert_eq!(error.kind, ObjectsErrorKind::TooLarge { found: 200_000, limit: 199_999 });

        objects.delete("files", "users/1/a b.txt").await.unwrap();
        objects.delete("files", "users/1/a b.txt").await.unwrap();
        assert_eq!(objects.read("files", "users/1/a b.txt", 1).await.unwrap_err().kind, ObjectsErrorKind::NotFound);
        store.stop().await;
    }

    #[tokio::test]
    async fn a_listing_of_more_than_a_page_has_every_key_once() {
        let folder = tempfile::tempdir().unwrap();
        let (store, config) = store(&folder).await;
        let written: Vec<_> = (0..MAX_PAGE_OBJECTS + 2).map(|number| format!("users/{number:04}")).collect();
        for key in &written {
            let path = store.bucket().path(key);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "x").unwrap();
        }
        store.bucket().put("guests/none-of-these", "x").await.unwrap();
        let objects = Objects::new(&config);
        let first = objects.list("files", "users/", None).await.unwrap();
        assert_eq!(first.objects.len(), MAX_PAGE_OBJECTS);
        let second = objects.list("files", "users/", first.next.as_deref()).await.unwrap();
        assert_eq!(second.next, None);
        let listed: Vec<_> = first.objects.into_iter().chain(second.objects).map(|object| object.key).collect();
        assert_eq!(listed, written);
        store.stop().await;
    }

    #[tokio::test]
    async fn a_probe_leaves_nothing_behind_and_names_the_fault() {
        let folder = tempfile::tempdir().unwrap();
        let (store, config) = store(&folder).await;
        Objects::new(&config).probe().await.unwrap();
        Objects::new(&config).check_read_write().await.unwrap();
        assert_eq!(store.bucket().keys("").unwrap(), Vec::<String>::new());

        let missing = Objects::new(&ObjectsConfig { bucket: "other".to_owned(), ..config.clone() });
        let error = missing.probe().await.unwrap_err();
        assert_eq!((error.operation, error.kind), ("find the bucket", ObjectsErrorKind::NoSuchBucket));

        let wrong = Objects::new(&ObjectsConfig { credentials: keys_of("assay-dev", "wrong"), ..config });
        assert_eq!(wrong.probe().await.unwrap_err().kind, ObjectsErrorKind::AccessDenied);
        let error = wrong.check_read_write().await.unwrap_err();
        assert_eq!((error.operation, error.kind), ("write an object", ObjectsErrorKind::AccessDenied));
        store.stop().await;
    }
}
