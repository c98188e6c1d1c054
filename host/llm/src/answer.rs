//! An answer of a provider, as every wire format gives it.

use crate::{completion::Usage, provider_error::ProviderError};

/// What was asked for, as far as reading the answer needs it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Asked {
    /// The answer should be one JSON document.
    pub json: bool,
    /// The most tokens of the answer, as they were sent.
    pub max_output_tokens: Option<u32>,
}

/// What a body says.
#[derive(Debug)]
pub(crate) enum BodyContent {
    Answer(Answer),
    /// A success that holds the error of an upstream.
    Error(ProviderError),
    /// Nothing that is an answer. It may have been paid for.
    Nothing {
        what: &'static str,
        usage: Option<Usage>,
    },
}

/// An answer as the provider sent it.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    pub text: String,
    pub refusal: Option<String>,
    /// Why the model stopped, in the provider's word.
    pub finish_reason: String,
    /// The model, in the provider's word.
    pub model: Option<String>,
    pub usage: Option<Usage>,
}
