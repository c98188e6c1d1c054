//! Writes text that a regular expression matches.
//!
//! `regex-syntax` reads the expression. Look-around, which only ECMA-262 has, is cut out first; the caller checks each text.

use rand::{Rng, rngs::StdRng};
use regex_syntax::hir::{Class, ClassUnicode, ClassUnicodeRange, Hir, HirKind};

const MAX_TEXT_BYTES: usize = 1 << 16;

pub(super) fn parse(pattern: &str) -> Option<Hir> {
    regex_syntax::parse(pattern).ok().or_else(|| regex_syntax::parse(&without_look_around(pattern)).ok())
}

/// Appends text that matches, with up to `extra` repetitions more than the fewest.
pub(super) fn write(hir: &Hir, rng: &mut StdRng, extra: u32, text: &mut String) {
    if text.len() > MAX_TEXT_BYTES {
        return;
    }
    match hir.kind() {
        HirKind::Literal(literal) => text.push_str(&String::from_utf8_lossy(&literal.0)),
        HirKind::Class(Class::Unicode(class)) => text.extend(pick(class, rng)),
        HirKind::Repetition(repetition) => {
            let times = repetition.min.saturating_add(rng.random_range(0..=extra));
            for _ in 0..times.min(repetition.max.unwrap_or(u32::MAX)) {
                write(&repetition.sub, rng, extra, text);
            }
        }
        HirKind::Capture(capture) => write(&capture.sub, rng, extra, text),
        HirKind::Concat(parts) => parts.iter().for_each(|part| write(part, rng, extra, text)),
        HirKind::Alternation(parts) => write(&parts[rng.random_range(0..parts.len())], rng, extra, text),
        // A class of bytes needs a flag that ECMA-262 does not have.
        HirKind::Empty | HirKind::Look(_) | HirKind::Class(Class::Bytes(_)) => {}
    }
}

/// Picks a letter or digit of a class, else anything printable, else anything.
fn pick(class: &ClassUnicode, rng: &mut StdRng) -> Option<char> {
    const PREFERRED: [&[(char, char)]; 3] =
        [&[('0', '9'), ('A', 'Z'), ('a', 'z')], &[(' ', '~')], &[('\u{0}', '\u{10FFFF}')]];
    PREFERRED.iter().find_map(|ranges| {
        let mut preferred = ClassUnicode::new(ranges.iter().map(|(a, b)| ClassUnicodeRange::new(*a, *b)));
        preferred.intersect(class);
        let ranges = preferred.ranges();
        let range = ranges.get(rng.random_range(0..ranges.len().max(1)))?;
        Some(rng.random_range(range.start()..=range.end()))
    })
}

/// Cuts out `(?=…)`, `(?!…)`, `(?<=…)` and `(?<!…)`.
fn without_look_around(pattern: &str) -> String {
    let mut kept = String::with_capacity(pattern.len());
    // `depth` counts the open groups inside a look-around, itself included.
    let (mut depth, mut in_class, mut escaped) = (0usize, false, false);
    for (i, c) in pattern.char_indices() {
        let look_around = ["(?=", "(?!", "(?<=", "(?<!"].iter().any(|open| pattern[i..].starts_with(open));
        let was_kept = depth == 0;
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            ']' if in_class => in_class = false,
            _ if in_class => {}
            '[' => in_class = true,
            '(' if depth > 0 || look_around => depth += 1,
            ')' if depth > 0 => depth -= 1,
            _ => {}
        }
        if was_kept && depth == 0 {
            kept.push(c);
        }
    }
    kept
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
