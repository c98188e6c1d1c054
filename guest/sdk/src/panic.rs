//! A panic becomes a trap; before that, its *place* goes to the log. Never its message: `unwrap` puts values there.

use crate::log::{Level, emit};
use std::panic::{PanicHookInfo, set_hook};

/// Installs the hook; part of initialization, so a pre-initialized guest carries it in its memory image.
pub(crate) fn install_hook() {
    set_hook(Box::new(report_location));
}

fn report_location(info: &PanicHookInfo<'_>) {
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
    fn a_panic_line_names_the_place_alone() {
        assert_eq!(line(Some(("src/lib.rs", 7, 3))), "guest panicked at src/lib.rs:7:3");
        assert_eq!(line(None), "guest panicked");
    }
}
