//! Faults of the bucket, and of the way to it.

use std::{
    fmt,
    hash::{DefaultHasher, Hash, Hasher},
    time::Duration,
};

use assay_tests::{Asked, Fault, Gate, Operation};
use parking_lot::Mutex;
use rand::Rng;

use crate::{faults::deck::Deck, stage::Stage};

/// A fault of the bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BucketFault {
    pub trouble: BucketTrouble,
    /// What is drawn for each request is drawn from this.
    pub seed: u64,
}

/// What goes wrong with requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BucketTrouble {
    /// 500 for half of them.
    InternalError,
    /// 503 `SlowDown` for half of them.
    SlowDown,
    /// No answer for half of them; the store was not touched.
    Reset,
    /// Half of the bodies end early.
    CutBody,
    /// A third stand still for longer than their client waits: before the store is touched, before the answer, or in the body.
    Stall,
    /// Half of the objects land, though no try to write them has an answer.
    PutLands,
    /// Reports land without an answer, so that they are deleted, and no delete works.
    DeleteFails,
}

impl BucketTrouble {
    pub const ALL: [Self; 7] = [
        Self::InternalError,
        Self::SlowDown,
        Self::Reset,
        Self::CutBody,
        Self::Stall,
        Self::PutLands,
        Self::DeleteFails,
    ];

    /// Returns what goes wrong with this request. A trouble that befalls every try of one object depends on `key`.
    fn draw(self, asked: &Asked, half: bool, deck: &mut Deck<u8>, patience: Duration) -> Option<Fault> {
        // One of six at a time, so that every third and every second are drawn from the same deck.
        let card = deck.deal()?;
        match self {
            Self::InternalError => (card < 3).then_some(Fault::Status { status: 500, code: "InternalError" }),
            Self::SlowDown => (card < 3).then(Fault::slow_down),
            Self::Reset => (card < 3).then_some(Fault::ResetBefore),
            Self::CutBody => {
                let cut = asked.operation == Operation::Get && card < 3;
                cut.then(|| Fault::CutBody(deck.dice().random_range(0..1000)))
            }
            Self::Stall => {
                let gate = || Gate::opening_after(patience.mul_f64(1.2));
                match (card, asked.operation) {
                    (0, _) => Some(Fault::Stall(gate())),
                    (1, Operation::Get) => Some(Fault::StallBody(deck.dice().random_range(0..1000), gate())),
                    (1, _) => Some(Fault::StallAnswer(gate())),
                    _ => None,
                }
            }
            Self::PutLands => (asked.operation == Operation::Put && half).then_some(Fault::ResetAfter),
            Self::DeleteFails => match asked.operation {
                Operation::Delete if card < 3 => Some(Fault::Status { status: 403, code: "AccessDenied" }),
                Operation::Delete => Some(Fault::Status { status: 500, code: "InternalError" }),
                Operation::Put if asked.key.ends_with("/report.json") && half => Some(Fault::ResetAfter),
                _ => None,
            },
        }
    }
}

impl fmt::Display for BucketTrouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::InternalError => "500",
            Self::SlowDown => "503 SlowDown",
            Self::Reset => "resets",
            Self::CutBody => "bodies cut",
            Self::Stall => "stalls past the deadline",
            Self::PutLands => "PUT that lands and whose answer is lost",
            Self::DeleteFails => "DELETE that fails",
        })
    }
}

impl fmt::Display for BucketFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.trouble.fmt(f)
    }
}

impl BucketFault {
    /// Begins it, lets it last, and ends it.
    pub async fn strike(self, stage: &Stage, lasts: Duration) {
        let _turn = stage.met.turn().await;
        let Self { trouble, seed } = self;
        stage.met.count(&self, 0);
        let (met, patience) = (stage.met.clone(), stage.services.times.s3);
        let deck = Mutex::new(Deck::new((0..6).collect(), seed));
        stage.services.objects.decide(move |asked| {
            let fault = trouble.draw(asked, is_of_half(&asked.key, seed), &mut deck.lock(), patience);
            if fault.is_some() && is_met(trouble, asked) {
                met.count(&self, 1);
            }
            fault
        });
        tokio::time::sleep(lasts).await;
        stage.met.once(&[trouble]).await;
        stage.services.objects.clear_faults();
    }
}

/// Returns the operation that meets a trouble: a DELETE that fails is met by a DELETE, not by the PUT before it.
fn is_met(trouble: BucketTrouble, asked: &Asked) -> bool {
    trouble != BucketTrouble::DeleteFails || asked.operation == Operation::Delete
}

/// Returns whether an object belongs to the half that is hit: the same for every try.
fn is_of_half(key: &str, seed: u64) -> bool {
    let mut hasher = DefaultHasher::new();
    (key, seed).hash(&mut hasher);
    hasher.finish().is_multiple_of(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hits(trouble: BucketTrouble, operation: Operation, key: &str) -> usize {
        let mut deck = Deck::new((0..6).collect(), 7);
        let asked = |number| Asked { number, operation, key: key.to_owned() };
        (1..=60)
            .filter(|number| trouble.draw(&asked(*number), true, &mut deck, Duration::from_secs(1)).is_some())
            .count()
    }

    #[test]
    fn each_trouble_hits_its_share_of_what_it_is_about() {
        use BucketTrouble as T;
        use Operation as O;
        for trouble in [T::InternalError, T::SlowDown, T::Reset] {
            assert_eq!(hits(trouble, O::Head, "a"), 30, "{trouble}");
        }
        assert_eq!((hits(T::CutBody, O::Get, "a"), hits(T::CutBody, O::Put, "a")), (30, 0));
        assert_eq!((hits(T::Stall, O::Get, "a"), hits(T::Stall, O::Put, "a")), (20, 20));
        assert_eq!((hits(T::PutLands, O::Put, "a"), hits(T::PutLands, O::Get, "a")), (60, 0));
        assert_eq!(hits(T::DeleteFails, O::Delete, "a"), 60);
        assert_eq!(hits(T::DeleteFails, O::Put, "a/report.json"), 60);
        assert_eq!(hits(T::DeleteFails, O::Put, "a/notes.json"), 0);
    }

    #[test]
    fn the_half_of_the_objects_that_is_hit_is_another_for_another_seed() {
        let keys: Vec<_> = (0..100).map(|number| format!("key-{number}")).collect();
        let half = |seed| keys.iter().filter(|key| is_of_half(key, seed)).collect::<Vec<_>>();
        assert_eq!(half(7), half(7));
        assert_ne!(half(7), half(8));
        assert!((30..70).contains(&half(7).len()));
    }
}
