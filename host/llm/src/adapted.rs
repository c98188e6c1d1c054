//! What a request left out or changed because the model rejects it.

/// How a request asks for an answer that satisfies a schema: one ladder, from the strictest form down.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum SchemaForm {
    /// `json_schema`, with the schema as the guest gave it.
    #[default]
    AsGiven,
    /// `json_schema`, with the schema in the strict subset that providers take.
    Strict,
    /// `json_object`, with the schema in the prompt.
    JsonObject,
    /// No format, with the schema in the prompt.
    InPrompt,
}

impl SchemaForm {
    /// Returns the next form down.
    pub(crate) const fn next(self) -> Option<Self> {
        match self {
            Self::AsGiven => Some(Self::Strict),
            Self::Strict => Some(Self::JsonObject),
            Self::JsonObject => Some(Self::InPrompt),
            Self::InPrompt => None,
        }
    }

    /// Returns the form as logs write it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AsGiven => "as_given",
            Self::Strict => "strict",
            Self::JsonObject => "json_object",
            Self::InPrompt => "in_prompt",
        }
    }
}

/// What a request left out or changed because the model rejects it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Adapted {
    /// How the request asked for the schema.
    pub schema: SchemaForm,
    /// The guest's temperature was left out.
    pub temperature_dropped: bool,
    /// The token limit was sent as `max_completion_tokens`.
    pub max_completion_tokens: bool,
}
