//! Building prompts.

use crate::{Message, Prompt, Schema};

/// Limits the size of one question, in bytes as [`Prompt::bytes`] counts them.
///
/// This is the host's default; its operator can change it with `PROMPT_MAX_BYTES`.
pub const MAX_PROMPT_BYTES: usize = 2 << 20;

impl Prompt {
    /// Builds a prompt of a system and a user message that asks for an answer in the schema's stricter variant.
    pub fn structured(system: impl Into<String>, user: impl Into<String>, schema: &Schema) -> Self {
        Self {
            answer_schema: Some(schema.answer_schema().to_string()),
            ..Self::free(vec![message("system", system), message("user", user)])
        }
    }

    /// Builds a prompt for free text; model, temperature and answer length are left to the host.
    pub fn free(messages: Vec<Message>) -> Self {
        Self { messages, answer_schema: None, model: None, max_output_tokens: None, temperature: None }
    }

    /// Returns the size that the host compares with its limit: roles, contents and schema, in bytes.
    pub fn bytes(&self) -> usize {
        let messages: usize = self.messages.iter().map(|message| message.role.len() + message.content.len()).sum();
        messages + self.answer_schema.as_deref().map_or(0, str::len)
    }
}

pub(crate) fn message(role: &str, content: impl Into<String>) -> Message {
    Message { role: role.to_owned(), content: content.into() }
}

#[cfg(test)]
mod tests {
    use super::message;
    use crate::{Prompt, Schema};

    #[test]
    fn a_prompt_has_the_size_of_its_messages_and_its_schema() {
        let schema = Schema::compile(r#"{"type": "string"}"#).expect("compiles");
        assert_eq!(Prompt::free(vec![message("user", "hé")]).bytes(), "user".len() + 3);
        assert_eq!(
            Prompt::structured("a", "bc", &schema).bytes(),
            "systemauserbc".len() + r#"{"type":"string"}"#.len()
        );
    }
}
