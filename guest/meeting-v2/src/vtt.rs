//! Reads WebVTT: the words and their times. Files of meeting tools need a lenient reader: they have commas in time stamps,
//! and cues without an empty line between them.

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cue {
    pub(crate) start_ms: u64,
    /// Without markup.
    pub(crate) text: String,
}

/// Returns the cues in the order of the file.
pub(crate) fn parse_cues(text: &str) -> Vec<Cue> {
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    read_cues(text.split('\n'))
}

/// A line of the last cue's text.
struct CueLine<'a> {
    line: &'a str,
    /// The length of the cue's text before this line, in bytes.
    text_before: usize,
}

/// Reads each line once: a transcript may have tens of thousands of cues.
fn read_cues<'a>(lines: impl Iterator<Item = &'a str>) -> Vec<Cue> {
    let mut cues: Vec<Cue> = Vec::new();
    let mut inside = false;
    let mut last_line: Option<CueLine<'_>> = None;
    for line in lines.map(str::trim) {
        let before = last_line.take();
        if let Some(start_ms) = line.split_once("-->").and_then(|(start, _)| parse_timestamp(start.trim())) {
            if let (Some(id), Some(cue)) = (before.filter(|before| looks_like_an_id(before.line)), cues.last_mut()) {
                cue.text.truncate(id.text_before);
            }
            cues.push(Cue { start_ms, text: String::new() });
            inside = true;
        } else if line.is_empty() {
            inside = false;
        } else if let (true, Some(cue)) = (inside, cues.last_mut()) {
            last_line = Some(CueLine { line, text_before: cue.text.len() });
            if !cue.text.is_empty() {
                cue.text.push(' ');
            }
            cue.text.push_str(&without_markup(line));
        }
    }
    cues
}

/// Returns whether a line directly before a time is the next cue's id ("17", a GUID) and not the end of a cue's text.
fn looks_like_an_id(line: &str) -> bool {
    !line.contains(char::is_whitespace) && !line.contains('<') && line.contains(|c: char| c.is_ascii_digit())
}

/// Parses `HH:MM:SS.mmm` or `MM:SS.mmm` to milliseconds.
fn parse_timestamp(stamp: &str) -> Option<u64> {
    let (clock, fraction) = stamp.split_once(['.', ','])?;
    let parts: Vec<u64> = clock.split(':').map(number).collect::<Option<_>>()?;
    let (hours, minutes, seconds) = match parts[..] {
        [minutes, seconds] => (0, minutes, seconds),
        [hours, minutes, seconds] => (hours, minutes, seconds),
        _ => return None,
    };
    if minutes > 59 || seconds > 59 || fraction.len() != 3 {
        return None;
    }
    Some(((hours * 60 + minutes) * 60 + seconds) * 1000 + number(fraction)?)
}

/// Parses at most six digits, so no arithmetic overflows.
fn number(digits: &str) -> Option<u64> {
    let plain = !digits.is_empty() && digits.len() <= 6 && digits.bytes().all(|b| b.is_ascii_digit());
    plain.then(|| digits.parse().ok()).flatten()
}

