//! The limit of open files.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises this process' soft limit of open files to the hard one: shells and systemd set 1024, and a worker needs some files for
/// each slot.
///
/// # Errors
/// The system refuses it.
pub fn raise() -> std::io::Result<()> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current != maximum {
        setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_soft_limit_of_open_files_becomes_the_hard_one() {
        let given = getrlimit(Resource::Nofile);
        // One less, because other tests of this process open files meanwhile.
        let lower = given.current.map(|files| files - 1);
        setrlimit(Resource::Nofile, Rlimit { current: lower, ..given }).unwrap();
        raise().unwrap();
        let raised = getrlimit(Resource::Nofile);
        assert_eq!((raised.current, raised.maximum), (given.maximum, given.maximum));
        raise().unwrap();
    }
}
