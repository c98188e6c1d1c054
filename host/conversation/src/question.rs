//! The key of a question in the journal and among stored answers.

use assay_runtime::{Message, Prompt};
use serde::Serialize;
use sha2::{Digest, Sha256};

/// The hashed fields of a question. Their names, order and nulls are part of every stored key, so none of them changes.
///
/// A field that is added to the contract goes to the end, with `skip_serializing_if`: a question without it keeps its key.
#[derive(Serialize)]
struct HashedQuestion<'a> {
    messages: Vec<HashedMessage<'a>>,
    answer_schema: Option<&'a str>,
    model: Option<&'a str>,
    max_output_tokens: Option<u32>,
    temperature: Option<f32>,
}

/// The hashed fields of a message; the rule of [`HashedQuestion`] holds here too.
#[derive(Serialize)]
struct HashedMessage<'a> {
    role: &'a str,
    content: &'a str,
}

/// Returns the sha256 of a question's fields in the order of the contract.
///
/// # Panics
/// Never: a prompt is strings and numbers.
pub fn question_sha256(prompt: &Prompt) -> [u8; 32] {
    // Every field is named, so that one that is added does not stay out unseen.
    let Prompt { messages, answer_schema, model, max_output_tokens, temperature } = prompt;
    let question = HashedQuestion {
        messages: messages.iter().map(|Message { role, content }| HashedMessage { role, content }).collect(),
        answer_schema: answer_schema.as_deref(),
        model: model.as_deref(),
        max_output_tokens: *max_output_tokens,
        temperature: *temperature,
    };
    let mut hash = Sha256::new();
    serde_json::to_writer(&mut hash, &question).expect("a prompt is strings and numbers, and a hash takes every byte");
    hash.finalize().into()
}
