//! A success that holds no answer: it may have been paid for, so it is kept and counted.

use std::fmt;

use bytes::Bytes;
use sha2::{Digest, Sha256};

use crate::{completion::Usage, lenient_json};

/// The body of a success that holds no answer.
#[derive(Clone, PartialEq)]
pub struct UnreadableAnswer {
    /// As it came, up to `ANSWER_MAX_BYTES`. Content.
    pub body: Bytes,
    /// What it used, if the provider counts it and can mean it.
    pub usage: Option<Usage>,
    /// Of a completion's choices.
    sha256: Option<[u8; 32]>,
}

/// Digits of a hash, enough for the answers of one job.
const NAME_DIGITS: usize = 12;

impl UnreadableAnswer {
    pub(crate) fn new(body: &[u8], max_bytes: usize, usage: Option<Usage>) -> Self {
        let usage = usage.filter(|usage| usage.is_plausible());
        let kept = &body[..body.len().min(max_bytes)];
        Self { body: Bytes::copy_from_slice(kept), usage, sha256: sha256_of_meaning(body) }
    }

    /// Returns a name that only the same answer has: `answer` and the first digits of its hash. `None` for a body that is no
    /// completion, such as a gateway's page: the next one may be.
    pub fn name(&self) -> Option<String> {
        let digits: String = self.sha256?.iter().map(|byte| format!("{byte:02x}")).collect();
        Some(format!("answer {}", &digits[..NAME_DIGITS]))
    }
}

/// The ids and times of a completion differ each time, so its choices alone are hashed.
fn sha256_of_meaning(body: &[u8]) -> Option<[u8; 32]> {
    let body = lenient_json::parse(body)?;
    Some(Sha256::digest(body.get("choices")?.to_string()).into())
}

/// Shows its size instead of the body.
impl fmt::Debug for UnreadableAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UnreadableAnswer").field("bytes", &self.body.len()).field("usage", &self.usage).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_the_same_whatever_its_id_and_time() {
        let name = |body: &str| UnreadableAnswer::new(body.as_bytes(), 1000, None).name();
        let first = name(r#"{"id":"a","created":1,"choices":[{"message":{"content":null}}]}"#);
        assert_eq!(name(r#"{"id":"b","created":2,"choices":[{"message":{"content":null}}]}"#), first);
        assert_ne!(name(r#"{"id":"a","created":1,"choices":[{"message":{"content":""}}]}"#), first);
        assert!(first.is_some());
        assert_eq!((name("<html>"), name("{}")), (None, None));
    }

    #[test]
    fn a_long_body_is_kept_up_to_the_bound_and_named_by_the_whole() {
        let answer = |text: &str| {
            let body = format!(r#"{{"choices":[{{"text":"{text}"}}]}}"#);
            UnreadableAnswer::new(body.as_bytes(), 20, None)
        };
        assert_eq!(answer("one and more").body.len(), 20);
        assert_ne!(answer("one and more").name(), answer("one and less").name());
    }

    #[test]
    fn counts_that_no_provider_means_are_unknown() {
        let used = |input_tokens| {
            UnreadableAnswer::new(b"{}", 1000, Some(Usage { input_tokens, ..Usage::default() })).usage.is_some()
        };
        assert!(used(100) && used(1_000_000_000));
        assert!(!used(1_000_000_001) && !used(u64::MAX));
    }

    #[test]
    fn a_debug_print_has_no_content() {
        let shown = format!("{:?}", UnreadableAnswer::new(b"SECRET", 1000, None));
        assert!(!shown.contains("SECRET") && !shown.contains("83, 69"), "{shown}");
    }
}
