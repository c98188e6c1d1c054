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

use super::work::{Request, compile};

/// Longest header of a request, in bytes: the schema and little else.
const MAX_HEADER_BYTES: u64 = 16 << 20;
/// Address space beyond the memory limit: specializing runs a guest, whose memory reserves 4 GiB that it never fills, with guards.
const RESERVED_BYTES: u64 = 12 << 30;
/// How far the child steps back behind the jobs of the machine.
const NICENESS: i32 = 5;
/// Stack of the thread that waits for the parent's end.
const WATCH_STACK_BYTES: usize = 128 << 10;

/// The whole of the compile child: one request on stdin, one image into the working folder, one line of answer on stdout.
///
/// A program that is to serve as [`crate::Compiler::Child`] calls this from its `main`, before it does anything else.
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
    // Before the first byte of a guest is looked at.
    bind(&request)?;

    let mut bytes = Vec::new();
    stdin.take(request.max_bytes).read_to_end(&mut bytes)?;
    let reply = compile(&request, &bytes, Path::new("."));
    let mut stdout = io::stdout().lock();
    serde_json::to_writer(&mut stdout, &reply)?;
    stdout.flush()
}

/// The parent keeps the other end of standard error open for as long as it lives and wants an answer. A thread waits for its end, because nothing else tells of a parent that was
/// killed: a compile reads nothing, and writes nothing until it is done.
fn end_with_parent() -> io::Result<()> {
    let mut parent = File::from(io::stderr().as_fd().try_clone_to_owned()?);
    if !parent.metadata()?.file_type().is_fifo() {
        return Ok(()); // started by hand
    }
    let wait = move || {
        // Whoever started this by hand with a pipe to read from gets an error here, and no end.
        while let Ok(read) = parent.read(&mut [0]) {
            if read == 0 {
                let _ = kill_process(getpid(), Signal::KILL);
            }
        }
    };
    thread::Builder::new().name("parent".into()).stack_size(WATCH_STACK_BYTES).spawn(wait)?;
    Ok(())
}

/// Limits this process for good: the hard limits go down with the soft ones.
fn bind(request: &Request) -> io::Result<()> {
    let limits = [
        // No dump of a guest's bytes.
        (Resource::Core, 0),
        (Resource::Cpu, request.cpu_seconds),
        // An image was in memory as a whole.
        (Resource::Fsize, request.memory_bytes),
        (Resource::As, request.memory_bytes.saturating_add(RESERVED_BYTES)),
        // Writable memory, used or not; what is merely reserved does not count.
        (Resource::Data, request.memory_bytes),
    ];
    for (resource, limit) in limits {
        setrlimit(resource, lowered(getrlimit(resource), limit))?;
    }
    // Where the system pipes dumps to a program, it does not ask for their limit.
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    // Refused in some containers; compiling is no worse for it.
    let _ = nice(NICENESS);
    Ok(())
}

/// At most `limit`, and at most what this process was given: raising that is for the privileged.
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
