//! What goes wrong with one call of the model, and the code that it leads to.

use std::{fmt, time::Duration};

use assay_tests::{Oddity, Reply};
use rand::Rng;

use crate::times::Times;

/// More than any worker takes.
const HUGE: usize = 50 << 20;

/// What goes wrong with one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ModelTrouble {
    /// 429 with `Retry-After`.
    RateLimited,
    /// 429 without.
    RateLimitedSilently,
    /// 500.
    ServerError,
    /// 529.
    Overloaded,
    /// 404.
    NotFound,
    /// 403.
    Forbidden,
    /// 307 to another place.
    Redirected,
    /// 200 with a page of HTML.
    Html,
    /// A reset before the request is read.
    ResetBefore,
    ResetAfter,
    Cut,
    /// An answer that comes byte by byte, slowly.
    Dripping,
    /// An answer cut at the token limit.
    Truncated,
    Refused,
    /// An answer of 50 MB.
    Huge,
    /// The same without `Content-Length`.
    HugeUntold,
    OddText(Oddity),
    OddEnvelope(Oddity),
}

impl ModelTrouble {
    /// Returns the code that it leads to, by docs/errors.md; none where the answer can be read, and is the guest's to judge.
    pub const fn leads_to(self) -> Option<&'static str> {
        match self {
            Self::RateLimited | Self::RateLimitedSilently => Some("llm_rate_limited"),
            Self::ServerError | Self::Overloaded => Some("llm_provider_5xx"),
            Self::NotFound | Self::Redirected => Some("llm_model_not_found"),
            Self::Forbidden => Some("llm_auth_failed"),
            Self::Html | Self::OddEnvelope(Oddity::NotANumber) => Some("llm_bad_envelope"),
            Self::ResetBefore | Self::ResetAfter | Self::Cut => Some("llm_network_error"),
            Self::Dripping => Some("llm_timeout"),
            Self::Truncated => Some("llm_output_truncated"),
            Self::Refused => Some("llm_refused"),
            Self::Huge | Self::HugeUntold => Some("llm_answer_too_large"),
            Self::OddText(_)
            | Self::OddEnvelope(
                Oddity::NameTwice | Oddity::Nested(_) | Oddity::LoneSurrogate | Oddity::ByteOrderMark,
            ) => None,
        }
    }

    /// Returns what becomes of a reply. One that is no answer stays what it is.
    pub fn spoil(self, reply: Reply, dice: &mut impl Rng, times: &Times) -> Reply {
        if !reply.is_completion() {
            return reply;
        }
        match self {
            Self::RateLimited => Reply::rate_limited("1").instead_of(reply),
            Self::RateLimitedSilently => Reply::error(429, "requests", "rate_limit_exceeded").instead_of(reply),
            Self::ServerError => Reply::error(500, "server_error", "internal_error").instead_of(reply),
            Self::Overloaded => Reply::overloaded().instead_of(reply),
            Self::NotFound => Reply::error(404, "invalid_request_error", "model_not_found").instead_of(reply),
            Self::Forbidden => Reply::error(403, "permission_error", "forbidden").instead_of(reply),
            Self::Redirected => Reply::status(307, "").header("location", "/elsewhere").instead_of(reply),
            Self::Html => Reply::html().instead_of(reply),
            // Met before there was a call.
            Self::ResetBefore => reply,
            Self::ResetAfter => Reply::reset().instead_of(reply),
            Self::Cut => reply.cut_after(dice.random_range(0..200)),
            // Within the patience with silence, far beyond the patience with an answer.
            Self::Dripping => reply.dripping(1, (times.llm_idle / 2).min(Duration::from_secs(1))),
            Self::Truncated => reply.finish_reason("length"),
            Self::Refused => Reply::refusal("I would rather not.").instead_of(reply),
            Self::Huge => Reply::huge(HUGE).instead_of(reply),
            Self::HugeUntold => Reply::huge(HUGE).unannounced().instead_of(reply),
            Self::OddText(oddity) => reply.odd_text(oddity),
            Self::OddEnvelope(oddity) => reply.odd_envelope(oddity),
        }
    }
}

impl fmt::Display for ModelTrouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RateLimited => f.write_str("429 with Retry-After"),
            Self::RateLimitedSilently => f.write_str("429 without Retry-After"),
            Self::ServerError => f.write_str("500"),
            Self::Overloaded => f.write_str("529"),
            Self::NotFound => f.write_str("404"),
            Self::Forbidden => f.write_str("403"),
            Self::Redirected => f.write_str("307"),
            Self::Html => f.write_str("HTML with status 200"),
            Self::ResetBefore => f.write_str("reset before the request"),
            Self::ResetAfter => f.write_str("reset after the request"),
            Self::Cut => f.write_str("answer that breaks off"),
            Self::Dripping => f.write_str("a byte a second"),
            Self::Truncated => f.write_str("truncated answer"),
            Self::Refused => f.write_str("refused answer"),
            Self::Huge => f.write_str("50 MB"),
            Self::HugeUntold => f.write_str("50 MB of untold length"),
            Self::OddText(oddity) => write!(f, "{} in the answer", name(*oddity)),
            Self::OddEnvelope(oddity) => write!(f, "{} around the answer", name(*oddity)),
        }
    }
}

const fn name(oddity: Oddity) -> &'static str {
    match oddity {
        Oddity::Nested(_) => "JSON nested a million deep",
        Oddity::NotANumber => "NaN",
        Oddity::NameTwice => "duplicate keys",
        Oddity::LoneSurrogate => "lone surrogate",
        Oddity::ByteOrderMark => "BOM",
    }
}
