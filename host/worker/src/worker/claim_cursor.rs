//! Where the next claim begins to read the queue.

use std::time::{Duration, Instant};

use assay_core::claim::QueuePosition;

/// The position at which the queue was found to begin. Freed slots claim from there on.
///
/// The whole queue is read after each notification and once per poll. So a job before the cursor, which came late or was locked, waits
/// no longer than a poll.
#[derive(Debug, Default)]
pub(super) struct ClaimCursor {
    position: Option<QueuePosition>,
    /// When the whole queue was last read; `None` when the next claim must read it.
    full_scan_at: Option<Instant>,
}

impl ClaimCursor {
    /// Makes the next claim read the whole queue.
    pub(super) fn reset(&mut self) {
        self.full_scan_at = None;
    }

    /// Returns where to claim from; `None` is the whole queue.
    pub(super) fn position(&self, poll: Duration) -> Option<QueuePosition> {
        self.position.filter(|_| self.full_scan_at.is_some_and(|scan| scan.elapsed() < poll))
    }

    /// Moves to the first job that a claim from `from` found.
    pub(super) fn advance(&mut self, from: Option<QueuePosition>, first: Option<QueuePosition>) {
        if from.is_none() {
            (self.position, self.full_scan_at) = (None, Some(Instant::now()));
        }
        self.position = first.or(self.position);
    }
}

#[cfg(test)]
mod tests {
    use assay_core::ids::JobId;
    use time::macros::datetime;
    use uuid::Uuid;

    use super::*;

    const POLL: Duration = Duration::from_secs(3600);

    fn position(number: u128) -> QueuePosition {
        QueuePosition { due: datetime!(2026-03-04 09:30:00 UTC), job: JobId(Uuid::from_u128(number)) }
    }

    #[test]
    fn a_freed_slot_claims_from_where_the_queue_began() {
        let mut cursor = ClaimCursor::default();
        assert_eq!(cursor.position(POLL), None, "the queue was not read yet");
        cursor.advance(None, Some(position(5)));
        assert_eq!(cursor.position(POLL), Some(position(5)));
        cursor.advance(Some(position(5)), Some(position(7)));
        assert_eq!(cursor.position(POLL), Some(position(7)));
        cursor.advance(Some(position(7)), None);
        assert_eq!(cursor.position(POLL), Some(position(7)), "an empty claim says nothing about the beginning");
    }

    #[test]
    fn the_whole_queue_is_read_once_per_poll_and_after_a_reset() {
        let mut cursor = ClaimCursor::default();
        cursor.advance(None, Some(position(5)));
        assert_eq!(cursor.position(Duration::ZERO), None);
        cursor.reset();
        assert_eq!(cursor.position(POLL), None);
        cursor.advance(None, None);
        assert_eq!(cursor.position(POLL), None, "an empty queue has no beginning");
    }
}
