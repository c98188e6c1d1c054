//! The child's side: read a request, bind itself, compile, answer, end.

use std::{
    fs::File,
    io::{self, BufRead, Read, Write},
    os::{fd::AsFd, unix::fs::FileTypeExt},
    path::Path,
    process::ExitCode,
    thread,
};

use rustix::process::{
    DumpableBehavior, Resource, Rlimit, Signal, getpid, getrlimit, kill_process, nice, set_dumpable_behavior, setrlimit,
};

use crate::compiler::work::{Request, compile};

/// Room for the schema and little else.
const MAX_HEADER_BYTES: u64 = 16 << 20;
/// Beyond the memory limit: specializing runs a guest, whose memory reserves 4 GiB and guards that it never fills.
const RESERVED_ADDRESS_BYTES: u64 = 12 << 30;
/// Lets the jobs of the machine go first.
const CHILD_NICENESS: i32 = 5;
const WATCH_STACK_BYTES: usize = 128 << 10;

/// Runs the compile child: reads one request from stdin, writes one line to stdout, and one image into the working folder or after
/// the line.
///
/// The program behind [`crate::Compiler::Child`] must call this first in its `main`.
pub fn child_main() -> ExitCode {
    match serve() {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn serve() -> io::Result<()> {
    end_with_parent()?;
    let mut stdin = io::stdin().lock();
    let mut header = Vec::new();
    stdin.by_ref().take(MAX_HEADER_BYTES).read_until(b'\n', &mut header)?;
    let request: Request = serde_json::from_slice(&header)?;
    // Before the first byte of a guest is read.
    limit_this_process(&request)?;

    let mut bytes = Vec::new();
    stdin.take(request.max_bytes).read_to_end(&mut bytes)?;
    let (reply, image) = compile(&request, &bytes, Path::new("."));
    let mut stdout = io::stdout().lock();
    serde_json::to_writer(&mut stdout, &reply)?;
    stdout.write_all(b"\n")?;
    stdout.write_all(&image)?;
    stdout.flush()
}

/// Ends this process when the parent ends. The parent keeps the other end of standard error open; a thread waits for its end.
/// Nothing else would show a killed parent: a compile reads nothing, and writes only at its end.
fn end_with_parent() -> io::Result<()> {
    let mut parent = File::from(io::stderr().as_fd().try_clone_to_owned()?);
    if !parent.metadata()?.file_type().is_fifo() {
        return Ok(()); // started by hand
    }
    let wait = move || {
        // Started by hand with a pipe to read from: an error here, and the process goes on.
        while let Ok(read) = parent.read(&mut [0]) {
            if read == 0 {
                let _ = kill_process(getpid(), Signal::KILL);
            }
        }
    };
    thread::Builder::new().name("parent".into()).stack_size(WATCH_STACK_BYTES).spawn(wait)?;
    Ok(())
}

/// Lowers hard and soft limits, so that the process cannot raise them again.
fn limit_this_process(request: &Request) -> io::Result<()> {
    let limits = [
        // No core dump of a guest's bytes.
        (Resource::Core, 0),
        (Resource::Cpu, request.cpu_seconds),
        // The whole image is in memory first.
        (Resource::Fsize, request.memory_bytes),
        (Resource::As, request.memory_bytes.saturating_add(RESERVED_ADDRESS_BYTES)),
        // Writable memory, used or not, without what is only reserved.
        (Resource::Data, request.memory_bytes),
    ];
    for (resource, limit) in limits {
        setrlimit(resource, lowered(getrlimit(resource), limit))?;
    }
    // The limit does not cover systems that pipe dumps to a program.
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    // Some containers refuse it.
    let _ = nice(CHILD_NICENESS);
    Ok(())
}

/// Returns at most `limit`, and at most the present limit: only the privileged may raise it.
fn lowered(given: Rlimit, limit: u64) -> Rlimit {
    let limit = given.maximum.map_or(limit, |given| given.min(limit));
    Rlimit { current: Some(limit), maximum: Some(limit) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_go_down_and_never_up() {
        let of = |limit| Rlimit { current: Some(limit), maximum: Some(limit) };
        assert_eq!(lowered(Rlimit { current: None, maximum: None }, 7), of(7));
        assert_eq!(lowered(Rlimit { current: Some(3), maximum: Some(9) }, 7), of(7));
        assert_eq!(lowered(Rlimit { current: Some(3), maximum: Some(5) }, 7), of(5));
    }
}
