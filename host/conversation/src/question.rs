//! The key of a question in the journal and among stored answers.

use assay_runtime::Prompt;
use sha2::{Digest, Sha256};

/// Returns the sha256 of a question's fields in the order of the contract.
///
/// # Panics
/// Never: a prompt is strings and numbers.
pub fn question_sha256(prompt: &Prompt) -> [u8; 32] {
    let mut hash = Sha256::new();
    serde_json::to_writer(&mut hash, prompt).expect("a prompt is strings and numbers, and a hash takes every byte");
    hash.finalize().into()
}
