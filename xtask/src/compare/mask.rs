//! Replaces what differs between two runs of the same program: ids, times, digests, ports and measurements.

use serde_json::Value;

const ID: &str = "<id>";
const TIME: &str = "<time>";
const PROCESS: &str = "<process>";
const DIGEST: &str = "<digest>";
const MEASURED: &str = "<measured>";
const LOOPBACK: &str = "127.0.0.1:";
/// The shortest run of hex digits that is taken for a digest.
const DIGEST_LENGTH: usize = 32;
/// Members of JSON that hold a measurement, the size of a guest, or the name of a machine.
const VOLATILE: [&str; 8] = ["bytes", "elapsed", "fuel", "host", "peak_memory", "pid", "port", "size_bytes"];
/// Endings of such names.
const VOLATILE_ENDINGS: [&str; 7] = ["_fuel", "_memory", "_micros", "_ms", "_pid", "_port", "_seconds"];
/// Members that hold the start of a digest.
const DIGESTS: [&str; 2] = ["digest", "guest_digest"];

/// Masks a document in place.
pub fn json(value: &mut Value) {
    match value {
        Value::String(text) => *text = words(text),
        Value::Array(list) => list.iter_mut().for_each(json),
        Value::Object(members) => members.iter_mut().for_each(|(name, value)| member(name, value)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn member(name: &str, value: &mut Value) {
    // Whether there is a value at all is behaviour.
    match value {
        Value::Number(_) if is_volatile(name) => *value = MEASURED.into(),
        Value::String(text) if is_volatile(name) && !text.is_empty() => *value = MEASURED.into(),
        Value::String(text) if DIGESTS.contains(&name) && is_hex(text) => *value = DIGEST.into(),
        other => json(other),
    }
}

fn is_volatile(name: &str) -> bool {
    name == "seconds" || VOLATILE.contains(&name) || VOLATILE_ENDINGS.iter().any(|ending| name.ends_with(ending))
}

fn is_hex(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Returns a stored document with the same bytes, but for what is masked.
pub fn document(text: &str) -> String {
    let mut masked = String::with_capacity(text.len());
    let mut rest = text;
    // Only where a member begins: `"NAME":123`.
    while let Some(quote) = rest.find('"') {
        let (before, after) = rest.split_at(quote + 1);
        masked.push_str(before);
        rest = after;
        let Some((name, value)) = after.split_once("\":") else { continue };
        let digits = value.bytes().take_while(|byte| byte.is_ascii_digit() || *byte == b'.').count();
        if digits > 0 && is_volatile(name) {
            masked.push_str(&format!("{name}\":{MEASURED}"));
            rest = &value[digits..];
        }
    }
    masked.push_str(rest);
    words(&masked)
}

/// Returns a text with its ids, times, digests and loopback ports masked.
pub fn words(text: &str) -> String {
    let mut masked = String::with_capacity(text.len());
    let mut rest = text;
    let mut inside_a_word = false;
    while let Some(first) = rest.chars().next() {
        let found = if inside_a_word { None } else { token(rest) };
        let length = if let Some((length, mark)) = found {
            masked.push_str(mark);
            length
        } else {
            masked.push(first);
            first.len_utf8()
        };
        inside_a_word = found.is_some() || first.is_alphanumeric();
        rest = &rest[length..];
    }
    masked
}

/// Returns the length of what is masked at the start of a text, and its mark.
fn token(text: &str) -> Option<(usize, &'static str)> {
    let found = uuid(text).map(|length| (length, ID));
    let found = found.or_else(|| time(text).map(|length| (length, TIME)));
    let found = found.or_else(|| process(text).map(|length| (length, PROCESS)));
    let found = found.or_else(|| digest(text).map(|length| (length, DIGEST)));
    let found = found.or_else(|| short_digest(text).map(|length| (length, "sha256 <digest>")));
    let found = found.or_else(|| fits(text, "d.d of dd MiB").map(|length| (length, "<size> of its limit")));
    let found = found.or_else(|| port(text).map(|length| (length, "127.0.0.1:<port>")));
    found.filter(|(length, _)| !text[*length..].starts_with(char::is_alphanumeric))
}

fn uuid(text: &str) -> Option<usize> {
    fits(text, "hhhhhhhh-hhhh-hhhh-hhhh-hhhhhhhhhhhh")
}

fn time(text: &str) -> Option<usize> {
    let mut length = fits(text, "dddd-dd-ddTdd:dd:dd")?;
    if let Some(fraction) = text[length..].strip_prefix('.') {
        length += 1 + fraction.bytes().take_while(u8::is_ascii_digit).count();
    }
    let zone = &text[length..];
    let zone = if zone.starts_with('Z') { Some(1) } else { fits(zone, "+dd:dd").or_else(|| fits(zone, "-dd:dd")) };
    Some(length + zone?)
}

fn digest(text: &str) -> Option<usize> {
    let length = text.bytes().take_while(u8::is_ascii_hexdigit).count();
    (length >= DIGEST_LENGTH).then_some(length)
}

/// The start of a digest in a sentence, as `assay check` shows it.
fn short_digest(text: &str) -> Option<usize> {
    const NAME: &str = "sha256 ";
    Some(NAME.len() + fits(text.strip_prefix(NAME)?, "hhhhhhhhhhhh")?)
}

/// The id of a worker ends with that of its process, and a random number.
fn process(text: &str) -> Option<usize> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let random = digest(text[digits..].strip_prefix('-')?)?;
    (digits > 0).then_some(digits + 1 + random)
}

fn port(text: &str) -> Option<usize> {
    let digits = text.strip_prefix(LOOPBACK)?.bytes().take_while(u8::is_ascii_digit).count();
    (digits > 0).then_some(LOOPBACK.len() + digits)
}

/// Returns the length of a pattern that a text begins with: `h` is a hex digit, `d` a digit, the rest is itself.
fn fits(text: &str, pattern: &str) -> Option<usize> {
    let fits = |(byte, expected)| match expected {
        b'h' => u8::is_ascii_hexdigit(&byte),
        b'd' => u8::is_ascii_digit(&byte),
        other => byte == other,
    };
    let whole = text.len() >= pattern.len() && text.bytes().zip(pattern.bytes()).all(fits);
    whole.then_some(pattern.len())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json as value};

    use super::{document, json, words};

    const UUID: &str = "0198c2a4-7f3e-7d21-9c55-0a1b2c3d4e5f";

    fn masked(mut document: Value) -> Value {
        json(&mut document);
        document
    }

    #[test]
    fn ids_times_digests_and_ports_are_masked() {
        let digest = "3f".repeat(32);
        for (text, expected) in [
            (UUID.to_owned(), "<id>"),
            (
                format!("users/{UUID}/files/{UUID}/runs/{UUID}-3/report.json"),
                "users/<id>/files/<id>/runs/<id>-3/report.json",
            ),
            (format!("there is no file {UUID}"), "there is no file <id>"),
            ("2026-03-04T09:30:00Z".to_owned(), "<time>"),
            ("at 2026-03-04T09:30:00.123456+02:00.".to_owned(), "at <time>."),
            ("2026-03-04T09:30:00-05:30".to_owned(), "<time>"),
            (format!("guests/{digest}.wasm"), "guests/<digest>.wasm"),
            (format!("worker-8109-{}", &digest[..32]), "worker-<process>"),
            (format!("sha256:{}", &digest[..32]), "sha256:<digest>"),
            ("schema report.v1, sha256 95b0cf4b9800".to_owned(), "schema report.v1, sha256 <digest>"),
            ("4.7 of 32 MiB".to_owned(), "<size> of its limit"),
            ("http://127.0.0.1:41234/v1".to_owned(), "http://127.0.0.1:<port>/v1"),
        ] {
            assert_eq!(words(&text), expected);
        }
    }

    #[test]
    fn other_words_and_numbers_stay() {
        for text in [
            "2026-03-04",
            "09:30:00",
            "2026-03-04T09:30:00",
            "meeting-v2",
            "0123456789ab",
            "x0198c2a4-7f3e-7d21-9c55-0a1b2c3d4e5f",
            "0198c2a4-7f3e-7d21-9c55-0a1b2c3d4e5f0",
            "decade facade",
            "sha256 of its bytes",
            "sha256 95b0cf4b98",
            "127.0.0.1",
            "192.0.2.1:9464",
            "3 of 4",
            "at most 3.0 MiB",
            "Совещание в 12:30, 120000 ms",
        ] {
            assert_eq!(words(text), text);
        }
    }

    #[test]
    fn measurements_are_masked_by_the_names_of_their_members() {
        let document = value!({"seconds": 0.2, "guest_micros": 17, "latency_ms": 3, "fuel": 9, "host": "anna-laptop",
            "oldest_due_seconds": 4, "digest": "3f01a2b3c4d5", "nested": [{"peak_memory": 65536}]});
        let expected = value!({"seconds": "<measured>", "guest_micros": "<measured>", "latency_ms": "<measured>",
            "fuel": "<measured>", "host": "<measured>", "oldest_due_seconds": "<measured>", "digest": "<digest>",
            "nested": [{"peak_memory": "<measured>"}]});
        assert_eq!(masked(document), expected);
    }

    #[test]
    fn other_members_and_absent_measurements_stay() {
        for document in [
            value!({"attempts": 3, "rounds": 1, "tokens": 120, "ordinal": 0, "lease_token": 2}),
            value!({"seconds": null, "fuel": null, "elapsed": ""}),
            value!({"prompt_version": "meeting-v2", "schema_version": "report.v2", "version": "meeting-v1"}),
            value!({"terms": 1, "forms": 2, "milliseconds_text": "12 ms", "hostile": "no"}),
            value!({"digest": "none", "ok": true}),
        ] {
            assert_eq!(masked(document.clone()), document);
        }
    }

    #[test]
    fn a_document_keeps_its_bytes_beside_what_is_masked() {
        let text = format!(r#"{{"id": "{UUID}","latency_ms":12.5,"a" : 1,"said":"\"fuel\":3","n":1.0}}"#);
        let expected = r#"{"id": "<id>","latency_ms":<measured>,"a" : 1,"said":"\"fuel\":3","n":1.0}"#;
        assert_eq!(document(&text), expected);
    }

    #[test]
    fn a_document_without_anything_to_mask_stays() {
        for text in [r#"{"b":1,"a":[1,2,{"c":"d"}]}"#, "not JSON, \"quoted", "", "{\"terms\":12}"] {
            assert_eq!(document(text), text);
        }
    }
}
