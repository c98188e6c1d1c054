use std::time::{Duration, Instant};

use assay_core::{
    breaker::{Alias, Dependency},
    code::Code,
    job_error::JobError,
};

use super::breaker_set::{Breakers, Claimable, ProbeOffer};
use crate::metrics::Metrics;

fn breakers(period: Duration) -> Breakers {
    Breakers::new(period, Metrics::default())
}

fn model(alias: &str) -> Dependency {
    Dependency::Model(Alias::Named(alias.to_owned()))
}

fn fail(breakers: &Breakers, dependency: &Dependency, code: Code) -> JobError {
    let failed: Result<(), _> = Err(JobError::new(code, "a test"));
    breakers.record(dependency, false, Instant::now(), failed).expect_err("a failure stays one")
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
    fail(&breakers, &model("small"), Code::LlmAuthFailed);
    assert_eq!(breakers.claimable(&all).digests, ["new"]);
    fail(&breakers, &Dependency::Model(Alias::Default), Code::LlmQuotaExhausted);
    assert_eq!(breakers.claimable(&all), Claimable::default(), "no probe is due yet");
    fail(&breakers, &Dependency::Bucket, Code::S3AccessDenied);
    assert_eq!(breakers.claimable(&digests(&["other"])), Claimable::default(), "every job needs the bucket");
    assert!(breakers.probe_is_due(&Dependency::Bucket), "at once: it takes no job");
}

#[test]
fn a_probe_is_one_job_that_misses_nothing_else() {
    let breakers = breakers(Duration::ZERO);
    breakers.record_dependencies("small", [Alias::Named("small".to_owned())]);
    breakers.record_dependencies("both", [Alias::Named("small".to_owned()), Alias::Default]);
    fail(&breakers, &model("small"), Code::LlmAuthFailed);
    fail(&breakers, &Dependency::Model(Alias::Default), Code::LlmAuthFailed);
    let all = digests(&["small", "both"]);
    let offer = breakers.claimable(&all);
    let expected = ProbeOffer { dependencies: vec![model("small")], digests: digests(&["small"]) };
    assert_eq!(offer.probes, [expected]);
    let probe = breakers.begin_probe(vec![model("small")]);
    assert_eq!(breakers.claimable(&all).probes, [], "one at a time");
    breakers.record(&model("small"), true, Instant::now(), Ok(())).expect("a success stays one");
    drop(probe);
    assert_eq!(breakers.claimable(&all).digests, ["small"]);
}

#[test]
fn a_release_that_misses_two_models_probes_both_with_one_job() {
    let breakers = breakers(Duration::ZERO);
    breakers.record_dependencies("both", [Alias::Named("small".to_owned()), Alias::Default]);
    let needed = [Dependency::Model(Alias::Default), model("small")];
    for dependency in &needed {
        fail(&breakers, dependency, Code::LlmAuthFailed);
    }
    let all = digests(&["both"]);
    let offer = breakers.claimable(&all);
    assert_eq!(offer.probes.len(), 1);
    let ProbeOffer { dependencies, digests } = offer.probes[0].clone();
    assert_eq!((dependencies.len(), digests), (2, all.clone()));
    let probe = breakers.begin_probe(dependencies);
    assert_eq!(breakers.claimable(&all).probes, [], "one at a time");
    for dependency in &needed {
        breakers.record(dependency, true, Instant::now(), Ok(())).expect("a success stays one");
    }
    drop(probe);
    assert_eq!(breakers.claimable(&all).digests, all);
}

#[test]
fn the_breaker_of_an_unneeded_model_is_forgotten() {
    let breakers = breakers(Duration::from_secs(30));
    breakers.record_dependencies("old", [Alias::Named("small".to_owned())]);
    fail(&breakers, &model("small"), Code::LlmAuthFailed);
    fail(&breakers, &Dependency::Model(Alias::Default), Code::LlmAuthFailed);
    breakers.claimable(&digests(&["old", "new"]));
    assert_eq!(breakers.open().len(), 2);
    breakers.claimable(&digests(&["new"]));
    let open: Vec<_> = breakers.open().into_iter().map(|open| open.dependency).collect();
    assert_eq!(open, ["model"], "a release that has asked for nothing yet may ask the default model");
}

#[test]
fn an_outage_holds_the_job_and_a_bad_document_ends_it() {
    let breakers = breakers(Duration::from_secs(30));
    let bucket = Dependency::Bucket;
    let classes: Vec<_> = (0..6).map(|_| fail(&breakers, &bucket, Code::S3ReadFailed).class().as_str()).collect();
    assert_eq!(classes, ["retry", "retry", "retry", "retry", "hold", "hold"]);
    assert_eq!(fail(&breakers, &bucket, Code::TranscriptNotFound).class().as_str(), "fail");
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
