//! What the stricter variant does not say, and what follows from it.

use std::fmt;

/// What the canonical schema says and the stricter variant does not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loss {
    /// JSON pointer into the canonical schema.
    pub pointer: String,
    /// The keyword that was left out.
    pub keyword: String,
    /// What follows from it.
    pub effect: Effect,
}

/// What a [`Loss`] does to the model's answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// The model may write what only validation will catch.
    Unsaid,
    /// The model can only write an empty object, whatever the canonical schema allows.
    EmptyObject,
    /// The model can only write text, numbers, booleans and null, whatever the canonical schema allows.
    PlainValue,
    /// The canonical schema demands a property that it does not describe, so the model is not let write it.
    Unwritable,
    /// A required property is `readOnly`: the model is not asked for it, so the guest's code has to write it.
    LeftToCode,
    /// Providers want an object at the root.
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
                write!(f, "{keyword} at {place}: it is not among the properties, so the model is not let write it")
            }
            Effect::LeftToCode => {
                write!(f, "{keyword} at {place}: it is readOnly, so only a guest with code can write it")
            }
            Effect::NoObject => write!(f, "{keyword} at {place}: providers want an object there"),
        }
    }
}
