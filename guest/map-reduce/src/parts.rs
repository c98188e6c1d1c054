//! Splits a transcript into parts that fit into a model's window.
//!
//! A guest cannot count tokens, because it does not know the model; it counts bytes.

use std::fmt;

/// Three is low for English (about four) and for Cyrillic in UTF-8 (four to five), and fair for Chinese and Japanese. So
/// a part rarely has more tokens than it may have.
const BYTES_PER_TOKEN: usize = 3;

/// With rules, schema and answer, such a part fits into a window of 8,192 tokens.
const PART_TOKENS: usize = 5_000;

/// The limit when the transcript would need more than [`MAX_PARTS`] parts; such a part fits into a window of 128,000.
const MAX_PART_TOKENS: usize = 80_000;

/// The host asks at most 32 questions per job; the other two are for the report and its repair.
pub(crate) const MAX_PARTS: usize = 30;

/// A part may exceed the mean by one eighth of it, to end with a cue, a line or a word.
const SLACK_DIVISOR: usize = 8;

/// All parts together must stay below the 8 MiB that a guest may return.
pub(crate) const MAX_TRANSCRIPT_BYTES: usize = MAX_PARTS * mean_part_bytes(MAX_PART_TOKENS);

/// Returns the mean length of parts whose longest one has `max_tokens`.
const fn mean_part_bytes(max_tokens: usize) -> usize {
    max_tokens * BYTES_PER_TOKEN * SLACK_DIVISOR / (SLACK_DIVISOR + 1)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooLong {
    bytes: usize,
}

impl fmt::Display for TooLong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { bytes } = self;
        write!(
            f,
            "the transcript has {bytes} bytes; at most {MAX_TRANSCRIPT_BYTES} are read, in {MAX_PARTS} parts of about {MAX_PART_TOKENS} tokens"
        )
    }
}

/// Splits a text into parts of about the same length, without changing or dropping a byte.
///
/// # Errors
///
/// [`TooLong`] for more than [`MAX_TRANSCRIPT_BYTES`].
pub(crate) fn split<'a>(text: &'a str, media_type: &str) -> Result<Vec<&'a str>, TooLong> {
    if text.len() <= PART_TOKENS * BYTES_PER_TOKEN {
        return Ok(vec![text]);
    }
    if text.len() > MAX_TRANSCRIPT_BYTES {
        return Err(TooLong { bytes: text.len() });
    }
    let count = text.len().div_ceil(mean_part_bytes(PART_TOKENS)).min(MAX_PARTS);
    let slack = text.len() / count / SLACK_DIVISOR;
    let mut parts = Vec::with_capacity(count);
    let mut start = 0;
    for number in 1..count {
        let latest = text.len() * number / count;
        let end = cut_before(text, latest - slack, latest, media_type == "text/vtt");
        parts.push(&text[start..end]);
        start = end;
    }
    parts.push(&text[start..]);
    Ok(parts)
}

/// Returns the best index between `from` and `to` to begin the next part: the last paragraph or cue, else the last line,
/// else the last word, else the end.
fn cut_before(text: &str, from: usize, to: usize, has_cues: bool) -> usize {
    // Rounded inwards, so that no part grows. A character has at most four bytes.
    let (from, to) = (floor_char_boundary(text, from + 3), floor_char_boundary(text, to));
    let stretch = &text[from..to];
    let paragraph = ["\n\n", "\n\r\n", "\r\r"].iter().filter_map(|gap| Some(stretch.rfind(gap)? + gap.len())).max();
    // Cues without an empty line between them begin with their time.
    let time = || last_line_start(&stretch[..stretch.rfind("-->").filter(|_| has_cues)?]);
    let space = || stretch.char_indices().rev().find(|(_, c)| c.is_whitespace()).map(|(at, c)| at + c.len_utf8());
    from + paragraph.or_else(time).or_else(|| last_line_start(stretch)).or_else(space).unwrap_or(stretch.len())
}

fn last_line_start(stretch: &str) -> Option<usize> {
    stretch.rfind('\n').or_else(|| stretch.rfind('\r')).map(|at| at + 1)
}

