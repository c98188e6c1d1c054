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

    fn record(&mut self, result: CallResult) -> BreakerChanges {
        self.now += Duration::from_secs(1);
        self.breaker.record(result, false, self.now, self.now, WAIT)
    }

    fn probe(&mut self, result: CallResult) -> BreakerChanges {
        self.now = self.breaker.next_probe().expect("an open breaker is probed");
        assert!(self.breaker.probe_is_due(self.now));
        self.breaker.begin_probe(self.now, WAIT);
        assert!(!self.breaker.probe_is_due(self.now + WAIT), "one probe at a time");
        let changes = self.breaker.record(result, true, self.now, self.now, WAIT);
        self.breaker.end_probe(self.now);
        changes
    }

    fn reasons(&self) -> Vec<BreakerReason> {
        self.breaker.faults().iter().map(|fault| fault.reason).collect()
    }
}

#[test]
fn one_misconfiguration_or_five_failures_of_ten_open_it() {
    let mut bench = Bench::new();
    assert!(bench.record(EXPIRED).opened.is_some());
    assert_eq!(bench.record(EXPIRED), BreakerChanges::default(), "it opens once");
    let mut bench = Bench::new();
    for _ in 0..4 {
        assert_eq!(bench.record(DOWN), BreakerChanges::default());
        assert_eq!(bench.record(CallResult::Healthy), BreakerChanges::default());
    }
    let opened = bench.record(DOWN).opened.expect("the fifth failure of nine calls");
    assert_eq!((opened.reason, opened.code), (BreakerReason::Failures, Code::LlmProvider5xx));
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
    for _ in 0..4 {
        bench.record(DOWN);
    }
    assert!(!bench.breaker.is_open());
}

#[test]
fn only_a_probe_closes_it_and_the_next_one_waits() {
    let mut bench = Bench::new();
    bench.record(EXPIRED);
    bench.record(CallResult::Healthy);
    assert!(bench.breaker.is_open(), "a call that was under way proves nothing");
    assert_eq!(bench.breaker.next_probe().map(|due| due - bench.now), Some(WAIT - Duration::from_secs(1)));
    let before = bench.now;
    assert_eq!(bench.probe(EXPIRED), BreakerChanges::default());
    assert!(bench.breaker.next_probe().is_some_and(|due| due - before > WAIT));
    assert_eq!(bench.probe(DOWN), BreakerChanges::default(), "a chance failure says nothing about the key");
    assert_eq!(bench.probe(CallResult::Healthy).closed.len(), 1);
    assert!(!bench.breaker.is_open());
}

#[test]
fn a_probe_that_finds_another_fault_replaces_the_first() {
    let mut bench = Bench::new();
    bench.record(EXPIRED);
    let changes = bench.probe(SPENT);
    assert_eq!(changes.closed.len(), 1);
    assert_eq!(bench.reasons(), [BreakerReason::Quota]);
    assert!(bench.breaker.next_probe().is_some());
}

#[test]
fn after_a_probe_without_a_call_the_next_is_due_at_once() {
    let mut bench = Bench::new();
    bench.record(EXPIRED);
    let due = bench.breaker.next_probe().expect("an open breaker is probed");
    bench.breaker.begin_probe(due, WAIT);
    bench.breaker.end_probe(due);
    assert!(bench.breaker.probe_is_due(due));
    bench.probe(CallResult::Ignored);
    assert!(!bench.breaker.probe_is_due(bench.now), "the model asks us to come more slowly");
}

#[test]
fn a_call_that_began_before_it_closed_does_not_open_it_again() {
    let mut bench = Bench::new();
    let begun = bench.now;
    bench.record(EXPIRED);
    bench.probe(CallResult::Healthy);
    let late = bench.breaker.record(EXPIRED, false, begun, bench.now, WAIT);
    assert_eq!(late, BreakerChanges::default());
    assert!(bench.record(EXPIRED).opened.is_some());
}

fn call_result() -> impl Strategy<Value = CallResult> {
    prop_oneof![Just(CallResult::Healthy), Just(DOWN), Just(EXPIRED), Just(SPENT), Just(CallResult::Ignored)]
}

proptest! {
    #[test]
    fn the_open_faults_are_those_opened_and_not_closed(calls in prop::collection::vec((call_result(), any::<bool>()), 0..60)) {
        let mut bench = Bench::new();
        let mut open = std::collections::BTreeSet::new();
        for (result, probe) in calls {
            let changes = if probe && bench.breaker.is_open() { bench.probe(result) } else { bench.record(result) };
            for fault in &changes.closed {
                prop_assert!(open.remove(&fault.reason), "closed, and never opened");
            }
            if let Some(fault) = changes.opened {
                prop_assert!(open.insert(fault.reason), "opened twice");
            }
            prop_assert_eq!(&open, &bench.reasons().into_iter().collect());
            prop_assert_eq!(bench.breaker.is_open(), bench.breaker.next_probe().is_some());
        }
    }

    #[test]
    fn it_opens_exactly_when_five_of_the_last_ten_calls_failed(failed in prop::collection::vec(any::<bool>(), 0..40)) {
        let mut bench = Bench::new();
        for (at, _) in failed.iter().enumerate() {
            let opened = bench.record(if failed[at] { DOWN } else { CallResult::Healthy }).opened.is_some();
            let recent = &failed[(at + 1).saturating_sub(10)..=at];
            prop_assert_eq!(opened, recent.iter().filter(|failed| **failed).count() >= 5);
            if opened {
                break;
            }
        }
    }
}
