//! Numbers: between bounds, a multiple where asked for, plausible where the name says what they count.

use rand::Rng;
use serde_json::{Number, Value};

use super::{Generator, Place, flatten::Flat};

/// How far from a lone bound, or from zero, a number may lie.
const SPREAD: f64 = 20.0;

impl Generator<'_> {
    pub(super) fn number(&mut self, flat: &Flat, integer: bool, place: Place<'_>) -> Option<Value> {
        let part = flat.as_schema();
        let bound = |keyword: &str| flat.get(keyword).and_then(Value::as_f64);
        let lower = max(bound("minimum"), bound("exclusiveMinimum"));
        let upper = min(bound("maximum"), bound("exclusiveMaximum"));
        let (low, high) = match (lower, upper) {
            (Some(low), Some(high)) => (low, high),
            (Some(low), None) => (low, low + SPREAD),
            (None, Some(high)) => ((high - SPREAD).max(high.min(0.0)), high),
            (None, None) => (0.0, SPREAD),
        };
        if low > high {
            return None;
        }
        let step = flat.get("multipleOf").and_then(Value::as_f64).filter(|step| *step > 0.0);
        (0..12).find_map(|attempt| {
            let candidate = self.candidate(low, high, step, integer, attempt, place);
            candidate.filter(|value| self.schema.part_allows(&part, value))
        })
    }

    fn candidate(
        &mut self,
        low: f64,
        high: f64,
        step: Option<f64>,
        integer: bool,
        attempt: usize,
        place: Place<'_>,
    ) -> Option<Value> {
        // A share of the way up that looks like a score, a random one later; the middle helps between two excluded bounds.
        let share = match attempt {
            0 if place.sensible => 0.8,
            1 => 0.5,
            _ => self.rng.random_range(0.0..=1.0),
        };
        let wish = low + (high - low) * share;
        if let Some(step) = step {
            // With lone bounds the window may hold no multiple: the next one up always exists.
            let (first, last) = ((low / step).ceil(), (high / step).floor());
            let steps =
                if last >= first { (first + ((last - first) * share).round()).clamp(first, last) } else { first };
            let product = steps * step;
            if integer && product.fract() != 0.0 {
                // A step like 0.5: every whole number in its grid will do.
                return whole(product.ceil());
            }
            return if product.fract() == 0.0 {
                whole(product)
            } else {
                Number::from_f64(round(product, 9)).map(Value::Number)
            };
        }
        if integer {
            let (first, last) = (low.ceil(), high.floor());
            // Excluded bounds are caught by the check; one step inside is the way out.
            let wish = wish.round().clamp(first, last.max(first));
            return whole(match attempt {
                3 => first + 1.0,
                4 => last - 1.0,
                _ => wish,
            });
        }
        let rounded = round(wish, 2);
        let value = if (low..=high).contains(&rounded) && attempt < 6 { rounded } else { wish };
        if value.fract() == 0.0 { whole(value) } else { Number::from_f64(value).map(Value::Number) }
    }
}

/// A whole number, written without a fraction.
fn whole(value: f64) -> Option<Value> {
    // Beyond 2^53 an f64 is whole but not exact; JSON may carry it as it is.
    if value.abs() < 9_007_199_254_740_992.0 {
        Some(Value::from(value as i64))
    } else {
        Number::from_f64(value).map(Value::Number)
    }
}

fn round(value: f64, digits: i32) -> f64 {
    let scale = 10f64.powi(digits);
    (value * scale).round() / scale
}

fn max(a: Option<f64>, b: Option<f64>) -> Option<f64> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.max(b)),
        (a, b) => a.or(b),
    }
}

fn min(a: Option<f64>, b: Option<f64>) -> Option<f64> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}
