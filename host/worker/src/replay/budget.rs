//! Tokens that may be spent, and those that are spoken for.

use parking_lot::Mutex;
use tokio::sync::Notify;

/// A bound for tokens.
#[derive(Debug)]
pub struct Budget {
    limit: u64,
    state: Mutex<State>,
    settled: Notify,
}

#[derive(Debug, Default)]
struct State {
    used: u64,
    reserved: u64,
}

impl Budget {
    /// Of `limit` tokens, of which `used` are spent.
    pub fn new(limit: u64, used: u64) -> Self {
        Self { limit, state: Mutex::new(State { used, reserved: 0 }), settled: Notify::new() }
    }

    /// Sets tokens aside for a question; false where they would be too many. Waits for questions under way, which may take
    /// less than was set aside for them.
    pub async fn reserve(&self, expected: u64) -> bool {
        loop {
            // Interest first, look second: what is settled in between wakes us.
            let mut settled = std::pin::pin!(self.settled.notified());
            settled.as_mut().enable();
            {
                let mut state = self.state.lock();
                let wanted = state.used.saturating_add(expected);
                if wanted.saturating_add(state.reserved) <= self.limit {
                    state.reserved += expected;
                    return true;
                }
                if wanted > self.limit || state.reserved == 0 {
                    return false;
                }
            }
            settled.await;
        }
    }

    /// Counts what a question took for which `expected` tokens were set aside.
    pub fn settle(&self, expected: u64, used: u64) {
        let mut state = self.state.lock();
        state.reserved = state.reserved.saturating_sub(expected);
        state.used = state.used.saturating_add(used);
        drop(state);
        self.settled.notify_waiters();
    }

    /// Tokens that are spent.
    pub fn used(&self) -> u64 {
        self.state.lock().used
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_spent_and_the_next_question_stay_within_the_bound() {
        let budget = Budget::new(100, 30);
        assert!(budget.reserve(40).await);
        budget.settle(40, 50);
        assert_eq!(budget.used(), 80);
        assert!(!budget.reserve(21).await);
        assert!(budget.reserve(20).await);
    }

    #[tokio::test]
    async fn a_question_waits_for_those_under_way_before_it_is_given_up() {
        let budget = Budget::new(100, 0);
        assert!(budget.reserve(60).await && budget.reserve(30).await);
        let mut third = std::pin::pin!(budget.reserve(50));
        assert!(futures::poll!(&mut third).is_pending(), "it fits if the first two take less");
        budget.settle(60, 10);
        assert!(third.await);
        let mut fourth = std::pin::pin!(budget.reserve(40));
        assert!(futures::poll!(&mut fourth).is_pending());
        budget.settle(30, 30);
        assert!(futures::poll!(&mut fourth).is_pending(), "50 are set aside yet");
        budget.settle(50, 50);
        assert!(!fourth.await);
    }

    #[tokio::test]
    async fn a_question_over_the_bound_waits_for_nobody() {
        let budget = Budget::new(100, 90);
        assert!(budget.reserve(10).await);
        assert!(!budget.reserve(11).await);
    }
}
