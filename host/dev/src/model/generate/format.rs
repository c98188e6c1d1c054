//! Strings of a named format, plausible for a meeting.

use rand::{Rng, rngs::StdRng};
use time::{Date, Duration};

/// Returns a string of a known format. With `vary`, two calls differ.
pub(super) fn make(format: &str, name: &str, day: Date, rng: &mut StdRng, vary: bool) -> Option<String> {
    let spread = if vary { rng.random_range(0..10_000u32) } else { 0 };
    let day = day.saturating_add(Duration::days(i64::from(spread % 300)));
    let time = format!("{:02}:{:02}:00Z", 9 + spread % 9, spread % 60);
    let tag = if spread == 0 { String::new() } else { spread.to_string() };
    Some(match format {
        "date" => day.to_string(),
        "time" => time,
        "date-time" => format!("{day}T{time}"),
        "duration" => format!("P{}D", 7 + spread),
        "email" | "idn-email" => format!("{}{tag}@example.com", mailbox(name)),
        "hostname" | "idn-hostname" => format!("host{tag}.example.com"),
        "ipv4" => format!("192.0.{}.{}", 2 + spread / 250, 1 + spread % 250),
        "ipv6" => format!("2001:db8::{:x}", 1 + spread),
        "uri" | "iri" => format!("https://example.com/meetings/{}", 1 + spread),
        "uri-reference" | "iri-reference" => format!("/meetings/{}", 1 + spread),
        "uri-template" => format!("https://example.com/meetings{tag}/{{id}}"),
        "uuid" => uuid::Builder::from_random_bytes(rng.random::<u128>().to_be_bytes()).into_uuid().to_string(),
        "json-pointer" => format!("/items/{spread}"),
        "relative-json-pointer" => format!("{}/items", spread % 9),
        "regex" => format!("^[a-z]{{1,{}}}$", 1 + spread % 100),
        _ => return None,
    })
}

fn mailbox(name: &str) -> String {
    let letters: String = name.chars().filter(char::is_ascii_alphanumeric).take(24).collect();
    if letters.is_empty() { "someone".to_owned() } else { letters.to_ascii_lowercase() }
}
