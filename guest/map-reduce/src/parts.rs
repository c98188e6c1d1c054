//! Cutting a transcript into parts that a model reads one at a time.
//!
//! A guest cannot count tokens, for it does not know the model; it counts bytes. Three bytes a token is a low estimate for
//! English (about four) and for Cyrillic in UTF-8 (four to five), and a fair one for Chinese and Japanese. So a part rarely
//! has more tokens than it is allowed, and often fewer.

use std::fmt;

/// The estimate.
const BYTES_PER_TOKEN: usize = 3;

/// What a part should have at most, in tokens: with rules, schema and answer it fits into a window of 8,192.
const PART_TOKENS: usize = 5_000;

/// What a part may have at most where more parts than [`MAX_PARTS`] would be needed, in tokens: it fits into a window of 128,000.
const MAX_PART_TOKENS: usize = 80_000;

/// The host asks 32 questions per job; one is for the report, and one for its repair.
pub(crate) const MAX_PARTS: usize = 30;

/// A part may be longer than the mean by one such share of it, so that it ends where a cue, a line or a word does.
const SLACK: usize = 8;

/// The longest transcript that is read, in bytes. All its parts together stay below the 8 MiB that a guest may return.
pub(crate) const MAX_BYTES: usize = MAX_PARTS * mean(MAX_PART_TOKENS);

/// How long the parts are on average where the longest has this many tokens, in bytes.
const fn mean(tokens: usize) -> usize {
    tokens * BYTES_PER_TOKEN * SLACK / (SLACK + 1)
}

/// A transcript of more than [`MAX_BYTES`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooLong {
    bytes: usize,
}

impl fmt::Display for TooLong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { bytes } = self;
        write!(
            f,
            "the transcript has {bytes} bytes; at most {MAX_BYTES} are read, in {MAX_PARTS} parts of about {MAX_PART_TOKENS} tokens"
        )
    }
}

/// Cuts a text into parts of about the same length, which together are the text. One that fits into a part is the only part.
///
/// # Errors
///
/// More text than fits into the greatest number of the longest parts.
pub(crate) fn split<'a>(text: &'a str, media_type: &str) -> Result<Vec<&'a str>, TooLong> {
    if text.len() <= PART_TOKENS * BYTES_PER_TOKEN {
        return Ok(vec![text]);
    }
    if text.len() > MAX_BYTES {
        return Err(TooLong { bytes: text.len() });
    }
    let count = text.len().div_ceil(mean(PART_TOKENS)).min(MAX_PARTS);
    let slack = text.len() / count / SLACK;
    let mut parts = Vec::with_capacity(count);
    let mut start = 0;
    for number in 1..count {
        let latest = text.len() * number / count;
        let end = cut(text, latest - slack, latest, media_type == "text/vtt");
        parts.push(&text[start..end]);
        start = end;
    }
    parts.push(&text[start..]);
    Ok(parts)
}

/// The best place to cut in a stretch of the text: before a paragraph or cue, else before a line, else behind white space. Of
/// several the last one; where there is none, the end of the stretch.
fn cut(text: &str, from: usize, to: usize, cues: bool) -> usize {
    // Rounded inwards, so that no part grows.
    let (from, to) = (character(text, from + 3), character(text, to));
    let stretch = &text[from..to];
    let paragraph = ["\n\n", "\n\r\n", "\r\r"].iter().filter_map(|gap| Some(stretch.rfind(gap)? + gap.len())).max();
    // Cues without an empty line between them begin with their time.
    let time = || line(&stretch[..stretch.rfind("-->").filter(|_| cues)?]);
    let space = || stretch.char_indices().rev().find(|(_, c)| c.is_whitespace()).map(|(at, c)| at + c.len_utf8());
    from + paragraph.or_else(time).or_else(|| line(stretch)).or_else(space).unwrap_or(stretch.len())
}

/// Where the last line begins that begins in a stretch.
fn line(stretch: &str) -> Option<usize> {
    stretch.rfind('\n').or_else(|| stretch.rfind('\r')).map(|at| at + 1)
}

/// The start of the character at a place.
fn character(text: &str, mut at: usize) -> usize {
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

#[cfg(test)]
mod tests {
    use super::{BYTES_PER_TOKEN, MAX_BYTES, MAX_PART_TOKENS, MAX_PARTS, PART_TOKENS, split};
    use proptest::prelude::*;

    const PART_BYTES: usize = PART_TOKENS * BYTES_PER_TOKEN;

    fn parts<'a>(text: &'a str, media_type: &str) -> Vec<&'a str> {
        split(text, media_type).expect("short enough")
    }

    fn repeated(piece: &str, bytes: usize) -> String {
        piece.repeat(bytes.div_ceil(piece.len()))
    }

    #[test]
    fn what_fits_into_one_part_stays_whole() {
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
    fn a_text_without_lines_is_cut_between_words_and_one_without_words_between_characters() {
        for part in &parts(&repeated("further ", 2 * PART_BYTES), "text/plain")[1..] {
            assert!(part.starts_with("further"));
        }
        assert_eq!(parts(&repeated("é", 2 * PART_BYTES), "text/plain").len(), 3);
    }

    #[test]
    fn a_longer_text_has_longer_parts_and_never_more_than_the_host_asks() {
        let text = repeated("Anna: Let us go on.\n", 1_000_000);
        let long = parts(&text, "text/plain");
        assert_eq!(long.len(), MAX_PARTS);
        let (shortest, longest) = (long.iter().map(|part| part.len()).min(), long.iter().map(|part| part.len()).max());
        assert!(shortest > Some(33_000) && longest < Some(34_000), "{shortest:?} {longest:?}");
    }

    #[test]
    fn the_longest_text_has_parts_that_a_large_window_holds_and_a_longer_one_is_refused() {
        let mut text = "x".repeat(MAX_BYTES);
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
        fn parts_are_the_text_in_order_and_none_is_empty_or_too_long(piece in "[a-zя é\r\n-]{1,300}", times in 1_usize..2_000) {
            let text = piece.repeat(times);
            for media_type in ["text/plain", "text/vtt"] {
                let parts = parts(&text, media_type);
                prop_assert_eq!(parts.concat(), text.as_str());
                prop_assert!(parts.len() <= MAX_PARTS && parts.iter().all(|part| !part.is_empty()));
                let most = (text.len() * 9 / 8 / parts.len() + 8).max(PART_BYTES);
                prop_assert!(parts.iter().all(|part| part.len() <= most));
                prop_assert!(parts.len() == MAX_PARTS || parts.iter().all(|part| part.len() <= PART_BYTES));
            }
        }
    }
}
