//! What the stricter variant cannot express.

use std::fmt;

/// Describes one constraint of the canonical schema that the stricter variant lacks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loss {
    /// Points into the canonical schema (RFC 6901).
    pub pointer: String,
    /// Names the keyword that was left out.
    pub keyword: String,
    /// Says what follows for the answers.
    pub effect: Effect,
}

/// Says what a [`Loss`] does to the model's answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Lets the model write what only validation catches.
    Unsaid,
    /// Limits the model to an empty object.
    EmptyObject,
    /// Limits the model to text, numbers, booleans and null.
    PlainValue,
    /// Keeps the model from writing a required property that the canonical schema does not describe.
    Unwritable,
    /// Leaves a required property to the guest's code, because it is `readOnly`.
    LeftToCode,
    /// Makes providers refuse the schema: its root is not an object.
    NoObject,
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { pointer, keyword, effect } = self;
        let place = if pointer.is_empty() { "the root" } else { pointer };
        match effect {
            Effect::Unsaid => {
                write!(f, "{keyword} at {place} cannot be said in it; answers are held to it all the same")
            }
            Effect::EmptyObject => write!(f, "{keyword} at {place}: the model can only write an empty object there"),
            Effect::PlainValue => {
                write!(f, "{keyword} at {place}: the model can only write text, numbers, booleans and null there")
            }
            Effect::Unwritable => {
                write!(f, "{keyword} at {place}: it is not among the properties, so the model cannot write it")
            }
            Effect::LeftToCode => {
                write!(f, "{keyword} at {place}: it is readOnly, so only a guest with code can write it")
            }
            Effect::NoObject => write!(f, "{keyword} at {place}: providers require an object there"),
        }
    }
}
