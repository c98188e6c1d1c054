use std::time::{Duration, Instant};

use assay_core::{
    breaker::{Alias, CallResult, Dependency},
    code::Code,
    job_error::JobError,
};
use assay_db::{DbError, LoginError};

use super::Breakers;
use crate::metrics::Metrics;

fn breakers(period: Duration) -> Breakers {
    Breakers::new(period, Metrics::default())
}

fn model(alias: &str) -> Dependency {
    Dependency::Model(Alias::Named(alias.to_owned()))
}

fn conclude(breakers: &Breakers, dependency: &Dependency, code: Code) {
    breakers.conclude(dependency, CallResult::of(code), Instant::now());
}

fn digests(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn a_release_waits_for_its_models_and_a_new_one_for_the_default() {
    let breakers = breakers(Duration::from_secs(30));
    breakers.record_dependencies("small", [Alias::Named("small".to_owned())]);
    breakers.record_dependencies("both", [Alias::Named("small".to_owned()), Alias::Default]);
    let all = digests(&["small", "both", "new"]);
    assert_eq!(breakers.claimable(&all), all);
    conclude(&breakers, &model("small"), Code::LlmAuthFailed);
    assert_eq!(breakers.claimable(&all), ["new"]);
    conclude(&breakers, &Dependency::Model(Alias::Default), Code::LlmQuotaExhausted);
    assert!(breakers.claimable(&all).is_empty());
    conclude(&breakers, &Dependency::Bucket, Code::S3AccessDenied);
    assert!(breakers.claimable(&digests(&["other"])).is_empty(), "every job needs the bucket");
}

#[test]
fn an_open_dependency_is_asked_when_that_is_due_and_once_at_a_time() {
    let breakers = breakers(Duration::ZERO);
    conclude(&breakers, &model("small"), Code::LlmAuthFailed);
    breakers.record_dependencies("small", [Alias::Named("small".to_owned())]);
    assert_eq!(breakers.due_inquiries(), [model("small")]);
    let later = Breakers::new(Duration::from_secs(30), Metrics::default());
    conclude(&later, &model("small"), Code::LlmAuthFailed);
    assert!(later.due_inquiries().is_empty());
    conclude(&breakers, &Dependency::Database, Code::DbUpdateFailed);
    assert_eq!(breakers.due_inquiries(), [model("small")], "every claim asks the database");
    breakers.conclude(&model("small"), CallResult::Healthy, Instant::now());
    assert!(breakers.due_inquiries().is_empty());
}

#[test]
fn the_breaker_of_an_unneeded_model_is_forgotten() {
    let breakers = breakers(Duration::from_secs(30));
    breakers.record_dependencies("old", [Alias::Named("small".to_owned())]);
    conclude(&breakers, &model("small"), Code::LlmAuthFailed);
    conclude(&breakers, &Dependency::Model(Alias::Default), Code::LlmAuthFailed);
    breakers.claimable(&digests(&["old", "new"]));
    assert_eq!(breakers.open().len(), 2);
    breakers.claimable(&digests(&["new"]));
    let open: Vec<_> = breakers.open().into_iter().map(|open| open.dependency).collect();
    assert_eq!(open, ["model"], "a release that has asked for nothing yet may ask the default model");
}

#[test]
fn a_failure_is_not_suspicious_while_other_documents_are_served() {
    let breakers = breakers(Duration::from_secs(30));
    let model = Dependency::Model(Alias::Default);
    let refused = CallResult::of(Code::LlmAuthFailed);
    let begun = Instant::now();
    assert!(breakers.record(&model, refused, begun));
    assert!(!breakers.record(&model, CallResult::Healthy, begun));
    assert!(!breakers.record(&model, refused, begun), "another call went well after this one began");
    assert!(breakers.worked_since(&model, begun));
    assert!(breakers.record(&model, refused, Instant::now()), "and none since");
}

#[test]
fn an_outage_holds_the_job_and_a_bad_document_ends_it() {
    let breakers = breakers(Duration::from_secs(30));
    let bucket = Dependency::Bucket;
    let class = |code| breakers.held_where_open(&bucket, JobError::new(code, "a test")).class().as_str();
    assert_eq!((class(Code::S3ReadFailed), class(Code::TranscriptNotFound)), ("retry", "fail"));
    conclude(&breakers, &bucket, Code::S3ReadFailed);
    assert_eq!((class(Code::S3ReadFailed), class(Code::TranscriptNotFound)), ("hold", "fail"));
    let refused = breakers.check_open(&bucket).expect_err("it is open");
    assert_eq!(refused.to_string(), "s3_read_failed: not called, because the breaker of bucket is open: failures");
    assert_eq!(refused.class().as_str(), "hold");
    assert!(breakers.check_open(&Dependency::Database).is_ok());
    let open = breakers.open();
    assert_eq!(
        (open.len(), open[0].reason.as_str(), open[0].cure.as_str()),
        (1, "failures", Code::S3ReadFailed.fix().as_str())
    );
}

#[test]
fn five_failed_statements_open_the_breaker_of_the_database_and_a_claim_closes_it() {
    let breakers = breakers(Duration::from_secs(30));
    let statement = |failed: bool, inquiry| {
        let result = if failed { Err(DbError::Timeout(Duration::ZERO)) } else { Ok(()) };
        breakers.record_database(&result, inquiry, Instant::now());
        breakers.is_open(&Dependency::Database)
    };
    assert!((0..4).all(|_| !statement(true, false)));
    assert!(statement(true, false));
    assert!(statement(false, false), "a statement that was under way proves nothing");
    assert!(!statement(false, true));
}

#[test]
fn a_login_that_cannot_be_had_opens_the_breaker_of_the_database_as_a_refused_one_does() {
    let refused = || DbError::Denied("28P01".to_owned());
    let none = || DbError::NoLogin(LoginError::Command("ended with exit status: 3".to_owned()));
    for error in [refused as fn() -> DbError, none] {
        let breakers = breakers(Duration::from_secs(30));
        breakers.record_database::<()>(&Err(error()), true, Instant::now());
        assert!(breakers.is_open(&Dependency::Database), "{}", error());
    }
}
