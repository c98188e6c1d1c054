//! Recognizes the error of a process or a machine that has no file descriptor left.

use std::{error::Error, fs::File, io};

/// `EMFILE` and `ENFILE`, the same on every Unix: the process or the machine may open no more files.
const OUT_OF_FILES: [i32; 2] = [24, 23];

/// What was not opened, for the message of an error with [`Code::WorkerOutOfFiles`](crate::code::Code::WorkerOutOfFiles).
pub const NO_FILE_LEFT: &str = "no file descriptor is left for a connection";

/// Returns whether a connection was not opened because no file descriptor was left.
///
/// The resolver of names does not pass on why it failed. So an I/O error without a number of the system counts too, if not even
/// a file can be opened now.
pub fn is_out_of_files(error: &(dyn Error + 'static)) -> bool {
    has_io_error(error, &|error| match error.raw_os_error() {
        Some(number) => OUT_OF_FILES.contains(&number),
        None => error.get_ref().is_none_or(|inner| !has_io_error(inner, &|_| true)) && cannot_open(),
    })
}

/// Returns whether an error, or one of its sources, is an I/O error that matches.
fn has_io_error(error: &(dyn Error + 'static), matches: &dyn Fn(&io::Error) -> bool) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(error) = error.downcast_ref::<io::Error>() {
            // The error that it wraps is not among its sources.
            let inner = error.get_ref();
            if matches(error) || inner.is_some_and(|inner| has_io_error(inner, matches)) {
                return true;
            }
        }
        next = error.source();
    }
    false
}

fn cannot_open() -> bool {
    let opened = File::open("/dev/null");
    opened.is_err_and(|error| error.raw_os_error().is_some_and(|number| OUT_OF_FILES.contains(&number)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("no connection")]
    struct Outer(#[source] io::Error);

    #[test]
    fn a_process_or_a_machine_without_files_is_known_at_any_depth() {
        for number in OUT_OF_FILES {
            let error = || io::Error::from_raw_os_error(number);
            assert!(is_out_of_files(&error()));
            assert!(is_out_of_files(&Outer(error())), "a source");
            assert!(is_out_of_files(&io::Error::other(Outer(error()))), "wrapped");
        }
    }

    #[test]
    fn other_failures_of_a_connection_are_not_taken_for_it() {
        let [refused, reset, no_memory, interrupted] = [111, 104, 12, 4].map(io::Error::from_raw_os_error);
        for error in [refused, reset, no_memory, interrupted] {
            assert!(!is_out_of_files(&Outer(error)));
        }
        assert!(!is_out_of_files(&io::Error::other("Too many open files (os error 24)")), "a text decides nothing");
        assert!(!is_out_of_files(&io::Error::from(io::ErrorKind::TimedOut)), "files can be opened");
    }
}
