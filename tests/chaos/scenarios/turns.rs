//! Faults that take turns: each once in a round, in an order of its own, with calm before and after it.

use std::time::Duration;

use rand::{Rng, rngs::StdRng, seq::SliceRandom};

use crate::step::{Action, Step};

/// What a fault wants of its round.
#[derive(Debug, Clone, Copy)]
pub struct Turn {
    pub action: Action,
    /// The least time that it lasts.
    pub least: Duration,
    /// Its part of the time that is left.
    pub weight: f64,
}

impl Turn {
    /// Returns a turn as long as the others.
    pub fn of(action: Action) -> Self {
        Self { action, least: Duration::ZERO, weight: 1.0 }
    }

    /// At least this long, beside the others.
    pub fn at_least(action: Action, least: Duration) -> Self {
        Self { least, ..Self::of(action) }
    }

    /// Returns a turn so many times as long as another one.
    pub fn weighing(action: Action, weight: f64) -> Self {
        Self { weight, ..Self::of(action) }
    }
}

/// Rounds that fill the time, `pace` for each turn or less where there is no time for more. `round` makes the turns of one: every fault of a
/// scenario is among them, so that even a short run meets each.
pub fn rounds(
    dice: &mut StdRng,
    duration: Duration,
    pace: Duration,
    mut round: impl FnMut(&mut StdRng) -> Vec<Turn>,
) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut begin = Duration::ZERO;
    while steps.is_empty() || begin + (begin / u32::try_from(steps.len()).unwrap_or(1)) < duration {
        let mut turns = round(dice);
        turns.shuffle(dice);
        let least: Duration = turns.iter().map(|turn| turn.least).sum();
        let weights: f64 = turns.iter().map(|turn| turn.weight).sum();
        let left = duration.saturating_sub(begin + least);
        let unit = left.div_f64(weights).min(pace);
        for turn in turns {
            let room = unit.mul_f64(turn.weight);
            let at = begin + room.mul_f64(dice.random_range(0.05..0.2));
            let lasts = turn.least + room.mul_f64(dice.random_range(0.5..0.75));
            steps.push(Step { at, lasts, action: turn.action });
            begin += turn.least + room;
        }
    }
    steps
}
