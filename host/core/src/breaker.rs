//! A breaker: whether what a job depends on is called at all, decided from how the last calls ended.
//!
//! One fault that only the operator can cure opens it at once, and so do five failures among the last ten calls. While it is
//! open, one probe at a time finds out whether the dependency is back. It is pure: the time is an argument.

mod dependency;
mod reason;

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};

use crate::code::Code;
pub use dependency::{Alias, Dependency};
pub use reason::{CallResult, Reason};

/// Calls that are looked at.
const RECENT: usize = 10;
/// Failures among them that open the breaker.
const TOO_MANY: usize = 5;

/// Why a breaker is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What kind of fault it is.
    pub reason: Reason,
    /// How the call ended that opened it.
    pub code: Code,
    /// Since when it is open for this reason.
    pub since: Instant,
}

/// What one call changed.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// The breaker opened for this reason.
    pub opened: Option<Fault>,
    /// It is closed again for these.
    pub closed: Vec<Fault>,
}

/// The breaker of one dependency. It may be open for several reasons; a probe tries them all.
#[derive(Debug, Default)]
pub struct Breaker {
    /// Whether each of the last calls failed, the latest at the end; empty while the breaker is open.
    recent: VecDeque<bool>,
    faults: Vec<Fault>,
    /// When it closed: what was begun before says nothing of the time after.
    closed_at: Option<Instant>,
    next_probe: Option<Instant>,
    probing: bool,
    /// Whether the probe under way has come to a call.
    told: bool,
}

impl Breaker {
    /// Why it is open; empty while it is closed.
    pub fn faults(&self) -> &[Fault] {
        &self.faults
    }

    /// Whether nothing is to be called.
    pub fn is_open(&self) -> bool {
        !self.faults.is_empty()
    }

    /// When the next probe is due; none while it is closed.
    pub fn next_probe(&self) -> Option<Instant> {
        self.next_probe.filter(|_| self.is_open())
    }

    /// Whether it is open, time for a probe, and none is under way.
    pub fn probe_is_due(&self, now: Instant) -> bool {
        !self.probing && self.next_probe().is_some_and(|due| due <= now)
    }

    /// Whether one is under way.
    pub fn is_probing(&self) -> bool {
        self.probing
    }

    /// Begins a probe; should it fail, the next one is due `wait` from now.
    pub fn begin_probe(&mut self, now: Instant, wait: Duration) {
        (self.probing, self.told) = (true, false);
        self.next_probe = Some(now + wait);
    }

    /// Ends a probe. One that has told nothing, because its job came to no call, is followed by the next at once.
    pub fn end_probe(&mut self, now: Instant) {
        if self.probing && !self.told && self.is_open() {
            self.next_probe = Some(now);
        }
        self.probing = false;
    }

    /// Notes how a call ended that was begun at `begun`. Should it open the breaker, the first probe is due `wait` from now.
    ///
    /// While it is open, only a `probe` closes it: what else is under way was begun before, or needs less of the dependency.
    pub fn record(&mut self, ended: CallResult, probe: bool, begun: Instant, now: Instant, wait: Duration) -> Changes {
        if self.closed_at.is_some_and(|closed| begun < closed) {
            return Changes::default();
        }
        self.told |= probe;
        let (reason, code) = match ended {
            CallResult::Ignored => return Changes::default(),
            CallResult::Healthy if probe && self.is_open() => return self.close(now),
            CallResult::Healthy => {
                self.remember(false);
                return Changes::default();
            }
            CallResult::Failure(code) => {
                if !self.remember(true) {
                    return Changes::default();
                }
                (Reason::Failures, code)
            }
            CallResult::Misconfigured(reason, code) => (reason, code),
        };
        // What a probe meets is what is wrong now; the rest was cured, or shows again later.
        let closed = if probe && self.is_open() {
            let (kept, closed) = self.faults.drain(..).partition(|fault| fault.reason == reason);
            self.faults = kept;
            closed
        } else {
            Vec::new()
        };
        if self.faults.iter().any(|fault| fault.reason == reason) {
            return Changes { opened: None, closed };
        }
        if !self.is_open() && closed.is_empty() {
            self.next_probe = Some(now + wait);
        }
        let fault = Fault { reason, code, since: now };
        self.faults.push(fault);
        self.recent.clear();
        Changes { opened: Some(fault), closed }
    }

    fn close(&mut self, now: Instant) -> Changes {
        self.closed_at = Some(now);
        self.next_probe = None;
        Changes { opened: None, closed: std::mem::take(&mut self.faults) }
    }

    /// Keeps how a call ended while the breaker is closed; whether too many have failed now.
    fn remember(&mut self, failed: bool) -> bool {
        if self.is_open() {
            return false;
        }
        self.recent.push_back(failed);
        if self.recent.len() > RECENT {
            self.recent.pop_front();
        }
        self.recent.iter().filter(|failed| **failed).count() >= TOO_MANY
    }
}

/// An open breaker as operators see it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct OpenBreaker {
    /// `model`, `model:ALIAS`, `bucket` or `database`.
    pub dependency: String,
    /// What kind of fault it is.
    pub reason: String,
    /// How the call ended that opened it, as in docs/errors.md.
    pub code: String,
    /// Seconds for which it has been open.
    pub open_seconds: u64,
    /// Seconds until the next probe; 0 where one is due or under way.
    pub next_probe_seconds: u64,
    /// What the operator can do, as in docs/errors.md.
    pub cure: String,
}

#[cfg(test)]
mod tests;
