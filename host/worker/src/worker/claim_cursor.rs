//! Where the next look at the queue begins.

use std::time::{Duration, Instant};

use assay_core::claim::QueuePosition;

/// Where the queue was found to begin. Slots that become free look from there on; the whole of it is looked at whenever somebody says that
/// there is something new, and once per poll: what is due before its front, because it came late or was locked, waits for no longer.
#[derive(Debug, Default)]
pub(super) struct ClaimCursor {
    place: Option<QueuePosition>,
    /// When the whole was looked at; none where it is to be looked at.
    whole: Option<Instant>,
}

impl ClaimCursor {
    /// Somebody says that there is something new.
    pub(super) fn forget(&mut self) {
        self.whole = None;
    }

    /// Where to look from; none is the whole.
    pub(super) fn from(&self, poll: Duration) -> Option<QueuePosition> {
        self.place.filter(|_| self.whole.is_some_and(|whole| whole.elapsed() < poll))
    }

    /// What a look from there has found first.
    pub(super) fn found(&mut self, from: Option<QueuePosition>, first: Option<QueuePosition>) {
        if from.is_none() {
            (self.place, self.whole) = (None, Some(Instant::now()));
        }
        self.place = first.or(self.place);
    }
}

#[cfg(test)]
mod tests {
    use assay_core::ids::JobId;
    use time::macros::datetime;
    use uuid::Uuid;

    use super::*;

    const POLL: Duration = Duration::from_secs(3600);

    fn place(number: u128) -> QueuePosition {
        QueuePosition { due: datetime!(2026-03-04 09:30:00 UTC), job: JobId(Uuid::from_u128(number)) }
    }

    #[test]
    fn a_freed_slot_looks_from_where_the_queue_began() {
        let mut front = ClaimCursor::default();
        assert_eq!(front.from(POLL), None, "nobody has looked yet");
        front.found(None, Some(place(5)));
        assert_eq!(front.from(POLL), Some(place(5)));
        front.found(Some(place(5)), Some(place(7)));
        assert_eq!(front.from(POLL), Some(place(7)));
        front.found(Some(place(7)), None);
        assert_eq!(front.from(POLL), Some(place(7)), "an end says nothing about the beginning");
    }

    #[test]
    fn the_whole_is_looked_at_once_per_poll_and_when_there_is_something_new() {
        let mut front = ClaimCursor::default();
        front.found(None, Some(place(5)));
        assert_eq!(front.from(Duration::ZERO), None);
        front.forget();
        assert_eq!(front.from(POLL), None);
        front.found(None, None);
        assert_eq!(front.from(POLL), None, "an empty queue begins nowhere");
    }
}
