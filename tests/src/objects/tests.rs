//! Each fault as the SDK of a worker sees it.

use aws_sdk_s3::{
    Client,
    config::{BehaviorVersion, Credentials, Region, retry::RetryConfig},
    error::ProvideErrorMetadata,
    primitives::ByteStream,
};

use super::*;

/// Returns a client without retries: one call is one request.
fn client(objects: &TestObjects) -> Client {
    let keys = objects.credentials();
    let config = aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .endpoint_url(objects.endpoint())
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new(&keys.access, &keys.secret, None, None, "test"))
        .retry_config(RetryConfig::disabled())
        .force_path_style(true);
    Client::from_conf(config.build())
}

async fn put(client: &Client, key: &str) -> bool {
    let body = ByteStream::from_static(b"0123456789");
    client.put_object().bucket(BUCKET).key(key).body(body).send().await.is_ok()
}

/// Returns the code of a failed read, or how many bytes came before the end.
async fn get(client: &Client, key: &str) -> Result<usize, String> {
    let output = client.get_object().bucket(BUCKET).key(key).send().await;
    let output = output.map_err(|error| error.code().unwrap_or("no answer").to_owned())?;
    let body = output.body.collect().await.map_err(|_| "broken body".to_owned())?;
    Ok(body.into_bytes().len())
}

#[tokio::test]
async fn without_faults_it_is_a_store_and_counts_its_requests() {
    let objects = TestObjects::start().await;
    let client = client(&objects);
    assert!(put(&client, "a/one").await);
    assert_eq!(get(&client, "a/one").await, Ok(10));
    assert_eq!(get(&client, "a/none").await, Err("NoSuchKey".to_owned()));
    assert_eq!(objects.list("a/"), ["a/one"]);
    assert_eq!((objects.count(Operation::Get, "a/"), objects.count(Operation::Put, "one")), (2, 1));
    objects.wait_for(Operation::Get, "none", 1).await;
}

#[tokio::test]
async fn a_fault_hits_as_often_as_scripted_and_only_its_keys() {
    let objects = TestObjects::start().await;
    let client = client(&objects);
    objects.put("a/one", "0123456789").await;
    objects.put("b/two", "0123456789").await;
    objects.fault_times(2, Operation::Get, "a/", Fault::slow_down());
    assert_eq!(get(&client, "b/two").await, Ok(10));
    assert_eq!(get(&client, "a/one").await, Err("SlowDown".to_owned()));
    assert_eq!(get(&client, "a/one").await, Err("SlowDown".to_owned()));
    assert_eq!(get(&client, "a/one").await, Ok(10));
    objects.fault_always(Operation::Get, "", Fault::ResetBefore);
    assert_eq!(get(&client, "a/one").await, Err("no answer".to_owned()));
    objects.clear_faults();
    assert_eq!(get(&client, "a/one").await, Ok(10));
}

#[tokio::test]
async fn a_body_is_cut_in_the_middle() {
    let objects = TestObjects::start().await;
    objects.put("a/one", "0123456789").await;
    objects.fault(Operation::Get, "a/one", Fault::CutBody(4));
    assert_eq!(get(&client(&objects), "a/one").await, Err("broken body".to_owned()));
}

#[tokio::test]
async fn a_write_whose_answer_is_lost_has_landed_and_one_reset_before_has_not() {
    let objects = TestObjects::start().await;
    let client = client(&objects);
    objects.fault(Operation::Put, "landed", Fault::ResetAfter);
    objects.fault(Operation::Put, "lost", Fault::ResetBefore);
    assert!(!put(&client, "landed").await);
    assert!(!put(&client, "lost").await);
    assert_eq!(objects.list(""), ["landed"]);
}

#[tokio::test]
async fn a_stalled_answer_comes_after_its_gate_was_released() {
    let objects = TestObjects::start().await;
    let (before, answer, body) = (Gate::new(), Gate::new(), Gate::new());
    objects.fault(Operation::Put, "one", Fault::Stall(before.clone()));
    objects.fault(Operation::Put, "two", Fault::StallAnswer(answer.clone()));
    objects.fault(Operation::Get, "two", Fault::StallBody(3, body.clone()));
    let spawn = |key: &'static str| {
        let client = client(&objects);
        tokio::spawn(async move { put(&client, key).await })
    };
    let (one, two) = (spawn("one"), spawn("two"));
    before.reached().await;
    answer.reached().await;
    assert_eq!(objects.list(""), ["two"], "one has not touched the store, two has");
    before.release();
    answer.release();
    assert!(within("the writes", one).await.unwrap() && within("the writes", two).await.unwrap());
    let client = client(&objects);
    let read = tokio::spawn(async move { get(&client, "two").await });
    body.reached().await;
    body.release();
    assert_eq!(within("the read", read).await.unwrap(), Ok(10));
}

#[tokio::test]
async fn a_policy_is_asked_about_every_request_that_no_rule_is_about() {
    let objects = TestObjects::start().await;
    let client = client(&objects);
    objects.put("a/one", "0123456789").await;
    objects.fault(Operation::Get, "a/", Fault::ResetBefore);
    objects.decide(|asked| {
        (asked.number == 2 && asked.operation == Operation::Get && asked.key == "a/one").then(Fault::slow_down)
    });
    assert_eq!(get(&client, "a/one").await, Err("no answer".to_owned()), "by the rule");
    assert_eq!(get(&client, "a/one").await, Err("SlowDown".to_owned()), "by the policy");
    assert_eq!(get(&client, "a/one").await, Ok(10));
    objects.decide(|_| Some(Fault::Stall(Gate::opening_after(std::time::Duration::from_millis(5)))));
    assert_eq!(get(&client, "a/one").await, Ok(10), "late, but whole");
    objects.decide(|_| Some(Fault::ResetBefore));
    objects.clear_faults();
    assert_eq!(get(&client, "a/one").await, Ok(10));
}
