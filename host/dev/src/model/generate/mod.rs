//! Generates an instance of a JSON Schema, with the words of a transcript.
//!
//! Each node is first flattened: references followed, branches chosen, all merged into one set of keywords. Then the keywords make a value.
//! A validator checks what merging cannot express (`oneOf`, `not`, `if`); if it fails, other choices are tried.

mod array;
mod flat;
mod flatten;
mod format;
mod generator;
mod min_depth;
mod number;
mod object;
mod pattern;
mod string;

use rand::{SeedableRng, rngs::StdRng};
use serde_json::Value;

use super::{schema::Schema, transcript::Transcript};
use generator::Generator;

/// Tries per answer. The first valid answer is given.
const MAX_ATTEMPTS: u64 = 24;

/// The first attempts make sensible choices, later ones random choices.
const SENSIBLE_ATTEMPTS: u64 = 2;

/// Bounds the work for a schema without instances.
const MAX_STEPS_OF_ALL_ATTEMPTS: usize = 24_000;

/// A bad start must leave room for another attempt.
const MAX_STEPS_PER_ATTEMPT: usize = 8_000;

impl Schema {
    /// Generates an instance with the words of `text`, the same for the same schema, text and seed.
    ///
    /// Returns an invalid instance if no attempt satisfies the schema: some schemas have no instance.
    pub fn instance(&self, text: &str, seed: u64) -> Value {
        self.answer(&Transcript::find(text), seed)
    }

    pub(super) fn answer(&self, transcript: &Transcript, seed: u64) -> Value {
        let mut last = Value::Null;
        let mut budget = MAX_STEPS_OF_ALL_ATTEMPTS;
        for attempt in 0..MAX_ATTEMPTS {
            let rng = StdRng::seed_from_u64(seed.wrapping_add(attempt.wrapping_mul(0x9E37_79B9_7F4A_7C15)));
            let steps = MAX_STEPS_PER_ATTEMPT.min(budget);
            let mut generator = Generator::new(self, transcript, rng, steps);
            let instance = generator.root(attempt < SENSIBLE_ATTEMPTS);
            budget -= steps - generator.steps;
            if let Some(instance) = instance {
                if self.allows(&instance) {
                    return instance;
                }
                last = instance;
            }
        }
        tracing::warn!("stand-in found no answer that satisfies the schema");
        last
    }
}