/// Formats milliseconds as `HH:MM:SS.mmm`.
pub(crate) fn format_timestamp(ms: u64) -> String {
    let (seconds, ms) = (ms / 1000, ms % 1000);
    format!("{:02}:{:02}:{:02}.{ms:03}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

/// Removes tags (`<v Anna>`, `<00:01.000>`, `</i>`) and decodes entities.
fn without_markup(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let mut rest = line;
    // Without a ">" in the rest, no later "<" opens a tag, and the rest is not searched again.
    let mut closes = true;
    while let Some(at) = rest.find(['<', '&']) {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let tag =
            closes && rest.starts_with('<') && rest[1..].starts_with(|c: char| c == '/' || c.is_ascii_alphanumeric());
        let end = tag.then(|| rest.find('>')).flatten();
        closes &= !tag || end.is_some();
        if let Some(end) = end {
            rest = &rest[end + 1..];
        } else if let Some((entity, decoded)) = ENTITIES.iter().find(|(entity, _)| rest.starts_with(entity)) {
            out.push_str(decoded);
            rest = &rest[entity.len()..];
        } else {
            let first = rest.chars().next().map_or(0, char::len_utf8);
            out.push_str(&rest[..first]);
            rest = &rest[first..];
        }
    }
    out.push_str(rest);
    out
}

const ENTITIES: &[(&str, &str)] = &[
    ("&amp;", "&"),
    ("&lt;", "<"),
    ("&gt;", ">"),
    ("&nbsp;", " "),
    ("&lrm;", ""),
    ("&rlm;", ""),
    ("&quot;", "\""),
    ("&#39;", "'"),
];

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use proptest::prelude::*;

    use super::{format_timestamp, parse_cues, read_cues, without_markup};

    fn read(text: &str) -> Vec<(String, String)> {
        parse_cues(text).into_iter().map(|cue| (format_timestamp(cue.start_ms), cue.text)).collect()
    }

    fn said(at: &str, text: &str) -> (String, String) {
        (at.into(), text.into())
    }

    #[test]
    fn cues_have_a_start_and_plain_text() {
        let text = "WEBVTT - A call\n\nNOTE written by\na machine\n\nSTYLE\n::cue { color: red }\n\nintro\n00:01.500 --> 00:04.000 align:start\n<v Anna>Hello &amp; welcome,\n<i>everybody</i>.\n\n100:00:05.000 --> 100:00:06.000\nBye.\n";
        assert_eq!(read(text), [said("00:00:01.500", "Hello & welcome, everybody."), said("100:00:05.000", "Bye.")]);
    }

    #[test]
    fn all_line_ends_are_read_the_same() {
        let unix = "WEBVTT\n\n00:01.000 --> 00:02.000\none\ntwo\n\n00:03,000 --> 00:04,000\nthree\n";
        let wanted = [said("00:00:01.000", "one two"), said("00:00:03.000", "three")];
        assert_eq!(read(unix), wanted);
        assert_eq!(read(&unix.replace('\n', "\r\n")), wanted);
    }

    #[test]
    fn cues_without_an_empty_line_between_them_are_separated() {
        assert_eq!(
            read("00:01.000 --> 00:02.000\none\n00:03.000 --> 00:04.000\ntwo"),
            [said("00:00:01.000", "one"), said("00:00:03.000", "two")]
        );
    }

    #[test]
    fn an_id_is_never_spoken_with_any_line_end() {
        let spaced = "WEBVTT\n\n1\n00:01.000 --> 00:02.000\none\n\n8f2c-11/12-0\n00:03.000 --> 00:04.000\ntwo\n";
        let dense = "WEBVTT\n1\n00:01.000 --> 00:02.000\none\n8f2c-11/12-0\n00:03.000 --> 00:04.000\ntwo\n";
        for text in [spaced, dense] {
            for end in ["\n", "\r\n", "\r"] {
                let text = text.replace('\n', end);
                assert_eq!(read(&text), [said("00:00:01.000", "one"), said("00:00:03.000", "two")], "{text:?}");
            }
        }
    }

    #[test]
    fn a_note_is_never_spoken_even_after_an_empty_cue() {
        let text = "WEBVTT\n\n00:01.000 --> 00:02.000\n\nNOTE not said\nby anybody\n\n00:03.000 --> 00:04.000\ntwo\n\nNOTE nor this\n";
        for text in [text.to_owned(), text.replace('\n', "\r\n")] {
            assert_eq!(read(&text), [said("00:00:01.000", ""), said("00:00:03.000", "two")], "{text:?}");
        }
    }

    #[test]
    fn each_line_of_a_long_file_is_read_once() {
        let text: String = (0..10_000).map(|n| format!("{n}\n00:{:02}.000 --> 00:59.000\nword\n\n", n % 60)).collect();
        let lines = Cell::new(0);
        let cues = read_cues(text.split('\n').inspect(|_| lines.set(lines.get() + 1)));
        assert_eq!((cues.len(), lines.get()), (10_000, 40_001));
        assert!(cues.iter().all(|cue| cue.text == "word"));
    }

    #[test]
    fn a_line_of_tags_that_never_close_is_text() {
        let line = format!("<i>x</i> {}&amp;", "<a".repeat(100_000));
        assert_eq!(without_markup(&line), format!("x {}&", "<a".repeat(100_000)));
    }

    #[test]
    fn text_that_only_looks_like_markup_stays() {
        assert_eq!(without_markup("a < b && c > d <- e &unknown; <"), "a < b && c > d <- e &unknown; <");
        assert_eq!(without_markup("<c.yellow.bg>x</c> <00:19.000>y <ruby"), "x y <ruby");
    }

    #[test]
    fn a_text_without_cues_has_none() {
        assert_eq!(read("just words --> and an arrow"), []);
        assert_eq!(read("99:99.000 --> 0\nx"), []);
    }

    proptest! {
        #[test]
        fn no_text_causes_a_panic(text in "[0-9:.,<>&;a-zя \r\n-]{0,120}") {
            let _ = parse_cues(&text);
        }
    }
}
