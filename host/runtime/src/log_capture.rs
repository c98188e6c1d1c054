//! Bounds a guest's log: number of lines, bytes per line, no characters that control a terminal.

use crate::call::LogLine;

/// The lines of one call.
#[derive(Debug, Default)]
pub(crate) struct LogCapture {
    pub(crate) lines: Vec<LogLine>,
    pub(crate) dropped: u32,
}

impl LogCapture {
    /// Returns whether the next line is kept; counts it if not.
    pub(crate) fn has_room(&mut self, max_lines: u32) -> bool {
        if self.lines.len() < max_lines as usize {
            return true;
        }
        self.dropped = self.dropped.saturating_add(1);
        false
    }
}

/// Cuts at a character's edge, replaces line breaks and tabs by spaces, and drops characters that control a terminal or its text
/// direction.
pub(crate) fn clean(text: &str, max_bytes: usize) -> String {
    let mut line = String::with_capacity(text.len().min(max_bytes));
    for character in text.chars() {
        let kept = match character {
            '\n' | '\r' | '\t' | '\u{2028}' | '\u{2029}' => ' ',
            c if c.is_control() || is_direction_mark(c) => continue,
            c => c,
        };
        if line.len() + kept.len_utf8() > max_bytes {
            break;
        }
        line.push(kept);
    }
    line
}

/// Unicode's explicit formatting characters (UAX #9): they can make a line read as another one.
fn is_direction_mark(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{061c}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::LogLevel;

    #[test]
    fn a_line_loses_characters_that_control_a_terminal() {
        assert_eq!(clean("a\x1b[31mb\nc\u{202e}d\0", 100), "a[31mb cd");
    }

    #[test]
    fn a_line_is_cut_at_a_characters_edge() {
        assert_eq!(clean("aéé", 4), "aé");
        assert_eq!(clean("aéé", 5), "aéé");
    }

    #[test]
    fn lines_past_the_limit_are_counted() {
        let mut capture = LogCapture::default();
        for _ in 0..3 {
            if capture.has_room(1) {
                capture.lines.push(LogLine { level: LogLevel::Info, message: String::new() });
            }
        }
        assert_eq!((capture.lines.len(), capture.dropped), (1, 2));
    }
}
