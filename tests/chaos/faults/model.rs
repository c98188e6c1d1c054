//! Faults of the model, and of the way to it.

use std::{fmt, time::Duration};

use assay_tests::{Call, Oddity};
use parking_lot::Mutex;

use crate::{
    faults::{deck::Deck, met::Dealt, model_trouble::ModelTrouble},
    ledger::Asked,
    stage::Stage,
};

/// A text that no reader without a bound survives.
const DEEP: Oddity = Oddity::Nested(1_000_000);
const ODDITIES: [Oddity; 5] =
    [DEEP, Oddity::NotANumber, Oddity::NameTwice, Oddity::LoneSurrogate, Oddity::ByteOrderMark];

/// A fault of the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ModelFault {
    /// What can go wrong with a call.
    pub hand: Hand,
    /// The order in which it does is drawn from this.
    pub seed: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hand {
    /// Statuses that are none of an answer, and an answer of a stranger.
    Statuses,
    Connections,
    /// Answers that the worker does not take.
    Endings,
    /// Odd answers in sound envelopes: the guest's to judge.
    OddTexts,
    /// Sound answers in odd envelopes: the host's to read.
    OddEnvelopes,
    /// One trouble, and no call without.
    Only(ModelTrouble),
}

impl Hand {
    pub const TOGETHER: [Self; 5] =
        [Self::Statuses, Self::Connections, Self::Endings, Self::OddTexts, Self::OddEnvelopes];

    /// Returns the troubles in it.
    pub fn troubles(self) -> Vec<ModelTrouble> {
        use ModelTrouble as T;
        match self {
            Self::Statuses => {
                vec![T::RateLimited, T::RateLimitedSilently, T::ServerError, T::Overloaded, T::Html]
            }
            Self::Connections => vec![T::ResetBefore, T::ResetAfter, T::Cut, T::Dripping],
            Self::Endings => vec![T::Truncated, T::Refused, T::Huge, T::HugeUntold],
            Self::OddTexts => ODDITIES.map(T::OddText).to_vec(),
            Self::OddEnvelopes => ODDITIES.map(T::OddEnvelope).to_vec(),
            Self::Only(trouble) => vec![trouble],
        }
    }

    /// Returns a card for each trouble, and calm ones between them. Those who reset before the request are dealt before there is a call.
    fn cards(self, before: bool) -> Vec<Option<ModelTrouble>> {
        let troubles = self.troubles();
        let mine = |trouble: &ModelTrouble| (*trouble == ModelTrouble::ResetBefore) == before;
        let calm = match self {
            Self::Only(_) => 0,
            _ if before => troubles.len(),
            _ => troubles.len() / 2,
        };
        let mut cards: Vec<_> = troubles.iter().copied().filter(mine).map(Some).collect();
        if !cards.is_empty() {
            cards.resize(cards.len() + calm, None);
        }
        cards
    }
}

impl fmt::Display for Hand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Only(trouble) => write!(f, "nothing but {trouble}"),
            together => {
                let names: Vec<_> = together.troubles().iter().map(ToString::to_string).collect();
                f.write_str(&names.join(", "))
            }
        }
    }
}

impl fmt::Display for ModelFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.hand.fmt(f)
    }
}

impl ModelFault {
    /// Begins it, lets it last, and ends it.
    pub async fn strike(self, stage: &Stage, lasts: Duration) {
        let _turn = stage.met.turn().await;
        let Self { hand, seed } = self;
        for trouble in hand.troubles() {
            stage.met.count(&trouble, 0);
        }
        let (before, met) = (Mutex::new(Deck::new(hand.cards(true), seed)), stage.met.clone());
        stage.services.model.turn_away(move || {
            let card = before.lock().deal().flatten();
            card.inspect(|trouble| met.count(trouble, 1)).is_some()
        });
        let (deck, met, times) =
            (Mutex::new(Deck::new(hand.cards(false), seed)), stage.met.clone(), stage.services.times);
        stage.services.model.spoil(move |call: &Call, reply| {
            let mut deck = deck.lock();
            let Some(trouble) = deck.deal().flatten().filter(|_| reply.is_completion()) else { return reply };
            met.count(&trouble, 1);
            if let Some(Asked { at, slot, file, question }) = Asked::read(call) {
                met.deal(Dealt { at, slot, file, question, trouble });
            }
            trouble.spoil(reply, deck.dice(), &times)
        });
        tokio::time::sleep(lasts).await;
        stage.met.once(&hand.troubles()).await;
        stage.services.model.spare();
    }
}

#[cfg(test)]
mod tests {
    use assay_tests::Reply;

    use super::*;
    use crate::times::Times;

    #[test]
    fn a_call_is_turned_away_for_one_trouble_only() {
        use ModelTrouble as T;
        for hand in Hand::TOGETHER {
            let before: Vec<_> = hand.cards(true).into_iter().flatten().collect();
            assert_eq!(before, if hand == Hand::Connections { vec![T::ResetBefore] } else { vec![] });
            let after = hand.cards(false);
            assert!(after.contains(&None) && !after.contains(&Some(T::ResetBefore)));
        }
        assert_eq!(Hand::Only(T::ResetBefore).cards(true), [Some(T::ResetBefore)]);
        assert_eq!(Hand::Only(T::ResetBefore).cards(false), []);
        assert_eq!(Hand::Only(T::Html).cards(false), [Some(T::Html)]);
    }

    #[test]
    fn what_is_no_answer_is_not_spoiled() {
        let mut dice = rand::rng();
        for trouble in Hand::TOGETHER.into_iter().flat_map(Hand::troubles) {
            let spoiled = trouble.spoil(Reply::error(400, "invalid_request_error", "x"), &mut dice, &Times::SHORT);
            assert!(!spoiled.is_completion());
        }
    }
}
