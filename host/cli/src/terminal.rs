//! Text for a terminal, and the one way to standard error.
//!
//! Errors, causes, warnings and notes hold paths, names and words of providers. These must not move the cursor, hide text or
//! turn its direction.

use std::{fmt::Display, io::Write};

/// Characters that show nothing and change what is shown: Unicode's property `Default_Ignorable_Code_Point`, with separators of
/// lines and anchors of annotations. Variation selectors may stay: they choose the form of one character.
const INVISIBLE: [(char, char); 16] = [
    ('\u{ad}', '\u{ad}'),
    ('\u{34f}', '\u{34f}'),
    ('\u{61c}', '\u{61c}'),
    ('\u{115f}', '\u{1160}'),
    ('\u{17b4}', '\u{17b5}'),
    ('\u{180b}', '\u{180f}'),
    // Zero width, and marks of direction.
    ('\u{200b}', '\u{200f}'),
    // Separators, and overrides of direction.
    ('\u{2028}', '\u{202e}'),
    // Invisible operators, and isolates of direction.
    ('\u{2060}', '\u{206f}'),
    ('\u{3164}', '\u{3164}'),
    ('\u{feff}', '\u{feff}'),
    ('\u{ffa0}', '\u{ffa0}'),
    ('\u{fff0}', '\u{fffb}'),
    ('\u{1bca0}', '\u{1bca3}'),
    ('\u{1d173}', '\u{1d17a}'),
    ('\u{e0000}', '\u{e0fff}'),
];

/// Replaces what a terminal would obey or not show, in text from elsewhere such as a file name. The result is one line.
pub fn plain(text: &str) -> String {
    let is_invisible = |c: char| INVISIBLE.iter().any(|(first, last)| (*first..=*last).contains(&c));
    text.replace(|c: char| c.is_control() || is_invisible(c), "\u{fffd}")
}

/// Applies [`plain`] to each line. Indents a message of several lines, so that no line break in a name begins a message.
pub fn plain_lines(text: &str) -> String {
    let lines: Vec<String> = text.split('\n').map(|line| plain(&line.replace('\t', "    "))).collect();
    let indent = if lines[1..].iter().all(|line| line.is_empty() || line.starts_with("  ")) { "" } else { "  " };
    let shown = |line: &String| if line.is_empty() { String::new() } else { format!("{indent}{line}") };
    let rest: String = lines[1..].iter().map(|line| format!("\n{}", shown(line))).collect();
    format!("{}{rest}", lines[0])
}

/// Prints an error, with its causes if it is formatted with `{:#}`.
pub fn error(error: impl Display) {
    note(format_args!("error: {error}"));
}

/// Prints a message of any other kind.
pub fn note(message: impl Display) {
    // Without a standard error the message is lost.
    let _ = writeln!(std::io::stderr().lock(), "{}", plain_lines(&message.to_string()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_name_cannot_steer_the_terminal() {
        assert_eq!(plain("a\u{1b}[2Jb\u{9b}c\n\t"), "a\u{fffd}[2Jb\u{fffd}c\u{fffd}\u{fffd}");
    }

    #[test]
    fn a_file_name_cannot_hide_text_or_turn_its_direction() {
        let shown = |c: char| plain(&format!("a{c}b"));
        for (first, last) in INVISIBLE {
            assert_eq!([shown(first), shown(last)], ["a\u{fffd}b", "a\u{fffd}b"], "{first:?} {last:?}");
        }
        assert_eq!(plain("\u{202e}moc.exe"), "\u{fffd}moc.exe");
        assert_eq!(plain("pay\u{2066}\u{200d}pal"), "pay\u{fffd}\u{fffd}pal");
    }

    #[test]
    fn names_in_any_language_are_shown_as_they_are() {
        for name in [
            "встреча 7.txt",
            "פגישה.txt",
            "اجتماع.vtt",
            "会議.txt",
            "회의",
            "e\u{301}te\u{301}",
            "🙂",
            "❤\u{fe0f}",
            "नमस्ते",
        ] {
            assert_eq!(plain(name), name);
        }
    }

    #[test]
    fn the_lines_of_a_message_stay_and_no_name_begins_one() {
        assert_eq!(plain_lines("build x\u{1b}: no\n  fix: do\tit"), "build x\u{fffd}: no\n  fix: do    it");
        assert_eq!(
            plain_lines("read a\nerror: all is lost: no such file"),
            "read a\n  error: all is lost: no such file"
        );
        assert_eq!(
            plain_lines("read x: at line 1\n  |\n1 | a\n  | ^\n"),
            "read x: at line 1\n    |\n  1 | a\n    | ^\n"
        );
        assert_eq!(plain_lines("one line"), "one line");
    }
}
