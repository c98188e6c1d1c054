//! Which words of a provider may be shown: those that no document can have put there.

/// Returns a plain word in lower case: providers use such words for codes, types and parameters. At most 64 characters.
/// It may be a word of a document all the same, so it is compared and never shown.
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

/// Words for errors that have no code of their own in `classify`, of providers and of servers with their API.
const GENERAL_WORDS: &[&str] = &[
    "badrequesterror",
    "bad_request",
    "deadline_exceeded",
    "failed_precondition",
    "internal",
    "invalid_argument",
    "invalid_request",
    "invalid_request_error",
    "invalid_type",
    "invalid_value",
    "missing_required_parameter",
    "not_found",
    "not_found_error",
    "permission_denied",
    "requests",
    "tokens",
    "too_many_requests",
    "unauthenticated",
    "unavailable",
    "unknown_parameter",
    "unknown_url",
    "unsupported_parameter",
    "unsupported_value",
];

/// Returns whether a word is one that providers use for errors, whatever the document.
pub(crate) fn is_general_word(word: &str) -> bool {
    GENERAL_WORDS.contains(&word)
}

/// Why moderations refuse a document: OpenRouter's reasons and OpenAI's categories.
const MODERATION_REASONS: &[&str] = &[
    "dangerous",
    "harassment",
    "harmful",
    "hate",
    "hate/threatening",
    "illicit",
    "illicit/violent",
    "jailbreak",
    "self-harm",
    "self_harm",
    "sexual",
    "sexual/minors",
    "violence",
    "violence/graphic",
];

/// Returns whether a word is one that moderations give as a reason, whatever the document.
pub(crate) fn is_moderation_reason(word: &str) -> bool {
    MODERATION_REASONS.contains(&word)
}

/// Media types that a gateway or a server sends in place of a completion.
const MEDIA_TYPES: &[&str] = &[
    "application/json",
    "application/octet-stream",
    "application/problem+json",
    "application/xml",
    "text/event-stream",
    "text/html",
    "text/plain",
    "text/xml",
];

/// Returns the media type of a `Content-Type`, if it is one of the usual ones.
pub(crate) fn media_type(content_type: &str) -> Option<&'static str> {
    let named = content_type.split(';').next()?.trim().to_ascii_lowercase();
    MEDIA_TYPES.iter().find(|known| **known == named).copied()
}

/// The digits of a UUID, and of the trace ids that gateways send.
const ID_DIGITS: usize = 32;

/// The digits before the airport in the id of a request at Cloudflare.
const RAY_DIGITS: usize = 16;

/// Returns the id of a request if it has the form of one: `req_…`, `gen-…`, the digits of a UUID, or Cloudflare's.
pub(crate) fn request_id(text: &str) -> Option<&str> {
    let id = text.trim();
    let prefixes = ["req_", "req-", "gen-", "chatcmpl-", "resp_", "msg_"];
    let is_prefixed =
        prefixes.iter().any(|prefix| id.strip_prefix(prefix).is_some_and(|rest| plain_word(rest).is_some()));
    let is_ray = id.split_once('-').is_some_and(|(ray, airport)| {
        ray.len() == RAY_DIGITS
            && ray.bytes().all(|byte| byte.is_ascii_hexdigit())
            && airport.len() == 3
            && airport.bytes().all(|byte| byte.is_ascii_uppercase())
    });
    let digits = id.bytes().filter(|byte| *byte != b'-');
    let is_uuid = digits.clone().all(|byte| byte.is_ascii_hexdigit()) && digits.count() == ID_DIGITS;
    (is_prefixed || is_uuid || is_ray).then_some(id)
}

/// Returns the name of the model that answered as a row may have it: the provider's, if that is the configured name with a version
/// behind it, else the configured one.
pub(crate) fn shown_model<'a>(named: &'a str, configured: &'a str) -> &'a str {
    let short = configured.rsplit('/').next().unwrap_or(configured);
    let is_version = |rest: &str| rest.len() <= 12 && rest.bytes().all(|b| b.is_ascii_digit() || b"-.@:_".contains(&b));
    let is_same = |name: &str| named.strip_prefix(name).is_some_and(is_version);
    if is_same(configured) || is_same(short) { named } else { configured }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_id_has_the_form_of_one() {
        for id in [
            "req_1",
            "req_011CSHoEeqs5C35K2UUqR7Fy",
            "gen-1730000000-abc",
            "7f1b2c3d-0000-4000-8000-00000000abcd",
            &"a0".repeat(16),
            "8f1b2c3d4e5f6a7b-FRA",
        ] {
            assert_eq!(request_id(id), Some(id));
        }
        for text in [
            "",
            "req_",
            "req_two words",
            "gen-",
            "8f1b2c3d4e5f6a7b-hunter2",
            "8f1b-FRA",
            "hunter2",
            "79161234567",
            "4111111111111111",
            "deadbeef",
            &"x".repeat(32),
        ] {
            assert_eq!(request_id(text), None, "{text}");
        }
    }

    #[test]
    fn a_media_type_is_one_of_the_usual_ones() {
        assert_eq!(media_type("Text/HTML; charset=utf-8"), Some("text/html"));
        assert_eq!(media_type("application/json"), Some("application/json"));
        for text in ["", "html", "text/hunter2", "hunter2/html", "text/html hunter2"] {
            assert_eq!(media_type(text), None, "{text}");
        }
    }

    #[test]
    fn a_model_is_shown_by_its_configured_name_or_a_version_of_it() {
        for (named, configured) in
            [("gpt-x", "gpt-x"), ("gpt-x-2024-08-06", "gpt-x"), ("gpt-x-0613", "openai/gpt-x"), ("gpt-x:2", "gpt-x")]
        {
            assert_eq!(shown_model(named, configured), named);
        }
        for named in ["", "hunter2", "gpt-x-hunter2", "gpt", "my-gpt-x", "gpt-x-79161234567890", "GPT-X"] {
            assert_eq!(shown_model(named, "gpt-x"), "gpt-x", "{named}");
        }
    }
}
