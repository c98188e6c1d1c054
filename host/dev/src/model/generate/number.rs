//! Numbers: between bounds, a multiple of a step, plausible as a score.

use std::ops::RangeInclusive;

use rand::Rng;
use serde_json::{Number, Value};

use super::{
    flat::Flat,
    generator::{Generator, Slot},
};

/// How far from a lone bound, or from zero, a number may lie.
const MAX_DISTANCE: f64 = 20.0;

const MAX_TRIES: usize = 12;

impl Generator<'_> {
    pub(super) fn number(&mut self, flat: &Flat, integer: bool, slot: Slot<'_>) -> Option<Value> {
        let part = flat.assertions();
        let bounds = bounds(flat);
        let step = flat.get("multipleOf").and_then(Value::as_f64);
        (0..MAX_TRIES).filter(|_| !bounds.is_empty()).find_map(|attempt| {
            // A share of the way up that looks like a score, then the middle, which helps between two excluded bounds.
            let share = match attempt {
                0 if slot.sensible => 0.8,
                1 => 0.5,
                _ => self.rng.random_range(0.0..=1.0),
            };
            let candidate = match step {
                Some(step) => multiple(&bounds, step, share),
                None if integer => whole(&bounds, share, attempt),
                None => fraction(&bounds, share, attempt),
            };
            json_number(candidate).filter(|value| self.schema.part_allows(&part, value))
        })
    }
}

fn bounds(flat: &Flat) -> RangeInclusive<f64> {
    let bound = |keywords: [&str; 2], stricter: fn(f64, f64) -> f64| {
        keywords.iter().filter_map(|keyword| flat.get(keyword).and_then(Value::as_f64)).reduce(stricter)
    };
    let lower = bound(["minimum", "exclusiveMinimum"], f64::max);
    let upper = bound(["maximum", "exclusiveMaximum"], f64::min);
    match (lower, upper) {
        (Some(low), Some(high)) => low..=high,
        (None, Some(high)) => (high - MAX_DISTANCE).max(high.min(0.0))..=high,
        (low, None) => low.unwrap_or(0.0)..=low.unwrap_or(0.0) + MAX_DISTANCE,
    }
}

fn between(bounds: &RangeInclusive<f64>, share: f64) -> f64 {
    bounds.start() + (bounds.end() - bounds.start()) * share
}

fn multiple(bounds: &RangeInclusive<f64>, step: f64, share: f64) -> f64 {
    let (first, last) = ((bounds.start() / step).ceil(), (bounds.end() / step).floor());
    // Between lone bounds there may be no multiple: the next one up always exists.
    let steps = if last >= first { first + ((last - first) * share).round() } else { first };
    round(steps * step, 9)
}

fn whole(bounds: &RangeInclusive<f64>, share: f64, attempt: usize) -> f64 {
    let (first, last) = (bounds.start().ceil(), bounds.end().floor());
    // If a bound is excluded, one step inside is the way out.
    match attempt {
        3 => first + 1.0,
        4 => last - 1.0,
        _ => between(bounds, share).round().clamp(first, last.max(first)),
    }
}

fn fraction(bounds: &RangeInclusive<f64>, share: f64, attempt: usize) -> f64 {
    let exact = between(bounds, share);
    let rounded = round(exact, 2);
    if bounds.contains(&rounded) && attempt < 6 { rounded } else { exact }
}

/// Writes a whole number without a fraction.
fn json_number(value: f64) -> Option<Value> {
    let whole = value as i64;
    if whole as f64 == value { Some(Value::from(whole)) } else { Number::from_f64(value).map(Value::Number) }
}

fn round(value: f64, digits: i32) -> f64 {
    let scale = 10f64.powi(digits);
    (value * scale).round() / scale
}
