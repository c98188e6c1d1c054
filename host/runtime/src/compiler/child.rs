//! The child's side: read a request, bind itself, compile, answer, end.

use std::io::{self, BufRead, Read, Write};
use std::path::Path;
use std::process::ExitCode;

use rustix::process::{Resource, Rlimit, nice, setrlimit};

use super::work::{Request, compile};

/// Longest header of a request, in bytes: the schema and little else.
const MAX_HEADER_BYTES: u64 = 16 << 20;
/// Address space beyond the memory limit: specializing runs a guest, whose memory reserves 4 GiB that it never fills, with guards.
const RESERVED_BYTES: u64 = 12 << 30;
/// How far the child steps back behind the jobs of the machine.
const NICENESS: i32 = 5;

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

/// Limits this process for good: the hard limits go down with the soft ones.
fn bind(request: &Request) -> io::Result<()> {
    let limits = [
        // Writable memory, used or not; what is merely reserved does not count.
        (Resource::Data, request.memory_bytes),
        (Resource::As, request.memory_bytes.saturating_add(RESERVED_BYTES)),
        (Resource::Cpu, request.cpu_seconds),
        // No dump of a guest's bytes.
        (Resource::Core, 0),
    ];
    for (resource, limit) in limits {
        setrlimit(resource, Rlimit { current: Some(limit), maximum: Some(limit) })?;
    }
    // Refused in some containers; compiling is no worse for it.
    let _ = nice(NICENESS);
    Ok(())
}
