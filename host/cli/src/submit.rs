//! `assay submit`.

use std::{
    fs::File,
    path::{Path, PathBuf},
    process::ExitCode,
};

use assay_core::{
    env::Variables,
    ids::{FileId, UserId},
};
use assay_db::{Database, DatabaseConfig, files::FileStatus};
use assay_guest_build::read_file;
use assay_objects::{Objects, ObjectsConfig};
use assay_worker::{
    pipeline::PipelineConfig,
    submit::{Document, DocumentKind, submit as submit_document},
};
use serde::Serialize;
use uuid::Uuid;

use crate::{database, exit::Failure, output, terminal, wait};

/// The owner of files without `--user`.
const DEFAULT_USER: Uuid = Uuid::from_u128(1);

/// Upload transcripts and enqueue their jobs.
///
/// All files are checked before the first upload. If a file cannot be enqueued, its upload is deleted. With several files, a
/// failure does not stop the others, and the exit code is 1.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  assay submit call.vtt                              prints the file's id
  assay submit calls/*.txt --wait                    waits; exits 0 only if every file succeeded
  assay submit call.vtt --prompt-version meeting-v2 --json
  assay report \"$(assay submit call.vtt --wait --json | jq -r '.[0].file_id')\"")]
pub struct Arguments {
    /// Transcripts, .txt or .vtt
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Owner of the files
    #[arg(long, value_name = "UUID", default_value_t = DEFAULT_USER)]
    user: Uuid,
    /// Prompt version to run [default: the default of the worker]
    #[arg(long, value_name = "V")]
    prompt_version: Option<String>,
    /// Wait until every file has succeeded or failed
    #[arg(long)]
    wait: bool,
    /// Print one JSON array, in the order of the files
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Serialize)]
struct Submitted {
    path: String,
    file_id: Option<Uuid>,
    job_id: Option<Uuid>,
    /// Why the file was not submitted.
    error: Option<String>,
    /// With `--wait`.
    status: Option<FileStatus>,
}

struct Input<'a> {
    path: &'a Path,
    filename: String,
    kind: DocumentKind,
    /// Bytes that a worker takes.
    limit: u64,
}

pub async fn run(arguments: Arguments, mut vars: Variables) -> Result<ExitCode, Failure> {
    let database = DatabaseConfig::load(&mut vars);
    let objects = ObjectsConfig::load(&mut vars);
    let limit = PipelineConfig::load(&mut vars).transcript_bytes as u64;
    vars.finish()?;

    let (inputs, faults) = examine(&arguments.files, limit);
    if !faults.is_empty() {
        for fault in faults {
            terminal::error(fault);
        }
        terminal::note("nothing was submitted");
        return Ok(ExitCode::FAILURE);
    }

    let database = database::open(database).await?;
    let objects = Objects::new(&objects);
    let mut submitted = submit_all(&objects, &database, &inputs, &arguments).await?;
    if arguments.wait {
        let files: Vec<_> = submitted.iter().filter_map(|one| one.file_id.map(FileId)).collect();
        let mut ended = wait::until_terminal(&database, &files).await?.into_iter();
        for one in submitted.iter_mut().filter(|one| one.file_id.is_some()) {
            one.status = ended.next();
        }
    }
    if arguments.json {
        output::print_json(&submitted)?;
    } else if arguments.wait {
        output::print(&render(&submitted))?;
    }
    let good = |one: &Submitted| match &one.status {
        Some(state) => state.status == "succeeded",
        None => one.error.is_none() && !arguments.wait,
    };
    Ok(ExitCode::from(u8::from(!submitted.iter().all(good))))
}

/// Submits file by file, and prints each result unless it is printed at the end.
async fn submit_all(
    objects: &Objects,
    database: &Database,
    inputs: &[Input<'_>],
    arguments: &Arguments,
) -> std::io::Result<Vec<Submitted>> {
    let mut submitted = Vec::with_capacity(inputs.len());
    for input in inputs {
        let one = submit(objects, database, input, arguments).await;
        if let Some(error) = &one.error {
            terminal::error(format_args!("{}: {error}", one.path));
        } else if !arguments.json && !arguments.wait {
            let id = one.file_id.unwrap_or_default();
            output::print(&format!("{id}  {}\n", output::plain(&one.path)))?;
        }
        submitted.push(one);
    }
    Ok(submitted)
}

/// Splits the paths into files that can be submitted, and reasons against the others.
fn examine(paths: &[PathBuf], limit: u64) -> (Vec<Input<'_>>, Vec<String>) {
    let mut inputs = Vec::new();
    let mut faults = Vec::new();
    for path in paths {
        match check_path(path, limit) {
            Ok(input) => inputs.push(input),
            Err(fault) => {
                faults.push(format!("{}: {fault}", path.display()));
            }
        }
    }
    (inputs, faults)
}

/// Does not read the content: only the file that is being uploaded is held in memory.
fn check_path(path: &Path, limit: u64) -> Result<Input<'_>, String> {
    if path.as_os_str().is_empty() {
        return Err("the path is empty".to_owned());
    }
    let unreadable = |error: std::io::Error| format!("cannot be read: {error}");
    // Before opening: opening a pipe waits for its writer.
    let metadata = path.metadata().map_err(unreadable)?;
    if metadata.is_dir() {
        return Err("is a folder: name the files in it".to_owned());
    }
    if !metadata.is_file() {
        return Err("is not a regular file".to_owned());
    }
    if metadata.len() > limit {
        return Err(format!("has {} bytes, more than {limit} (TRANSCRIPT_MAX_BYTES)", metadata.len()));
    }
    File::open(path).map_err(unreadable)?;
    let filename = path.file_name().unwrap_or_default().to_string_lossy();
    let kind = DocumentKind::of(&filename).ok_or("is not a transcript: expected a .txt or .vtt file")?;
    Ok(Input { path, filename: filename.into_owned(), kind, limit })
}

async fn submit(objects: &Objects, database: &Database, input: &Input<'_>, arguments: &Arguments) -> Submitted {
    let result = match read_file(input.path, input.limit) {
        Err(error) => Err(format!("cannot be read: {error}")),
        Ok(bytes) => {
            let document = Document {
                user: UserId(arguments.user),
                filename: &input.filename,
                kind: input.kind,
                bytes: bytes.into(),
                prompt_version: arguments.prompt_version.as_deref(),
            };
            submit_document(objects, database, document)
                .await
                .map_err(|error| format!("{}: {}", error.code, error.chain()))
        }
    };
    let path = input.path.to_string_lossy().into_owned();
    let (file_id, job_id, error) = match result {
        Ok((file, job)) => (Some(file.0), Some(job.0), None),
        Err(error) => (None, None, Some(error)),
    };
    Submitted { path, file_id, job_id, error, status: None }
}

/// Returns the table of `--wait`.
fn render(submitted: &[Submitted]) -> String {
    let header = ["FILE", "STATUS", "PROMPT VERSION", "ATTEMPTS", "SECONDS", "CODE", "FILE ID"];
    let row = |one: &Submitted| {
        let id = one.file_id.map(|id| id.to_string()).unwrap_or_default();
        let Some(state) = &one.status else {
            let mut row = vec![String::new(); header.len()];
            row[0].clone_from(&one.path);
            row[1] = "not submitted".to_owned();
            return row;
        };
        vec![
            one.path.clone(),
            state.status.clone(),
            state.prompt_version.clone().unwrap_or_default(),
            state.attempts.to_string(),
            state.seconds.map(|seconds| format!("{seconds:.1}")).unwrap_or_default(),
            state.error_code.clone().unwrap_or_default(),
            id,
        ]
    };
    output::table(&header, submitted.iter().map(row).collect(), &[3, 4])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_path_that_cannot_be_submitted_has_its_reason() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        for name in ["empty.txt", "Call.VTT", "notes.pdf"] {
            std::fs::write(path(name), "").unwrap();
        }
        std::fs::create_dir(path("folder.txt")).unwrap();
        std::fs::write(path("full.txt"), [b'x'; 10]).unwrap();
        std::fs::write(path("large.txt"), [b'x'; 11]).unwrap();
        assert!(std::process::Command::new("mkfifo").arg(path("pipe.txt")).status().unwrap().success());
        let paths = [
            path("empty.txt"),
            path("notes.pdf"),
            path("Call.VTT"),
            path("folder.txt"),
            path("missing.txt"),
            path("full.txt"),
            path("large.txt"),
            path("pipe.txt"),
            PathBuf::from("/dev/zero"),
            PathBuf::new(),
        ];
        let (inputs, faults) = examine(&paths, 10);
        let good: Vec<_> = inputs.iter().map(|input| input.filename.as_str()).collect();
        assert_eq!(good, ["empty.txt", "Call.VTT", "full.txt"]);
        let reasons: Vec<_> =
            faults.iter().map(|fault| fault.replace(&*folder.path().to_string_lossy(), "DIR")).collect();
        insta::assert_snapshot!(reasons.join("\n"), @r"
        DIR/notes.pdf: is not a transcript: expected a .txt or .vtt file
        DIR/folder.txt: is a folder: name the files in it
        DIR/missing.txt: cannot be read: No such file or directory (os error 2)
        DIR/large.txt: has 11 bytes, more than 10 (TRANSCRIPT_MAX_BYTES)
        DIR/pipe.txt: is not a regular file
        /dev/zero: is not a regular file
        : the path is empty
        ");
    }
}
