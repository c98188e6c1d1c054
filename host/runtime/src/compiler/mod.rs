//! Compiles guests, in a child process or in this one.
//!
//! Both ways run `work::compile` on the same request and leave an image in the cache folder. One guest is compiled at a time in a process, however many wait.

mod child;
mod work;

use std::{io, path::Path, process::Stdio};

use assay_core::digest::Digest;
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    process::{Child, Command},
    sync::Semaphore,
};

use crate::{limits::Limits, load_error::LoadError, options::Compiler};
pub use child::child_main;
use work::{Reply, compile};
pub(crate) use work::{Request, Source};

/// Longest answer of a child, in bytes; far more than an honest one needs.
const MAX_REPLY_BYTES: u64 = 4 << 10;

/// Compiling takes all cores and much memory; one guest at a time leaves the jobs their share.
static ONE_AT_A_TIME: Semaphore = Semaphore::const_new(1);

/// Compiles `bytes` into the file that `request` names in `folder`; gives the compatibility of the engine that did.
///
/// # Errors
/// [`LoadError::CompileTimeout`], [`LoadError::CompilerDied`], [`LoadError::CompileRefused`], [`LoadError::TooManyResources`], [`LoadError::CompilerStart`], [`LoadError::SchemaRefused`], [`LoadError::Cache`].
pub(crate) async fn run(
    compiler: &Compiler,
    request: Request,
    bytes: &[u8],
    folder: &Path,
    limits: &Limits,
) -> Result<Digest, LoadError> {
    let _turn = ONE_AT_A_TIME.acquire().await.expect("the semaphore is never closed");
    match compiler {
        Compiler::InProcess => {
            let (bytes, folder) = (bytes.to_vec(), folder.to_owned());
            let reply = tokio::task::spawn_blocking(move || compile(&request, &bytes, &folder)).await;
            verdict(reply.map_err(|_| LoadError::CompilerDied)?)
        }
        Compiler::Child { program, args } => {
            let (held_by_child, held_here) = io::pipe().map_err(|error| LoadError::CompilerStart(error.kind()))?;
            let child = Command::new(program)
                .args(args)
                // A group of its own, so that it ends with all that it started.
                .process_group(0)
                // The child handles untrusted bytes: it gets none of this process's secrets.
                .env_clear()
                .current_dir(folder)
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                // What it says is dropped. It listens here instead: the pipe ends when this process does, however that happens, and the child with it.
                .stderr(held_by_child)
                .kill_on_drop(true)
                .spawn()
                .map_err(|error| LoadError::CompilerStart(error.kind()))?;
            // Dropping the conversation drops the child and its group, which kills them.
            let answered = tokio::time::timeout(limits.compile, converse(child, &request, bytes)).await;
            drop(held_here);
            match answered {
                Err(_) => Err(LoadError::CompileTimeout { seconds: limits.compile.as_secs() }),
                Ok(Err(_)) => Err(LoadError::CompilerDied),
                Ok(Ok(reply)) => verdict(reply),
            }
        }
    }
}

/// Hands the request over and reads the answer. A child that dies early breaks the pipe; what it said before counts. A child that says too much is not listened to any longer.
async fn converse(mut child: Child, request: &Request, bytes: &[u8]) -> io::Result<Reply> {
    let group = Group::of(&child);
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
    let mut limited = stdout.take(MAX_REPLY_BYTES);
    {
        let read = limited.read_to_end(&mut answer);
        tokio::pin!(hand_over, read);
        tokio::select! {
            // Whatever else is wrong shows in the answer.
            _ = &mut hand_over => read.await?,
            read = &mut read => read?,
        };
    }
    // It has said all that it will; nothing of it goes on, and its id is still its own because nobody has waited for it.
    drop(group);
    child.wait().await?;
    Ok(serde_json::from_slice(&answer)?)
}

/// The processes that a child started, itself among them. Dropping it kills them.
struct Group(Option<Pid>);

impl Group {
    fn of(child: &Child) -> Self {
        Self(child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(leader) = self.0 {
            // Gone already is as good.
            let _ = kill_process_group(leader, Signal::KILL);
        }
    }
}

fn verdict(reply: Reply) -> Result<Digest, LoadError> {
    match reply {
        Reply::Done { compatibility } => Ok(compatibility),
        Reply::NoEngine => Err(LoadError::CompilerDied),
        Reply::Refused => Err(LoadError::CompileRefused),
        Reply::DoesNotFit => Err(LoadError::TooManyResources),
        Reply::SchemaRefused => Err(LoadError::SchemaRefused),
        Reply::NotWritten => Err(LoadError::Cache(io::ErrorKind::Other)),
    }
}
