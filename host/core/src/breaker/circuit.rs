//! The breaker of one dependency: it opens when the dependency itself fails, and closes when it works again.
//!
//! Failed calls of documents only raise a suspicion: a misconfiguration at once, five failures among the last ten calls
//! together, three refusals of a gateway in a row. Then the worker asks the dependency itself, without a document. Only that
//! inquiry opens the breaker, and only an inquiry closes it. So a document on which a provider fails keeps no other document
//! waiting. The rules are pure: the time is an argument.

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
/// Failures among the counted calls that raise a suspicion.
const FAILURES_TO_SUSPECT: usize = 5;

/// Documents in a row that a gateway refuses before the endpoint is suspected. A firewall's rules often meet one document.
const GATEWAY_REFUSALS_TO_SUSPECT: usize = 3;

/// A fault that keeps a breaker open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BreakerFault {
    pub reason: BreakerReason,
    /// The code of the inquiry that opened the breaker.
    pub code: Code,
    /// When the breaker opened for this reason.
    pub since: Instant,
}

/// What one inquiry changed.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct BreakerChanges {
    /// The fault that opened the breaker.
    pub opened: Option<BreakerFault>,
    /// The faults that are over.
    pub closed: Vec<BreakerFault>,
}

/// The breaker of one dependency. It may be open for several reasons; one inquiry tests all of them.
#[derive(Debug, Default)]
pub struct Breaker {
    /// Whether each of the last calls failed, the latest at the end; empty while the breaker is open.
    recent: VecDeque<bool>,
    /// Calls that a gateway refused since the last one that was answered.
    gateway_refusals: usize,
    faults: Vec<BreakerFault>,
    /// When it closed last. Calls that began earlier show nothing about the time after.
    closed_at: Option<Instant>,
    /// When a call last showed that the dependency works.
    worked_at: Option<Instant>,
    next_inquiry: Option<Instant>,
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

    /// Returns when the next inquiry is due; `None` while it is closed.
    pub fn next_inquiry(&self) -> Option<Instant> {
        self.next_inquiry.filter(|_| self.is_open())
    }

    /// Returns whether it is open and an inquiry is due.
    pub fn inquiry_is_due(&self, now: Instant) -> bool {
        self.next_inquiry().is_some_and(|due| due <= now)
    }

    /// Begins an inquiry. If it fails, the next one is due `wait` from now.
    pub fn begin_inquiry(&mut self, now: Instant, wait: Duration) {
        self.next_inquiry = Some(now + wait);
    }

    /// Returns whether a call that ended after `since` has shown that the dependency works.
    pub fn worked_since(&self, since: Instant) -> bool {
        !self.is_open() && self.worked_at.is_some_and(|at| at >= since)
    }

    /// Records the call of a document that began at `begun`. Returns whether the dependency is to be asked itself.
    ///
    /// While the breaker is open, a call changes nothing: it began earlier, or needs less of the dependency.
    pub fn record(&mut self, result: CallResult, begun: Instant, now: Instant) -> bool {
        if self.is_open() || self.closed_at.is_some_and(|closed| begun < closed) {
            return false;
        }
        match result {
            CallResult::Ignored => false,
            CallResult::Healthy => {
                self.worked_at = Some(now);
                self.gateway_refusals = 0;
                self.count(false);
                false
            }
            CallResult::Failure(_) => self.count(true),
            CallResult::Misconfigured(BreakerReason::Gateway, _) => {
                self.gateway_refusals += 1;
                self.gateway_refusals >= GATEWAY_REFUSALS_TO_SUSPECT
            }
            CallResult::Misconfigured(..) => true,
        }
    }

    /// Concludes from an inquiry that began at `begun`. If it opens the breaker, the next one is due `wait` from now.
    pub fn conclude(&mut self, result: CallResult, begun: Instant, now: Instant, wait: Duration) -> BreakerChanges {
        if self.closed_at.is_some_and(|closed| begun < closed) {
            return BreakerChanges::default();
        }
        let (reason, code) = match result {
            // The dependency limits the rate: it is there, and what was wrong may still be wrong.
            CallResult::Ignored => return BreakerChanges::default(),
            CallResult::Healthy => return self.close(now),
            CallResult::Failure(code) => (BreakerReason::Failures, code),
            CallResult::Misconfigured(reason, code) => (reason, code),
        };
        // An inquiry finds what is wrong now. Other faults are fixed, or a later inquiry finds them again. A chance failure
        // shows nothing about a misconfiguration.
        let chance = self.is_open() && reason == BreakerReason::Failures;
        let is_same = |fault: &BreakerFault| chance || fault.reason == reason;
        let (kept, closed) = std::mem::take(&mut self.faults).into_iter().partition(is_same);
        self.faults = kept;
        if self.is_open() {
            return BreakerChanges { opened: None, closed };
        }
        let fault = BreakerFault { reason, code, since: now };
        if closed.is_empty() {
            self.next_inquiry = Some(now + wait);
        }
        self.faults.push(fault);
        self.recent.clear();
        BreakerChanges { opened: Some(fault), closed }
    }

    fn close(&mut self, now: Instant) -> BreakerChanges {
        self.worked_at = Some(now);
        self.gateway_refusals = 0;
        self.recent.clear();
        if !self.is_open() {
            return BreakerChanges::default();
        }
        self.closed_at = Some(now);
        self.next_inquiry = None;
        BreakerChanges { opened: None, closed: std::mem::take(&mut self.faults) }
    }

    /// Counts a call. Returns whether there are now too many failures.
    fn count(&mut self, failed: bool) -> bool {
        self.recent.push_back(failed);
        if self.recent.len() > COUNTED_CALLS {
            self.recent.pop_front();
        }
        self.recent.iter().filter(|failed| **failed).count() >= FAILURES_TO_SUSPECT
    }
}
