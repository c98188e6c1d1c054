//! A breaker on a clock of the test's own.

use proptest::prelude::*;

use super::*;

const WAIT: Duration = Duration::from_secs(30);
const DOWN: CallResult = CallResult::Failure(Code::LlmProvider5xx);
const EXPIRED: CallResult = CallResult::Misconfigured(Reason::Authentication, Code::LlmAuthFailed);
const SPENT: CallResult = CallResult::Misconfigured(Reason::Quota, Code::LlmQuotaExhausted);

/// A breaker, and seconds that pass by themselves.
struct Bench {
    breaker: Breaker,
    now: Instant,
}

impl Bench {
    fn new() -> Self {
        Self { breaker: Breaker::default(), now: Instant::now() }
    }

    fn record(&mut self, ended: CallResult) -> Changes {
        self.now += Duration::from_secs(1);
        self.breaker.record(ended, false, self.now, self.now, WAIT)
    }

    fn probe(&mut self, ended: CallResult) -> Changes {
        self.now = self.breaker.next_probe().expect("an open breaker is probed");
        assert!(self.breaker.probe_is_due(self.now));
        self.breaker.begin_probe(self.now, WAIT);
        assert!(!self.breaker.probe_is_due(self.now + WAIT), "one probe at a time");
        let changes = self.breaker.record(ended, true, self.now, self.now, WAIT);
        self.breaker.end_probe(self.now);
        changes
    }

    fn reasons(&self) -> Vec<Reason> {
        self.breaker.faults().iter().map(|fault| fault.reason).collect()
    }
}

#[test]
fn one_fault_of_the_operators_opens_it_and_five_failures_of_ten_do() {
    let mut bench = Bench::new();
    assert!(bench.record(EXPIRED).opened.is_some());
    assert_eq!(bench.record(EXPIRED), Changes::default(), "it is told once");
    let mut bench = Bench::new();
    for _ in 0..4 {
        assert_eq!(bench.record(DOWN), Changes::default());
        assert_eq!(bench.record(CallResult::Healthy), Changes::default());
    }
    let opened = bench.record(DOWN).opened.expect("the fifth failure of nine calls");
    assert_eq!((opened.reason, opened.code), (Reason::Failures, Code::LlmProvider5xx));
}

#[test]
fn failures_that_ten_calls_have_followed_are_forgotten() {
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
fn only_a_probe_closes_it_and_the_next_is_due_after_the_wait() {
    let mut bench = Bench::new();
    bench.record(EXPIRED);
    bench.record(CallResult::Healthy);
    assert!(bench.breaker.is_open(), "a call that was under way proves nothing");
    assert_eq!(bench.breaker.next_probe().map(|due| due - bench.now), Some(WAIT - Duration::from_secs(1)));
    let before = bench.now;
    assert_eq!(bench.probe(EXPIRED), Changes::default());
    assert!(bench.breaker.next_probe().is_some_and(|due| due - before > WAIT));
    assert_eq!(bench.probe(DOWN), Changes::default(), "a chance failure says nothing about the key");
    assert_eq!(bench.probe(CallResult::Healthy).closed.len(), 1);
    assert!(!bench.breaker.is_open());
}

#[test]
fn a_probe_that_meets_another_fault_tells_what_is_wrong_now() {
    let mut bench = Bench::new();
    bench.record(EXPIRED);
    let changes = bench.probe(SPENT);
    assert_eq!(changes.closed.len(), 1);
    assert_eq!(bench.reasons(), [Reason::Quota]);
    assert!(bench.breaker.next_probe().is_some());
}

#[test]
fn a_probe_whose_job_came_to_no_call_is_followed_by_the_next_at_once() {
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
fn what_was_begun_before_it_closed_does_not_open_it_again() {
    let mut bench = Bench::new();
    let begun = bench.now;
    bench.record(EXPIRED);
    bench.probe(CallResult::Healthy);
    let late = bench.breaker.record(EXPIRED, false, begun, bench.now, WAIT);
    assert_eq!(late, Changes::default());
    assert!(bench.record(EXPIRED).opened.is_some());
}

fn ended() -> impl Strategy<Value = CallResult> {
    prop_oneof![Just(CallResult::Healthy), Just(DOWN), Just(EXPIRED), Just(SPENT), Just(CallResult::Ignored)]
}

proptest! {
    #[test]
    fn what_was_opened_and_not_closed_is_what_is_open(calls in prop::collection::vec((ended(), any::<bool>()), 0..60)) {
        let mut bench = Bench::new();
        let mut told = std::collections::BTreeSet::new();
        for (ended, probe) in calls {
            let changes = if probe && bench.breaker.is_open() { bench.probe(ended) } else { bench.record(ended) };
            for fault in &changes.closed {
                prop_assert!(told.remove(&fault.reason), "closed, and never opened");
            }
            if let Some(fault) = changes.opened {
                prop_assert!(told.insert(fault.reason), "opened twice");
            }
            prop_assert_eq!(&told, &bench.reasons().into_iter().collect());
            prop_assert_eq!(bench.breaker.is_open(), bench.breaker.next_probe().is_some());
        }
    }

    #[test]
    fn failures_open_it_exactly_when_five_of_the_last_ten_failed(failed in prop::collection::vec(any::<bool>(), 0..40)) {
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
