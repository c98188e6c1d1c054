//! A deck of cards: dealt in an order of its own, all of them before any comes again.

use rand::{SeedableRng, rngs::StdRng, seq::SliceRandom};

/// What is dealt depends on the seed and on how often was dealt, and on nothing else.
#[derive(Debug)]
pub struct Deck<T> {
    cards: Vec<T>,
    left: Vec<T>,
    dice: StdRng,
}

impl<T: Copy> Deck<T> {
    /// Returns a deck of these cards, one at least.
    pub fn new(cards: Vec<T>, seed: u64) -> Self {
        Self { cards, left: Vec::new(), dice: StdRng::seed_from_u64(seed) }
    }

    /// Returns the next card; none of an empty deck.
    pub fn deal(&mut self) -> Option<T> {
        if self.left.is_empty() {
            self.left.clone_from(&self.cards);
            self.left.shuffle(&mut self.dice);
        }
        self.left.pop()
    }

    /// Returns the dice, for what is drawn beside a card.
    pub fn dice(&mut self) -> &mut StdRng {
        &mut self.dice
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_card_is_dealt_before_any_comes_again() {
        let mut deck = Deck::new(vec![1, 2, 3, 4], 7);
        for _ in 0..3 {
            let mut round: Vec<_> = (0..4).filter_map(|_| deck.deal()).collect();
            round.sort_unstable();
            assert_eq!(round, [1, 2, 3, 4]);
        }
    }

    #[test]
    fn the_same_seed_deals_the_same_cards() {
        let deal = |seed| {
            let mut deck = Deck::new((0..20).collect(), seed);
            (0..40).filter_map(|_| deck.deal()).collect::<Vec<_>>()
        };
        assert_eq!(deal(7), deal(7));
        assert_ne!(deal(7), deal(8));
    }
}
