//! A transcript in a comparable form, in which quotes are looked up.
//!
//! The form ignores case, quote marks, invisible characters and kinds of white space or dash. Quotes may span cues.

use assay_guest::Transcript;

use crate::{quote_mark::is_quote_mark, vtt};

/// Limits the cost of one quote, in bytes: how often it is found inside longer words, times its length.
const MAX_COMPARED_BYTES: usize = 1 << 24;

pub(crate) struct SpokenText {
    text: String,
    /// In the order of the text.
    cues: Vec<CueStart>,
}

struct CueStart {
    /// In the comparable text, in bytes.
    offset: usize,
    ms: u64,
}

impl SpokenText {
    pub(crate) fn new(transcript: &Transcript) -> Self {
        let cues = if transcript.media_type == "text/vtt" { vtt::parse_cues(&transcript.text) } else { Vec::new() };
        let mut spoken = Self { text: String::new(), cues: Vec::with_capacity(cues.len()) };
        if cues.is_empty() {
            append_comparable(&transcript.text, &mut spoken.text);
            return spoken;
        }
        for cue in cues {
            if !spoken.text.is_empty() && !spoken.text.ends_with(' ') {
                spoken.text.push(' ');
            }
            spoken.cues.push(CueStart { offset: spoken.text.len(), ms: cue.start_ms });
            append_comparable(&cue.text, &mut spoken.text);
        }
        spoken
    }

    /// Returns the byte offset where a [`search_key`] occurs as whole words.
    pub(crate) fn find(&self, key: &str) -> Option<usize> {
        if key.is_empty() {
            return None;
        }
        // Not `match_indices`: whole words may begin inside a match that is part of a longer word ("ha ha" in "aha ha ha").
        let mut from = 0;
        let mut bytes_left = MAX_COMPARED_BYTES;
        while let Some(at) = self.text[from..].find(key).map(|at| from + at) {
            if self.is_whole_words(at, key.len()) {
                return Some(at);
            }
            bytes_left = bytes_left.checked_sub(key.len())?;
            from = at + self.text[at..].find(|c: char| !c.is_alphanumeric())?;
        }
        None
    }

    fn is_whole_words(&self, at: usize, len: usize) -> bool {
        let before = self.text[..at].chars().next_back();
        let after = self.text[at + len..].chars().next();
        !before.is_some_and(char::is_alphanumeric) && !after.is_some_and(char::is_alphanumeric)
    }

    /// Returns the start of the cue that holds the byte offset, in milliseconds.
    pub(crate) fn time_ms(&self, offset: usize) -> Option<u64> {
        let behind = self.cues.partition_point(|cue| cue.offset <= offset);
        self.cues.get(behind.checked_sub(1)?).map(|cue| cue.ms)
    }
}

/// Returns a quote's comparable form without the marks at its ends: a quote often stops inside a sentence.
pub(crate) fn search_key(quote: &str) -> String {
    let mut key = String::new();
    append_comparable(quote, &mut key);
    key.trim_matches(|c: char| !c.is_alphanumeric()).to_owned()
}

fn append_comparable(text: &str, out: &mut String) {
    for c in text.chars() {
        match c {
            _ if is_quote_mark(c) => {}
            '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{feff}' => {}
            _ if c.is_whitespace() => {
                if !out.is_empty() && !out.ends_with(' ') {
                    out.push(' ');
                }
            }
            '‐' | '‑' | '‒' | '–' | '—' | '―' | '−' => out.push('-'),
            '…' => out.push_str("..."),
            'ё' | 'Ё' => out.push('е'),
            _ => out.extend(c.to_lowercase()),
        }
    }
}
