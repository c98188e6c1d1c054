//! What a request left out because the model rejects it.

/// What a request left out or changed because the model rejects it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Adapted {
    /// `response_format` was `json_object` with the schema in the prompt, not `json_schema`.
    pub json_object: bool,
    /// The guest's temperature was left out.
    pub temperature_dropped: bool,
    /// The token limit was sent as `max_completion_tokens`.
    pub max_completion_tokens: bool,
}
