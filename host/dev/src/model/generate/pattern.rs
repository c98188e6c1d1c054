//! Writes text that a regular expression matches.
//!
//! The expression is read as `regex-syntax` reads it. What only ECMA-262 has (look-around) is cut out first; the caller checks each text.

use rand::{Rng, rngs::StdRng};
use regex_syntax::hir::{Class, ClassUnicode, ClassUnicodeRange, Hir, HirKind};

/// No pattern needs longer text than this, in bytes.
const LONGEST: usize = 1 << 16;

/// Reads a pattern; `None` where it cannot be read.
pub(super) fn parse(pattern: &str) -> Option<Hir> {
    regex_syntax::parse(pattern).ok().or_else(|| regex_syntax::parse(&without_look_around(pattern)).ok())
}

/// Appends text that matches; `extra` is how many repetitions more than the fewest may be written.
pub(super) fn write(hir: &Hir, rng: &mut StdRng, extra: u32, text: &mut String) {
    if text.len() > LONGEST {
        return;
    }
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => {}
        HirKind::Literal(literal) => text.push_str(&String::from_utf8_lossy(&literal.0)),
        HirKind::Class(Class::Unicode(class)) => text.extend(pick(class, rng)),
        HirKind::Class(Class::Bytes(class)) => {
            if let Some(range) = class.ranges().first() {
                text.push(char::from(rng.random_range(range.start()..=range.end())));
            }
        }
        HirKind::Repetition(repetition) => {
            let max = repetition.max.unwrap_or(u32::MAX);
            let times = repetition.min.saturating_add(rng.random_range(0..=extra)).min(max);
            for _ in 0..times {
                write(&repetition.sub, rng, extra, text);
            }
        }
        HirKind::Capture(capture) => write(&capture.sub, rng, extra, text),
        HirKind::Concat(parts) => parts.iter().for_each(|part| write(part, rng, extra, text)),
        HirKind::Alternation(parts) => write(&parts[rng.random_range(0..parts.len())], rng, extra, text),
    }
}

/// A character of a class: a letter or digit where there is one, else anything printable, else anything.
fn pick(class: &ClassUnicode, rng: &mut StdRng) -> Option<char> {
    const NICE: [&[(char, char)]; 3] =
        [&[('0', '9'), ('A', 'Z'), ('a', 'z')], &[(' ', '~')], &[('\u{0}', '\u{10FFFF}')]];
    NICE.iter().find_map(|ranges| {
        let mut nice = ClassUnicode::new(ranges.iter().map(|(a, b)| ClassUnicodeRange::new(*a, *b)));
        nice.intersect(class);
        let ranges = nice.ranges();
        let range = ranges.get(rng.random_range(0..ranges.len().max(1)))?;
        let (start, end) = (u32::from(range.start()), u32::from(range.end()));
        // The surrogates lie inside one range of `char`s and are none.
        Some(char::from_u32(rng.random_range(start..=end)).unwrap_or(range.start()))
    })
}

/// Cuts out `(?=…)`, `(?!…)`, `(?<=…)` and `(?<!…)`.
fn without_look_around(pattern: &str) -> String {
    let mut kept = String::with_capacity(pattern.len());
    let mut rest = pattern;
    while let Some(c) = rest.chars().next() {
        if ["(?=", "(?!", "(?<=", "(?<!"].iter().any(|open| rest.starts_with(open)) {
            rest = &rest[group_length(rest)..];
            continue;
        }
        let mut length = c.len_utf8();
        if c == '\\' {
            length += rest[length..].chars().next().map_or(0, char::len_utf8);
        }
        kept.push_str(&rest[..length]);
        rest = &rest[length..];
    }
    kept
}

/// The length of the group that `text` begins with, in bytes.
fn group_length(text: &str) -> usize {
    let (mut depth, mut class, mut escaped) = (0usize, false, false);
    for (i, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            ']' if class => class = false,
            _ if class => {}
            '[' => class = true,
            '(' => depth += 1,
            ')' if depth <= 1 => return i + 1,
            ')' => depth -= 1,
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    #[test]
    fn look_around_is_cut_out_with_what_it_holds() {
        assert_eq!(without_look_around(r"^(?!.*\)(x))[a-z(]+(?=[)])\(\)$"), r"^[a-z(]+\(\)$");
    }

    #[test]
    fn letters_are_preferred_to_controls() {
        let mut rng = StdRng::seed_from_u64(7);
        let mut text = String::new();
        write(&parse(r"^[^x]{20}$").unwrap(), &mut rng, 0, &mut text);
        assert!(text.len() == 20 && text.chars().all(|c| c.is_ascii_alphanumeric()), "{text:?}");
    }
}
