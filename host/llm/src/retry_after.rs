//! Reads how long a provider asks us to wait.

use std::time::{Duration, SystemTime};

use reqwest::header::{DATE, HeaderMap, RETRY_AFTER};

/// Returns the requested wait: `retry-after-ms`, else `retry-after` in seconds (fractions are common), else as an HTTP date.
/// Returns `None` for no wait, zero, or an unreadable value. The retry policy applies the cap.
pub(crate) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    if let Some(wait) = text("retry-after-ms").and_then(|value| positive(value, 1e-3)) {
        return Some(wait);
    }
    let value = text(RETRY_AFTER.as_str())?;
    if let Some(wait) = positive(value, 1.0) {
        return Some(wait);
    }
    let until = httpdate::parse_http_date(value).ok()?;
    // The date is on the provider's clock, so the wait is measured from the provider's `Date`. Our clock is the fall-back:
    // if the clocks differ by minutes, a wait of seconds becomes none or minutes.
    let now = text(DATE.as_str()).and_then(|date| httpdate::parse_http_date(date).ok()).unwrap_or_else(our_clock);
    until.duration_since(now).ok().filter(|wait| !wait.is_zero())
}

/// Returns the longest wait of the limits that are used up: `x-ratelimit-reset-NAME` where `x-ratelimit-remaining-NAME` is 0.
///
/// OpenAI and servers that copy it write it as "6m0s", "1.5s", "12ms", or as a number of seconds.
pub(crate) fn used_up(headers: &HeaderMap) -> Option<Duration> {
    let reset = |name: &str, value: &str| {
        let limit = name.strip_prefix("x-ratelimit-remaining-")?;
        let is_used_up = value.trim().parse::<f64>().is_ok_and(|left| left <= 0.0);
        let reset = headers.get(format!("x-ratelimit-reset-{limit}")).filter(|_| is_used_up)?;
        duration(reset.to_str().ok()?.trim())
    };
    let pairs = headers.iter().filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)));
    pairs.filter_map(|(name, value)| reset(name, value)).max()
}

/// Reads a duration as Go writes it, or a number of seconds.
fn duration(text: &str) -> Option<Duration> {
    if let Some(wait) = positive(text, 1.0).filter(|wait| *wait < LONGEST_RESET) {
        return Some(wait);
    }
    let (mut rest, mut total) = (text, Duration::ZERO);
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, after) = rest.split_at(digits);
        let letters = after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len());
        let unit = match &after[..letters] {
            "h" => 3600.0,
            "m" => 60.0,
            "s" => 1.0,
            "ms" => 1e-3,
            _ => return None,
        };
        let part = Duration::try_from_secs_f64(number.parse::<f64>().ok()? * unit).ok()?;
        total = total.checked_add(part)?;
        rest = &after[letters..];
    }
    Some(total).filter(|wait| !wait.is_zero())
}

/// A larger number is a time of the clock, in seconds or milliseconds.
const LONGEST_RESET: Duration = Duration::from_secs(30 * 24 * 3600);

#[expect(clippy::disallowed_methods, reason = "a date without the provider's clock has only ours")]
fn our_clock() -> SystemTime {
    SystemTime::now()
}

fn positive(value: &str, unit_in_seconds: f64) -> Option<Duration> {
    let number: f64 = value.parse().ok()?;
    // Refuses negative numbers, NaN, infinity and numbers beyond the range of a duration.
    Duration::try_from_secs_f64(number * unit_in_seconds).ok().filter(|wait| !wait.is_zero())
}

#[cfg(test)]
mod tests {
    use reqwest::header::{HeaderName, HeaderValue};

    use super::*;

    fn asked(pairs: &[(&'static str, &str)]) -> Option<Duration> {
        let pairs = pairs.iter().map(|(name, value)| {
            (HeaderName::from_static(name), HeaderValue::from_str(value).expect("a header value"))
        });
        retry_after(&pairs.collect())
    }

    #[test]
    fn seconds_fractions_and_milliseconds_are_understood() {
        assert_eq!(asked(&[("retry-after", "20")]), Some(Duration::from_secs(20)));
        assert_eq!(asked(&[("retry-after", " 1.5 ")]), Some(Duration::from_millis(1500)));
        assert_eq!(asked(&[("retry-after-ms", "250")]), Some(Duration::from_millis(250)));
    }

    #[test]
    fn milliseconds_come_before_seconds() {
        assert_eq!(asked(&[("retry-after", "1"), ("retry-after-ms", "700")]), Some(Duration::from_millis(700)));
        assert_eq!(asked(&[("retry-after", "1"), ("retry-after-ms", "soon")]), Some(Duration::from_secs(1)));
    }

    #[test]
    fn a_date_counts_from_the_providers_own_clock() {
        let headers = [("date", "Wed, 21 Oct 2015 07:28:00 GMT"), ("retry-after", "Wed, 21 Oct 2015 07:29:30 GMT")];
        assert_eq!(asked(&headers), Some(Duration::from_secs(90)));
    }

    #[test]
    fn a_date_without_the_providers_clock_counts_from_ours() {
        let until = httpdate::fmt_http_date(our_clock() + Duration::from_secs(100));
        let wait = asked(&[("retry-after", &until)]).expect("a wait");
        assert!((Duration::from_secs(95)..=Duration::from_secs(100)).contains(&wait), "{wait:?}");
    }

    #[test]
    fn an_unreadable_or_zero_wait_is_none() {
        for value in ["0", "-3", "NaN", "inf", "1e300", "soon", "", "Wed, 21 Oct 2015 07:28:00 GMT"] {
            assert_eq!(asked(&[("retry-after", value)]), None, "{value}");
        }
        assert_eq!(asked(&[]), None);
    }

    fn of_limits(pairs: &[(&'static str, &str)]) -> Option<Duration> {
        let pairs = pairs.iter().map(|(name, value)| {
            (HeaderName::from_static(name), HeaderValue::from_str(value).expect("a header value"))
        });
        used_up(&pairs.collect())
    }

    #[test]
    fn the_longest_limit_that_is_used_up_is_waited_for() {
        let wait = of_limits(&[
            ("x-ratelimit-remaining-requests", "0"),
            ("x-ratelimit-reset-requests", "12ms"),
            ("x-ratelimit-remaining-tokens", "0"),
            ("x-ratelimit-reset-tokens", "6m0.5s"),
            ("x-ratelimit-remaining-days", "7"),
            ("x-ratelimit-reset-days", "20h"),
        ]);
        assert_eq!(wait, Some(Duration::from_millis(360_500)));
        let seconds = of_limits(&[("x-ratelimit-remaining-tokens", "0"), ("x-ratelimit-reset-tokens", "59.7")]);
        assert_eq!(seconds, Some(Duration::from_millis(59_700)));
    }

    #[test]
    fn a_limit_that_is_not_used_up_or_not_readable_asks_for_no_wait() {
        for (left, reset) in [
            ("1", "6m0s"),
            ("", "6m0s"),
            ("none", "6m0s"),
            ("0", ""),
            ("0", "0s"),
            ("0", "6 minutes"),
            ("0", "s"),
            ("0", "-6m"),
            ("0", "1.2.3s"),
            ("0", "1767225600"),
            ("0", "99999999999999999999h"),
        ] {
            let pairs = [("x-ratelimit-remaining-tokens", left), ("x-ratelimit-reset-tokens", reset)];
            assert_eq!(of_limits(&pairs), None, "{left} {reset}");
        }
        assert_eq!(of_limits(&[("x-ratelimit-remaining-tokens", "0")]), None);
    }
}
