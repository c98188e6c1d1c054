//! Whether the server cut the prompt without a word, as Ollama does where its window is smaller.

use crate::completion::Usage;

/// Bytes of prompt for one token, at most, in any language and tokenizer that is known.
const MAX_BYTES_PER_TOKEN: u64 = 12;
/// Beyond this the model has seen next to nothing.
const FAULTY_BYTES_PER_TOKEN: u64 = 200;
/// Smaller windows do not exist; a smaller count is no count.
const MIN_COUNTED_TOKENS: u64 = 256;

/// Returns whether the tokens that the server counted are far too few for the prompt.
pub(crate) fn is_input_truncated(prompt_bytes: usize, usage: Usage) -> bool {
    is_beyond(MAX_BYTES_PER_TOKEN, prompt_bytes, usage)
}

/// Returns whether the server can have read next to nothing of the prompt.
pub(crate) fn is_input_lost(prompt_bytes: usize, usage: Usage) -> bool {
    is_beyond(FAULTY_BYTES_PER_TOKEN, prompt_bytes, usage)
}

fn is_beyond(bytes_per_token: u64, prompt_bytes: usize, usage: Usage) -> bool {
    // Some servers count the tokens of the cache apart.
    let apart = [usage.cached_tokens, usage.cache_write_tokens].into_iter().flatten();
    let counted = apart.fold(usage.input_tokens, u64::saturating_add);
    counted >= MIN_COUNTED_TOKENS && prompt_bytes as u64 > counted.saturating_mul(bytes_per_token)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(input_tokens: u64) -> Usage {
        Usage { input_tokens, ..Usage::default() }
    }

    #[test]
    fn a_prompt_that_the_server_cut_is_noticed() {
        assert!(is_input_truncated(260 << 10, counted(2050)));
        assert!(!is_input_lost(260 << 10, counted(2050)));
        assert!(is_input_lost(2 << 20, counted(4096)));
    }

    #[test]
    fn a_prompt_that_was_read_or_not_counted_is_not() {
        for (bytes, tokens) in
            [(260 << 10, 65_000), (260 << 10, 22_200), (1000, 90), (260 << 10, 0), (260 << 10, 1), (0, 300)]
        {
            assert!(!is_input_truncated(bytes, counted(tokens)), "{bytes} {tokens}");
        }
        let cached = Usage { cached_tokens: Some(64_000), ..counted(300) };
        assert!(!is_input_truncated(260 << 10, cached), "the cache's tokens are counted apart");
    }
}
