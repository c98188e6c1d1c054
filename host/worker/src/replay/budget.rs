//! The budget of a replay: tokens used and reserved.

use parking_lot::Mutex;
use tokio::sync::Notify;

/// A limit of tokens.
#[derive(Debug)]
pub struct Budget {
    limit: u64,
    state: Mutex<BudgetState>,
    settled: Notify,
}

#[derive(Debug, Default)]
struct BudgetState {
    used: u64,
    reserved: u64,
}

impl Budget {
    /// Makes a budget of `limit` tokens, of which `used` are spent.
    pub fn new(limit: u64, used: u64) -> Self {
        Self { limit, state: Mutex::new(BudgetState { used, reserved: 0 }), settled: Notify::new() }
    }

    /// Reserves tokens for a question. Returns false if the budget is too small. Waits for questions under way, which may take
    /// fewer tokens than reserved.
    pub async fn reserve(&self, expected: u64) -> bool {
        loop {
            // Register first, check second: a settlement in between wakes this task.
            let mut settled = std::pin::pin!(self.settled.notified());
            settled.as_mut().enable();
            {
                let mut state = self.state.lock();
                let needed = state.used.saturating_add(expected);
                if needed.saturating_add(state.reserved) <= self.limit {
                    state.reserved += expected;
                    return true;
                }
                if needed > self.limit || state.reserved == 0 {
                    return false;
                }
            }
            settled.await;
        }
    }

    /// Replaces a reservation by the tokens that the question used.
    pub fn settle(&self, expected: u64, used: u64) {
        let mut state = self.state.lock();
        state.reserved = state.reserved.saturating_sub(expected);
        state.used = state.used.saturating_add(used);
        drop(state);
        self.settled.notify_waiters();
    }

    pub fn used(&self) -> u64 {
        self.state.lock().used
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn used_and_reserved_tokens_stay_within_the_limit() {
        let budget = Budget::new(100, 30);
        assert!(budget.reserve(40).await);
        budget.settle(40, 50);
        assert_eq!(budget.used(), 80);
        assert!(!budget.reserve(21).await);
        assert!(budget.reserve(20).await);
    }

    #[tokio::test]
    async fn a_question_waits_for_those_under_way() {
        let budget = Budget::new(100, 0);
        assert!(budget.reserve(60).await && budget.reserve(30).await);
        let mut third = std::pin::pin!(budget.reserve(50));
        assert!(futures::poll!(&mut third).is_pending(), "it fits if the first two take less");
        budget.settle(60, 10);
        assert!(third.await);
        let mut fourth = std::pin::pin!(budget.reserve(40));
        assert!(futures::poll!(&mut fourth).is_pending());
        budget.settle(30, 30);
        assert!(futures::poll!(&mut fourth).is_pending(), "50 are still reserved");
        budget.settle(50, 50);
        assert!(!fourth.await);
    }

    #[tokio::test]
    async fn a_question_over_the_limit_is_refused_at_once() {
        let budget = Budget::new(100, 90);
        assert!(budget.reserve(10).await);
        assert!(!budget.reserve(11).await);
    }
}
