//! Recognizes words of a provider that cannot be content, so that logs and errors may show them.

/// Returns a plain word in lower case: providers use such words for codes, types and parameters. At most 64 characters.
pub(crate) fn plain_word(text: &str) -> Option<String> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    let fits = (1..=64).contains(&text.len()) && text.bytes().all(plain);
    fits.then(|| text.to_ascii_lowercase())
}

/// Returns the text if it is a model name such as "org/model:tag", at most 128 characters.
pub(crate) fn model_name(text: &str) -> Option<&str> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_.:/@+-".contains(&byte);
    ((1..=128).contains(&text.len()) && text.bytes().all(plain)).then_some(text)
}
