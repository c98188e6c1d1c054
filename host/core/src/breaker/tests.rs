//! A breaker on a clock of the test's own.

use std::time::{Duration, Instant};

use proptest::prelude::*;

use crate::{
    breaker::{
        call_result::CallResult,
        circuit::{Breaker, BreakerChanges},
        reason::BreakerReason,
    },
    code::Code,
};

const WAIT: Duration = Duration::from_secs(30);
const DOWN: CallResult = CallResult::Failure(Code::LlmProvider5xx);
const EXPIRED: CallResult = CallResult::Misconfigured(BreakerReason::Authentication, Code::LlmAuthFailed);
const FIREWALL: CallResult = CallResult::Misconfigured(BreakerReason::Gateway, Code::LlmGatewayRefused);
const SPENT: CallResult = CallResult::Misconfigured(BreakerReason::Quota, Code::LlmQuotaExhausted);

/// A breaker, and seconds that pass by themselves.
struct Bench {
    breaker: Breaker,
    now: Instant,
}

impl Bench {
    fn new() -> Self {
        Self { breaker: Breaker::default(), now: Instant::now() }
    }

    /// Records the call of a document.
    fn record(&mut self, result: CallResult) -> bool {
        self.now += Duration::from_secs(1);
        self.breaker.record(result, self.now, self.now)
    }

    /// Asks the dependency itself, when that is due.
    fn inquire(&mut self, result: CallResult) -> BreakerChanges {
        self.now = self.breaker.next_inquiry().unwrap_or(self.now + Duration::from_secs(1));
        self.breaker.begin_inquiry(self.now, WAIT);
        assert!(!self.breaker.inquiry_is_due(self.now), "one inquiry at a time");
        self.breaker.conclude(result, self.now, self.now, WAIT)
    }

    fn reasons(&self) -> Vec<BreakerReason> {
        self.breaker.faults().iter().map(|fault| fault.reason).collect()
    }
}

#[test]
fn one_misconfiguration_or_five_failures_of_ten_are_suspicious() {
    let mut bench = Bench::new();
    assert!(bench.record(EXPIRED));
    let mut bench = Bench::new();
    for _ in 0..4 {
        assert!(!bench.record(DOWN));
        assert!(!bench.record(CallResult::Healthy));
    }
    assert!(bench.record(DOWN), "the fifth failure of nine calls");
    assert!(!bench.breaker.is_open(), "no call of a document opens it");
}

#[test]
fn a_firewall_is_suspicious_only_after_three_documents_in_a_row() {
    let mut bench = Bench::new();
    for _ in 0..3 {
        assert!(!bench.record(FIREWALL));
        assert!(!bench.record(FIREWALL));
        bench.record(CallResult::Healthy);
    }
    assert!(!bench.record(FIREWALL));
    assert!(!bench.record(FIREWALL));
    assert!(!bench.record(DOWN), "no answer");
    assert!(bench.record(FIREWALL));
    bench.inquire(CallResult::Healthy);
    assert!(!bench.record(FIREWALL), "it was the documents' fault");
    bench.inquire(FIREWALL);
    assert_eq!(bench.reasons(), [BreakerReason::Gateway]);
}

#[test]
fn only_an_inquiry_that_fails_opens_it() {
    let mut bench = Bench::new();
    bench.record(EXPIRED);
    assert_eq!(bench.inquire(CallResult::Healthy), BreakerChanges::default());
    assert!(!bench.breaker.is_open(), "it was the document's fault");
    assert!(bench.breaker.worked_since(bench.now));
    let opened = bench.inquire(SPENT).opened.expect("the account's fault");
    assert_eq!((opened.reason, opened.code), (BreakerReason::Quota, Code::LlmQuotaExhausted));
    assert!(!bench.record(EXPIRED), "it is open already");
    assert!(!bench.breaker.worked_since(bench.now));
}

#[test]
fn a_rate_limit_neither_opens_nor_closes_it() {
    let mut bench = Bench::new();
    assert!(!bench.record(CallResult::Ignored));
    assert_eq!(bench.inquire(CallResult::Ignored), BreakerChanges::default());
    assert!(!bench.breaker.is_open());
    bench.inquire(DOWN);
    assert_eq!(bench.inquire(CallResult::Ignored), BreakerChanges::default());
    assert!(bench.breaker.is_open());
}

