//! Strings of a named format, plausible for a meeting.

use rand::{Rng, rngs::StdRng};

use crate::model::voice::Voice;

/// A string of the format, or `None` where the format is not known here. `vary` makes two calls differ.
pub(super) fn make(format: &str, name: &str, voice: &Voice<'_>, rng: &mut StdRng, vary: bool) -> Option<String> {
    let spread = if vary { rng.random_range(0..10_000u32) } else { 0 };
    let day = || voice.day(7).saturating_add(time::Duration::days(i64::from(spread % 300)));
    let tag = if spread == 0 { String::new() } else { spread.to_string() };
    Some(match format {
        "date" => day().to_string(),
        "time" => format!("{:02}:{:02}:00Z", 9 + spread % 9, spread % 60),
        "date-time" => format!("{}T{:02}:{:02}:00Z", day(), 9 + spread % 9, spread % 60),
        "duration" => format!("P{}D", 7 + spread),
        "email" | "idn-email" => format!("{}{tag}@example.com", mailbox(name)),
        "hostname" | "idn-hostname" => format!("host{tag}.example.com"),
        "ipv4" => format!("192.0.{}.{}", 2 + spread / 250, 1 + spread % 250),
        "ipv6" => format!("2001:db8::{:x}", 1 + spread),
        "uri" | "iri" => format!("https://example.com/meetings/{}", 1 + spread),
        "uri-reference" | "iri-reference" => format!("/meetings/{}", 1 + spread),
        "uri-template" => format!("https://example.com/meetings{tag}/{{id}}"),
        "uuid" => uuid(rng),
        "json-pointer" => format!("/items/{spread}"),
        "relative-json-pointer" => format!("{}/items", spread % 9),
        "regex" => format!("^[a-z]{{1,{}}}$", 1 + spread % 100),
        _ => return None,
    })
}

fn mailbox(name: &str) -> String {
    let letters: String = name.chars().filter(char::is_ascii_alphanumeric).take(24).collect::<String>().to_lowercase();
    if letters.is_empty() { "someone".to_owned() } else { letters }
}

/// A random (version 4) UUID, as RFC 9562 lays it out.
fn uuid(rng: &mut StdRng) -> String {
    let mut bits = rng.random::<u128>();
    bits = bits & !(0xf << 76) | (0x4 << 76);
    bits = bits & !(0x3 << 62) | (0x2 << 62);
    let hex = format!("{bits:032x}");
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}
