//! Faults of the model, and of the way to it.

use std::{fmt, time::Duration};

use assay_tests::{Call, Oddity, Reply};
use parking_lot::Mutex;
use rand::Rng;

use super::{Dealt, Deck};
use crate::{ledger::Asked, stage::Stage, times::Times};

/// A text that no reader without a bound survives.
const DEEP: Oddity = Oddity::Nested(1_000_000);
const ODDITIES: [Oddity; 5] =
    [DEEP, Oddity::NotANumber, Oddity::NameTwice, Oddity::LoneSurrogate, Oddity::ByteOrderMark];

/// More than any worker takes.
const HUGE: usize = 50 << 20;

/// A fault of the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ModelFault {
    /// What can go wrong with a call.
    pub hand: Hand,
    /// The order in which it does is drawn from this.
    pub seed: u64,
}

/// Troubles that come together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hand {
    /// Statuses that are none of an answer, and an answer of a stranger.
    Statuses,
    /// Connections that break or crawl.
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

/// What goes wrong with one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ModelTrouble {
    /// 429 with `Retry-After`.
    RateLimited,
    /// 429 without.
    RateLimitedSilently,
    /// 500.
    ServerError,
    /// 529.
    Overloaded,
    /// 200 with a page of HTML.
    Html,
    /// A reset before the request is read.
    ResetBefore,
    /// A reset after it.
    ResetAfter,
    /// An answer that breaks off.
    Cut,
    /// An answer that comes byte by byte, slowly.
    Dripping,
    /// An answer cut at the token limit.
    Truncated,
    /// A refusal.
    Refused,
    /// An answer of 50 MB.
    Huge,
    /// The same without its length told before.
    HugeUntold,
    /// Odd text.
    OddText(Oddity),
    /// An odd envelope.
    OddEnvelope(Oddity),
}

impl Hand {
    /// Those that come together.
    pub const TOGETHER: [Self; 5] =
        [Self::Statuses, Self::Connections, Self::Endings, Self::OddTexts, Self::OddEnvelopes];

    /// The troubles in it.
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

    /// A card for each trouble, and calm ones between them. Those who reset before the request are dealt before there is a call.
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

impl ModelTrouble {
    /// The code that it leads to, by docs/errors.md; none where the answer can be read, and is the guest's to judge.
    pub const fn leads_to(self) -> Option<&'static str> {
        match self {
            Self::RateLimited | Self::RateLimitedSilently => Some("llm_rate_limited"),
            Self::ServerError | Self::Overloaded => Some("llm_provider_5xx"),
            Self::Html | Self::OddEnvelope(Oddity::NotANumber | Oddity::NameTwice) => Some("llm_bad_envelope"),
            Self::ResetBefore | Self::ResetAfter | Self::Cut => Some("llm_network_error"),
            Self::Dripping => Some("llm_timeout"),
            Self::Truncated => Some("llm_output_truncated"),
            Self::Refused => Some("llm_refused"),
            Self::Huge | Self::HugeUntold => Some("llm_answer_too_large"),
            Self::OddText(_) | Self::OddEnvelope(Oddity::Nested(_) | Oddity::LoneSurrogate | Oddity::ByteOrderMark) => {
                None
            }
        }
    }

    /// What becomes of a reply. One that is no answer stays what it is.
    fn spoil(self, reply: Reply, dice: &mut impl Rng, times: &Times) -> Reply {
        if !reply.is_completion() {
            return reply;
        }
        match self {
            Self::RateLimited => Reply::rate_limited("1").instead_of(reply),
            Self::RateLimitedSilently => Reply::error(429, "requests", "rate_limit_exceeded").instead_of(reply),
            Self::ServerError => Reply::error(500, "server_error", "internal_error").instead_of(reply),
            Self::Overloaded => Reply::overloaded().instead_of(reply),
            Self::Html => Reply::html().instead_of(reply),
            // Met before there was a call.
            Self::ResetBefore => reply,
            Self::ResetAfter => Reply::reset().instead_of(reply),
            Self::Cut => reply.cut_after(dice.random_range(0..200)),
            // Within the patience with silence, far beyond the patience with an answer.
            Self::Dripping => reply.dripping(1, (times.llm_idle / 2).min(Duration::from_secs(1))),
            Self::Truncated => reply.finish_reason("length"),
            Self::Refused => Reply::refusal("I would rather not.").instead_of(reply),
            Self::Huge => Reply::huge(HUGE).instead_of(reply),
            Self::HugeUntold => Reply::huge(HUGE).unannounced().instead_of(reply),
            Self::OddText(oddity) => reply.odd_text(oddity),
            Self::OddEnvelope(oddity) => reply.odd_envelope(oddity),
        }
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

impl fmt::Display for ModelTrouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RateLimited => f.write_str("429 with Retry-After"),
            Self::RateLimitedSilently => f.write_str("429 without Retry-After"),
            Self::ServerError => f.write_str("500"),
            Self::Overloaded => f.write_str("529"),
            Self::Html => f.write_str("HTML with status 200"),
            Self::ResetBefore => f.write_str("reset before the request"),
            Self::ResetAfter => f.write_str("reset after the request"),
            Self::Cut => f.write_str("answer that breaks off"),
            Self::Dripping => f.write_str("a byte a second"),
            Self::Truncated => f.write_str("truncated answer"),
            Self::Refused => f.write_str("refused answer"),
            Self::Huge => f.write_str("50 MB"),
            Self::HugeUntold => f.write_str("50 MB of untold length"),
            Self::OddText(oddity) => write!(f, "{} in the answer", name(*oddity)),
            Self::OddEnvelope(oddity) => write!(f, "{} around the answer", name(*oddity)),
        }
    }
}

const fn name(oddity: Oddity) -> &'static str {
    match oddity {
        Oddity::Nested(_) => "JSON nested a million deep",
        Oddity::NotANumber => "NaN",
        Oddity::NameTwice => "duplicate keys",
        Oddity::LoneSurrogate => "lone surrogate",
        Oddity::ByteOrderMark => "BOM",
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
        stage.model.turn_away(move || {
            let card = before.lock().deal().flatten();
            card.inspect(|trouble| met.count(trouble, 1)).is_some()
        });
        let (deck, met, times) = (Mutex::new(Deck::new(hand.cards(false), seed)), stage.met.clone(), stage.times);
        stage.model.spoil(move |call: &Call, reply| {
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
        stage.model.spare();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_turned_away_for_its_own_trouble_only_and_met_by_the_others_only() {
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
