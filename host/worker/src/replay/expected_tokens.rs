//! The expected tokens of a question and its answer.

use assay_runtime::Prompt;

/// Bytes of a question per token. Models differ, and other alphabets than Latin take more tokens.
const BYTES_PER_TOKEN: usize = 4;
/// Expected tokens of an answer without any other estimate.
const DEFAULT_OUTPUT_TOKENS: u64 = 1000;

/// Estimates the tokens of a question by its bytes, and those of its answer by the average of recorded ones, or by its limit.
pub fn expected_tokens(prompt: &Prompt, recorded_output: Option<u64>) -> u64 {
    let input = prompt.bytes().div_ceil(BYTES_PER_TOKEN) as u64;
    input + recorded_output.or(prompt.max_output_tokens.map(u64::from)).unwrap_or(DEFAULT_OUTPUT_TOKENS)
}

#[cfg(test)]
mod tests {
    use assay_runtime::Message;

    use super::*;

    #[test]
    fn tokens_are_estimated_by_bytes_and_recorded_answers() {
        let message = Message { role: "user".to_owned(), content: "x".repeat(396).into() };
        let mut prompt = Prompt {
            messages: vec![message],
            answer_schema: None,
            model: None,
            max_output_tokens: None,
            temperature: None,
        };
        assert_eq!(expected_tokens(&prompt, Some(40)), 140);
        assert_eq!(expected_tokens(&prompt, None), 1100);
        prompt.max_output_tokens = Some(7);
        assert_eq!((expected_tokens(&prompt, None), expected_tokens(&prompt, Some(40))), (107, 140));
    }
}
