//! What a question is expected to cost, in tokens.

use assay_runtime::Prompt;

/// Bytes of a question per token; models differ, and other alphabets than Latin take more.
const BYTES_PER_TOKEN: usize = 4;
/// Tokens of an answer of which nothing else is known.
const OUTPUT: u64 = 1000;

/// Tokens of a question and its answer: of the question by its bytes; of the answer as recorded ones took on the average, else
/// its upper bound.
pub fn expected(prompt: &Prompt, recorded_output: Option<u64>) -> u64 {
    let input = prompt.bytes().div_ceil(BYTES_PER_TOKEN) as u64;
    input + recorded_output.or(prompt.max_output_tokens.map(u64::from)).unwrap_or(OUTPUT)
}

#[cfg(test)]
mod tests {
    use assay_runtime::Message;

    use super::*;

    #[test]
    fn a_question_is_priced_by_its_bytes_and_by_what_answers_took() {
        let message = Message { role: "user".to_owned(), content: "x".repeat(396).into() };
        let mut prompt = Prompt {
            messages: vec![message],
            answer_schema: None,
            model: None,
            max_output_tokens: None,
            temperature: None,
        };
        assert_eq!(expected(&prompt, Some(40)), 140);
        assert_eq!(expected(&prompt, None), 1100);
        prompt.max_output_tokens = Some(7);
        assert_eq!((expected(&prompt, None), expected(&prompt, Some(40))), (107, 140));
    }
}