#[test]
fn failures_before_the_last_ten_calls_do_not_count() {
    let mut bench = Bench::new();
    for _ in 0..4 {
        bench.record(DOWN);
    }
    for _ in 0..10 {
        bench.record(CallResult::Healthy);
    }
    assert!((0..4).all(|_| !bench.record(DOWN)));
}

#[test]
fn failures_before_an_inquiry_that_went_well_do_not_count() {
    let mut bench = Bench::new();
    assert!((0..5).any(|_| bench.record(DOWN)));
    bench.inquire(CallResult::Healthy);
    assert!((0..4).all(|_| !bench.record(DOWN)));
    assert!(bench.record(DOWN));
}

#[test]
fn only_an_inquiry_closes_it_and_the_next_one_waits() {
    let mut bench = Bench::new();
    bench.inquire(EXPIRED);
    assert_eq!(bench.breaker.next_inquiry().map(|due| due - bench.now), Some(WAIT));
    bench.record(CallResult::Healthy);
    assert!(bench.breaker.is_open(), "a call that was under way proves nothing");
    assert_eq!(bench.inquire(EXPIRED), BreakerChanges::default());
    assert_eq!(bench.breaker.next_inquiry().map(|due| due - bench.now), Some(WAIT));
    assert_eq!(bench.inquire(DOWN), BreakerChanges::default(), "a chance failure says nothing about the key");
    assert_eq!(bench.inquire(CallResult::Healthy).closed.len(), 1);
    assert!(!bench.breaker.is_open());
}

#[test]
fn an_inquiry_that_finds_another_fault_replaces_the_first() {
    let mut bench = Bench::new();
    bench.inquire(EXPIRED);
    assert_eq!(bench.inquire(SPENT).closed.len(), 1);
    assert_eq!(bench.reasons(), [BreakerReason::Quota]);
    assert!(bench.breaker.next_inquiry().is_some());
}

#[test]
fn a_call_that_began_before_it_closed_does_not_raise_suspicion() {
    let mut bench = Bench::new();
    let begun = bench.now;
    bench.inquire(EXPIRED);
    bench.inquire(CallResult::Healthy);
    assert!(!bench.breaker.record(EXPIRED, begun, bench.now));
    assert_eq!(bench.breaker.conclude(EXPIRED, begun, bench.now, WAIT), BreakerChanges::default());
    assert!(bench.record(EXPIRED));
}

fn call_result() -> impl Strategy<Value = CallResult> {
    prop_oneof![Just(CallResult::Healthy), Just(DOWN), Just(EXPIRED), Just(SPENT), Just(CallResult::Ignored)]
}

proptest! {
    #[test]
    fn the_open_faults_are_those_opened_and_not_closed(calls in prop::collection::vec((call_result(), any::<bool>()), 0..60)) {
        let mut bench = Bench::new();
        let mut open = std::collections::BTreeSet::new();
        for (result, is_inquiry) in calls {
            if !is_inquiry {
                let before = bench.reasons();
                bench.record(result);
                prop_assert_eq!(before, bench.reasons(), "a document's call changes nothing");
                continue;
            }
            let changes = bench.inquire(result);
            for fault in &changes.closed {
                prop_assert!(open.remove(&fault.reason), "closed, and never opened");
            }
            if let Some(fault) = changes.opened {
                prop_assert!(open.insert(fault.reason), "opened twice");
            }
            prop_assert_eq!(&open, &bench.reasons().into_iter().collect());
            prop_assert_eq!(bench.breaker.is_open(), bench.breaker.next_inquiry().is_some());
        }
    }

    #[test]
    fn it_is_suspicious_exactly_when_five_of_the_last_ten_calls_failed(failed in prop::collection::vec(any::<bool>(), 0..40)) {
        let mut bench = Bench::new();
        for (at, failure) in failed.iter().enumerate() {
            let suspicious = bench.record(if *failure { DOWN } else { CallResult::Healthy });
            let recent = &failed[(at + 1).saturating_sub(10)..=at];
            prop_assert_eq!(suspicious, *failure && recent.iter().filter(|failed| **failed).count() >= 5);
        }
    }
}
