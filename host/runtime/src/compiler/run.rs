//! The parent's side: one compile at a time per process.

use std::{io, path::Path, process::Stdio};

use assay_core::digest::Digest;
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    process::{Child, Command},
    sync::Semaphore,
};

use crate::{
    compiler::work::{Reply, Request, compile},
    limits::Limits,
    load_error::LoadError,
    options::Compiler,
};

/// Far more than a correct answer has, without an image.
const MAX_REPLY_BYTES: u64 = 4 << 10;

/// Compiling takes all cores and much memory: one guest at a time leaves the jobs their share.
static ONE_AT_A_TIME: Semaphore = Semaphore::const_new(1);

/// What a compile left: a file under the requested name, or the image itself.
pub(crate) struct Compiled {
    /// Digest of the engine that compiled it.
    pub(crate) compatibility: Digest,
    /// Empty where the request names a file.
    pub(crate) image: Vec<u8>,
}

/// Compiles `bytes` into the file that `request` names in `folder`, or into memory. Without a folder the child works in `/`, where it
/// writes nothing.
///
/// # Errors
/// [`LoadError::CompileTimeout`], [`LoadError::CompilerDied`], [`LoadError::CompileRefused`], [`LoadError::TooManyResources`], [`LoadError::CompilerStart`], [`LoadError::SchemaRefused`], [`LoadError::Cache`].
pub(crate) async fn run(
    compiler: &Compiler,
    request: Request,
    bytes: &[u8],
    folder: Option<&Path>,
    limits: &Limits,
) -> Result<Compiled, LoadError> {
    let folder = folder.unwrap_or(Path::new("/"));
    let _turn = ONE_AT_A_TIME.acquire().await.expect("the semaphore is never closed");
    match compiler {
        Compiler::InProcess => {
            let (bytes, folder) = (bytes.to_vec(), folder.to_owned());
            let reply = tokio::task::spawn_blocking(move || compile(&request, &bytes, &folder)).await;
            let (reply, image) = reply.map_err(|_| LoadError::CompilerDied)?;
            compiled(reply, image)
        }
        Compiler::Child { program, args } => {
            let (held_by_child, held_here) = io::pipe().map_err(|error| LoadError::CompilerStart(error.kind()))?;
            let child = Command::new(program)
                .args(args)
                // Its own group: it is killed with all that it started.
                .process_group(0)
                // The child handles untrusted bytes: it gets none of this process's secrets.
                .env_clear()
                .current_dir(folder)
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                // The child reads here instead of writing: the pipe ends with this process, and the child with the pipe.
                .stderr(held_by_child)
                .kill_on_drop(true)
                .spawn()
                .map_err(|error| LoadError::CompilerStart(error.kind()))?;
            // Dropping the future drops the child and its group, which kills them.
            let answered = tokio::time::timeout(limits.compile, exchange(child, &request, bytes)).await;
            drop(held_here);
            match answered {
                Err(_) => Err(LoadError::CompileTimeout { seconds: limits.compile.as_secs() }),
                Ok(Err(_)) => Err(LoadError::CompilerDied),
                Ok(Ok((reply, image))) => compiled(reply, image),
            }
        }
    }
}

/// Sends the request and reads the answer, up to `MAX_REPLY_BYTES` and what an image may have. A child that dies early breaks the
/// pipe; its answer counts.
async fn exchange(mut child: Child, request: &Request, bytes: &[u8]) -> io::Result<(Reply, Vec<u8>)> {
    let group = ProcessGroup::of(&child);
    let (Some(mut stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
        return Err(io::ErrorKind::BrokenPipe.into());
    };
    let mut header = serde_json::to_vec(request)?;
    header.push(b'\n');
    let hand_over = async {
        stdin.write_all(&header).await?;
        stdin.write_all(bytes).await?;
        drop(stdin);
        io::Result::Ok(())
    };
    let mut answer = Vec::new();
    let image_bytes = if request.image.is_none() { request.memory_bytes } else { 0 };
    let mut limited = stdout.take(MAX_REPLY_BYTES.saturating_add(image_bytes));
    {
        let read = limited.read_to_end(&mut answer);
        tokio::pin!(hand_over, read);
        tokio::select! {
            // The answer shows a failed write.
            _ = &mut hand_over => read.await?,
            read = &mut read => read?,
        };
    }
    // Killed before the wait: until then its id cannot belong to another process.
    drop(group);
    child.wait().await?;
    let line = answer.iter().position(|byte| *byte == b'\n').map_or(answer.len(), |end| end + 1);
    let image = answer.split_off(line);
    Ok((serde_json::from_slice(&answer)?, image))
}

/// A child's process group. Dropping it kills all processes in it.
struct ProcessGroup(Option<Pid>);

impl ProcessGroup {
    fn of(child: &Child) -> Self {
        Self(child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw))
    }
}

impl Drop for ProcessGroup {
    fn drop(&mut self) {
        if let Some(leader) = self.0 {
            // An error means that it has ended.
            let _ = kill_process_group(leader, Signal::KILL);
        }
    }
}

fn compiled(reply: Reply, image: Vec<u8>) -> Result<Compiled, LoadError> {
    match reply {
        Reply::Done { compatibility } => Ok(Compiled { compatibility, image }),
        Reply::NoEngine => Err(LoadError::CompilerDied),
        Reply::Refused => Err(LoadError::CompileRefused),
        Reply::DoesNotFit => Err(LoadError::TooManyResources),
        Reply::SchemaRefused => Err(LoadError::SchemaRefused),
        Reply::NotWritten => Err(LoadError::Cache(io::ErrorKind::Other)),
    }
}
