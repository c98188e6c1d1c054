//! What a call used, as the provider counts it.

use serde_json::Value;

use crate::completion::Usage;

/// Reads the counts of any wire format. Returns `None` where the prompt was not counted; what a provider does not count stays absent.
pub(crate) fn read(usage: &Value) -> Option<Usage> {
    let tokens = |names: &[&str]| names.iter().find_map(|name| count(usage.pointer(name)?));
    let cached_tokens = tokens(&[
        "/prompt_tokens_details/cached_tokens",
        "/input_tokens_details/cached_tokens",
        "/cache_read_input_tokens",
        "/prompt_cache_hit_tokens",
    ]);
    let cache_write_tokens = tokens(&[
        "/prompt_tokens_details/cache_write_tokens",
        "/input_tokens_details/cache_write_tokens",
        "/cache_creation_input_tokens",
    ]);
    let input_tokens = tokens(&["/prompt_tokens"]).or_else(|| {
        let input = tokens(&["/input_tokens"])?;
        // Anthropic counts what the cache had apart.
        let apart = [tokens(&["/cache_read_input_tokens"]), tokens(&["/cache_creation_input_tokens"])];
        Some(apart.into_iter().flatten().fold(input, u64::saturating_add))
    })?;
    Some(Usage {
        input_tokens,
        output_tokens: tokens(&["/completion_tokens", "/output_tokens"]).unwrap_or(0),
        cached_tokens,
        cache_write_tokens,
        reasoning_tokens: tokens(&[
            "/completion_tokens_details/reasoning_tokens",
            "/output_tokens_details/reasoning_tokens",
            "/output_tokens_details/thinking_tokens",
        ]),
        cost: usage.get("cost").and_then(number).filter(|cost| cost.is_finite() && *cost >= 0.0),
    })
}

/// Reads a count: 7, 7.0 or "7".
fn count(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| {
        let number = number(value)?;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a whole number in the range of a count"
        )]
        (number.fract() == 0.0 && (0.0..9e15).contains(&number)).then_some(number as u64)
    })
}

fn number(value: &Value) -> Option<f64> {
    value.as_f64().or_else(|| value.as_str()?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn counts(usage: &Value) -> Option<(u64, u64)> {
        read(usage).map(|usage| (usage.input_tokens, usage.output_tokens))
    }

    #[test]
    fn counts_of_every_dialect_are_read() {
        for usage in [
            json!({ "prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120 }),
            json!({ "prompt_tokens": 100.0, "completion_tokens": 20.0 }),
            json!({ "prompt_tokens": "100", "completion_tokens": "20" }),
            json!({ "input_tokens": 100, "output_tokens": 20 }),
            json!({ "input_tokens": 60, "cache_read_input_tokens": 30, "cache_creation_input_tokens": 10, "output_tokens": 20 }),
        ] {
            assert_eq!(counts(&usage), Some((100, 20)), "{usage}");
        }
    }

    #[test]
    fn what_is_no_count_is_unknown() {
        for usage in [
            json!(null),
            json!("free"),
            json!({}),
            json!({ "prompt_tokens": null }),
            json!({ "prompt_tokens": -1 }),
            json!({ "prompt_tokens": 1.5 }),
            json!({ "prompt_tokens": "many" }),
            json!({ "prompt_tokens": "1e999" }),
            json!({ "total_tokens": 7 }),
        ] {
            assert_eq!(counts(&usage), None, "{usage}");
        }
        assert_eq!(counts(&json!({ "prompt_tokens": 100, "completion_tokens": null })), Some((100, 0)));
    }

    #[test]
    fn parts_and_price_are_kept_where_they_are_told() {
        let usage = read(&json!({
            "prompt_tokens": 10_000, "completion_tokens": 900, "cost": 0.0123,
            "prompt_tokens_details": { "cached_tokens": 9000, "cache_write_tokens": 8 },
            "completion_tokens_details": { "reasoning_tokens": 800 },
        }));
        let expected = Usage {
            input_tokens: 10_000,
            output_tokens: 900,
            cached_tokens: Some(9000),
            cache_write_tokens: Some(8),
            reasoning_tokens: Some(800),
            cost: Some(0.0123),
        };
        assert_eq!(usage, Some(expected));
        let untold = read(&json!({ "prompt_tokens": 1, "cost": -1, "prompt_tokens_details": null })).unwrap();
        assert_eq!((untold.cached_tokens, untold.reasoning_tokens, untold.cost), (None, None, None));
    }
}
