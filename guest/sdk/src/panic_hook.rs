//! Logs where a panic happened, before it becomes a trap. The message is never logged: `unwrap` puts values there.

use std::panic::{PanicHookInfo, set_hook};

use crate::log::{Level, emit};

/// Installs the hook. Initialization calls it, so a pre-initialized guest carries the hook in its memory image.
pub(crate) fn install() {
    set_hook(Box::new(log_location));
}

fn log_location(info: &PanicHookInfo<'_>) {
    emit(Level::Error, &line(info.location().map(|at| (at.file(), at.line(), at.column()))));
}

fn line(location: Option<(&str, u32, u32)>) -> String {
    match location {
        Some((file, line, column)) => format!("guest panicked at {file}:{line}:{column}"),
        None => "guest panicked".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::line;

    #[test]
    fn a_panic_line_names_only_the_place() {
        assert_eq!(line(Some(("src/lib.rs", 7, 3))), "guest panicked at src/lib.rs:7:3");
        assert_eq!(line(None), "guest panicked");
    }
}
