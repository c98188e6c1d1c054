//! The breaker of one dependency: it opens after failed calls and closes after a successful probe.
//!
//! A fault that only the operator can fix opens it at once. Five failures among the last ten calls open it too. While it is
//! open, one probe at a time tests the dependency. The rules are pure: the time is an argument.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use crate::{
    breaker::{call_result::CallResult, reason::BreakerReason},
    code::Code,
};

/// Number of last calls that are counted.
const COUNTED_CALLS: usize = 10;
/// Failures among the counted calls that open the breaker.
const FAILURES_TO_OPEN: usize = 5;

/// A fault that keeps a breaker open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BreakerFault {
    pub reason: BreakerReason,
    /// The code of the call that opened the breaker.
    pub code: Code,
    /// When the breaker opened for this reason.
    pub since: Instant,
}

/// What one call changed.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct BreakerChanges {
    /// The fault that opened the breaker.
    pub opened: Option<BreakerFault>,
    /// The faults that are over.
    pub closed: Vec<BreakerFault>,
}

/// The breaker of one dependency. It may be open for several reasons; one probe tests all of them.
#[derive(Debug, Default)]
pub struct Breaker {
    /// Whether each of the last calls failed, the latest at the end; empty while the breaker is open.
    recent: VecDeque<bool>,
    faults: Vec<BreakerFault>,
    /// When it closed last. Calls that began earlier show nothing about the time after.
    closed_at: Option<Instant>,
    next_probe: Option<Instant>,
    probe_under_way: bool,
    /// Whether the probe under way has made a call.
    probe_has_called: bool,
}

impl Breaker {
    /// Returns why it is open; empty while it is closed.
    pub fn faults(&self) -> &[BreakerFault] {
        &self.faults
    }

    /// Returns whether calls are stopped.
    pub fn is_open(&self) -> bool {
        !self.faults.is_empty()
    }

    /// Returns when the next probe is due; `None` while it is closed.
    pub fn next_probe(&self) -> Option<Instant> {
        self.next_probe.filter(|_| self.is_open())
    }

    /// Returns whether it is open, a probe is due, and no probe is under way.
    pub fn probe_is_due(&self, now: Instant) -> bool {
        !self.probe_under_way && self.next_probe().is_some_and(|due| due <= now)
    }

    /// Returns whether a probe is under way.
    pub fn is_probing(&self) -> bool {
        self.probe_under_way
    }

    /// Begins a probe. If it fails, the next one is due `wait` from now.
    pub fn begin_probe(&mut self, now: Instant, wait: Duration) {
        (self.probe_under_way, self.probe_has_called) = (true, false);
        self.next_probe = Some(now + wait);
    }

    /// Ends a probe. If its job made no call, the probe showed nothing, and the next one is due at once.
    pub fn end_probe(&mut self, now: Instant) {
        if self.probe_under_way && !self.probe_has_called && self.is_open() {
            self.next_probe = Some(now);
        }
        self.probe_under_way = false;
    }

    /// Records the result of a call that began at `begun`. If it opens the breaker, the first probe is due `wait` from now.
    ///
    /// While the breaker is open, only a `probe` closes it: other calls began earlier, or need less of the dependency.
    pub fn record(
        &mut self,
        result: CallResult,
        probe: bool,
        begun: Instant,
        now: Instant,
        wait: Duration,
    ) -> BreakerChanges {
        if self.closed_at.is_some_and(|closed| begun < closed) {
            return BreakerChanges::default();
        }
        self.probe_has_called |= probe;
        let (reason, code) = match result {
            CallResult::Ignored => return BreakerChanges::default(),
            CallResult::Healthy if probe && self.is_open() => return self.close(now),
            CallResult::Healthy => {
                self.count(false);
                return BreakerChanges::default();
            }
            CallResult::Failure(code) => {
                if !self.count(true) {
                    return BreakerChanges::default();
                }
                (BreakerReason::Failures, code)
            }
            CallResult::Misconfigured(reason, code) => (reason, code),
        };
        // A probe finds what is wrong now. Other faults are fixed, or a later probe finds them again.
        let closed = if probe && self.is_open() {
            let (kept, closed) = self.faults.drain(..).partition(|fault| fault.reason == reason);
            self.faults = kept;
            closed
        } else {
            Vec::new()
        };
        if self.faults.iter().any(|fault| fault.reason == reason) {
            return BreakerChanges { opened: None, closed };
        }
        if !self.is_open() && closed.is_empty() {
            self.next_probe = Some(now + wait);
        }
        let fault = BreakerFault { reason, code, since: now };
        self.faults.push(fault);
        self.recent.clear();
        BreakerChanges { opened: Some(fault), closed }
    }

    fn close(&mut self, now: Instant) -> BreakerChanges {
        self.closed_at = Some(now);
        self.next_probe = None;
        BreakerChanges { opened: None, closed: std::mem::take(&mut self.faults) }
    }

    /// Counts a call while the breaker is closed. Returns whether there are now too many failures.
    fn count(&mut self, failed: bool) -> bool {
        if self.is_open() {
            return false;
        }
        self.recent.push_back(failed);
        if self.recent.len() > COUNTED_CALLS {
            self.recent.pop_front();
        }
        self.recent.iter().filter(|failed| **failed).count() >= FAILURES_TO_OPEN
    }
}