// `str::floor_char_boundary` is newer than the oldest Rust that guests support.
fn floor_char_boundary(text: &str, mut at: usize) -> usize {
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{BYTES_PER_TOKEN, MAX_PART_TOKENS, MAX_PARTS, MAX_TRANSCRIPT_BYTES, PART_TOKENS, split};

    const PART_BYTES: usize = PART_TOKENS * BYTES_PER_TOKEN;

    fn parts<'a>(text: &'a str, media_type: &str) -> Vec<&'a str> {
        split(text, media_type).expect("short enough")
    }

    fn repeated(piece: &str, bytes: usize) -> String {
        piece.repeat(bytes.div_ceil(piece.len()))
    }

    #[test]
    fn a_text_that_fits_into_one_part_stays_whole() {
        assert_eq!(parts("", "text/plain"), [""]);
        let text = "x".repeat(PART_BYTES);
        assert_eq!(parts(&text, "text/plain"), [text.as_str()]);
        assert_eq!(parts(&(text + "x"), "text/plain").len(), 2);
    }

    #[test]
    fn parts_of_a_plain_text_begin_with_a_line() {
        for end in ["\n", "\r\n", "\r"] {
            let text = repeated(&format!("Anna: Let us go on with the next point.{end}"), 3 * PART_BYTES);
            let parts = parts(&text, "text/plain");
            assert_eq!(parts.len(), 4);
            assert!(parts.iter().all(|part| part.starts_with("Anna: ") && part.len() <= PART_BYTES), "{end:?}");
        }
    }

    #[test]
    fn parts_of_a_vtt_begin_with_a_cue() {
        let cue = "17\n00:01:00.000 --> 00:01:04.000\n<v Anna>Let us go on\nwith the next point.\n";
        for (gap, start) in [("\n", "17\n"), ("", "00:01:00.000 --> ")] {
            for end in ["\n", "\r\n"] {
                let text = repeated(&format!("{cue}{gap}").replace('\n', end), 2 * PART_BYTES);
                let parts = parts(&text, "text/vtt");
                assert_eq!(parts.len(), 3);
                assert!(parts[1..].iter().all(|part| part.starts_with(&start.replace('\n', end))), "{gap:?} {end:?}");
            }
        }
    }

    #[test]
    fn a_text_without_lines_is_cut_between_words_or_characters() {
        for part in &parts(&repeated("further ", 2 * PART_BYTES), "text/plain")[1..] {
            assert!(part.starts_with("further"));
        }
        assert_eq!(parts(&repeated("é", 2 * PART_BYTES), "text/plain").len(), 3);
    }

    #[test]
    fn a_longer_text_has_longer_parts_but_not_more() {
        let text = repeated("Anna: Let us go on.\n", 1_000_000);
        let long = parts(&text, "text/plain");
        assert_eq!(long.len(), MAX_PARTS);
        let (shortest, longest) = (long.iter().map(|part| part.len()).min(), long.iter().map(|part| part.len()).max());
        assert!(shortest > Some(33_000) && longest < Some(34_000), "{shortest:?} {longest:?}");
    }

    #[test]
    fn parts_of_the_longest_text_fit_and_a_longer_one_is_refused() {
        let mut text = "x".repeat(MAX_TRANSCRIPT_BYTES);
        assert!(parts(&text, "text/plain").iter().all(|part| part.len() <= MAX_PART_TOKENS * BYTES_PER_TOKEN));
        text.push('x');
        assert_eq!(
            split(&text, "text/plain").map_err(|error| error.to_string()),
            Err("the transcript has 6399991 bytes; at most 6399990 are read, in 30 parts of about 80000 tokens"
                .to_owned())
        );
    }

    proptest! {
        #[test]
        fn parts_join_to_the_text_and_none_is_empty_or_too_long(piece in "[a-zя é\r\n-]{1,300}", times in 1_usize..2_000) {
            let text = piece.repeat(times);
            for media_type in ["text/plain", "text/vtt"] {
                let parts = parts(&text, media_type);
                prop_assert_eq!(parts.concat(), text.as_str());
                prop_assert!(parts.len() <= MAX_PARTS && parts.iter().all(|part| !part.is_empty()));
                let longest = (text.len() * 9 / 8 / parts.len() + 8).max(PART_BYTES);
                prop_assert!(parts.iter().all(|part| part.len() <= longest));
                prop_assert!(parts.len() == MAX_PARTS || parts.iter().all(|part| part.len() <= PART_BYTES));
            }
        }
    }
}
