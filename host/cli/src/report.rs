//! `assay report`.

use std::{io::IsTerminal, process::ExitCode};

use anyhow::{Context, anyhow};
use assay_core::{env::Variables, ids::FileId};
use assay_db::{DatabaseConfig, files::FileStatus};
use assay_objects::{Objects, ObjectsConfig};

use crate::{database, exit::Failure, output, reindent::reindent, terminal};

/// Larger than any report that a worker can be configured to write.
const MAX_BYTES: usize = 1 << 30;

/// Print the report of a file.
///
/// On a terminal it is indented. Piped or redirected, it is the stored document, byte for byte.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  assay report 0c9d…                          the report
  assay report 0c9d… | jq .next_steps
  assay report 0c9d… --raw                    what model and guest said, if the file failed")]
pub struct Arguments {
    /// The file id that `assay submit` printed
    #[arg(value_name = "FILE-ID")]
    file: FileId,
    /// Print raw_llm_output.json: what model and guest said about a file that failed
    #[arg(long)]
    raw: bool,
}

pub async fn run(arguments: Arguments, mut vars: Variables) -> Result<ExitCode, Failure> {
    let database = DatabaseConfig::load(&mut vars);
    let objects = ObjectsConfig::load(&mut vars);
    vars.finish()?;
    let state = database::open(database)
        .await?
        .file_status(arguments.file)
        .await
        .context("look up the file")?
        .ok_or_else(|| anyhow!("there is no file {}", arguments.file))?;
    let key = choose(&state, arguments.raw).map_err(|reason| anyhow!(reason))?;
    if !arguments.raw && state.status != "succeeded" {
        terminal::note(format_args!("this report is from an earlier run: the file is {} now", state.status));
    }
    let bytes = Objects::new(&objects)
        .read(&state.bucket, key, MAX_BYTES)
        .await
        .map_err(anyhow::Error::from)
        .with_context(|| format!("read {key} in bucket {}", state.bucket))?;
    match std::str::from_utf8(&bytes) {
        Ok(text) if std::io::stdout().is_terminal() => output::print(&reindent(text))?,
        _ => output::print_bytes(&bytes)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Returns the key to print, or the reason why it is missing.
fn choose(state: &FileStatus, raw: bool) -> Result<&str, String> {
    let id = state.file_id;
    if raw {
        return state.raw_output_key.as_deref().ok_or_else(|| {
            format!(
                "file {id} has no raw_llm_output.json: it is {}, and only files that failed after an answer or words of the guest have one",
                state.status
            )
        });
    }
    if state.status == "failed" && state.report_key.is_none() {
        let code = state.error_code.as_deref().unwrap_or("no code");
        let raw = state.raw_output_key.as_deref().map_or_else(
            || "neither model nor guest said anything".to_owned(),
            |key| format!("--raw prints what model and guest said: {key}"),
        );
        return Err(format!("file {id} failed: {code}; {raw}"));
    }
    state.report_key.as_deref().ok_or_else(|| format!("file {id} has no report yet: it is {}", state.status))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::render::tests::file;

    #[test]
    fn a_report_is_printed_while_its_file_runs_again_and_if_that_fails() {
        let mut state = file("succeeded");
        assert_eq!(choose(&state, false), Ok("users/1/files/2/runs/3-1/report.json"));
        for status in ["queued", "processing", "failed"] {
            state.status = status.to_owned();
            assert_eq!(choose(&state, false), Ok("users/1/files/2/runs/3-1/report.json"));
        }
    }

    #[test]
    fn a_file_without_a_report_says_why() {
        let mut reasons = Vec::new();
        let mut failed = file("failed");
        failed.report_key = None;
        reasons.push(choose(&failed, false).unwrap_err());
        failed.raw_output_key = None;
        reasons.push(choose(&failed, false).unwrap_err());
        reasons.push(choose(&failed, true).unwrap_err());
        let mut fresh = file("succeeded");
        fresh.report_key = None;
        fresh.status = "processing".to_owned();
        reasons.push(choose(&fresh, false).unwrap_err());
        insta::assert_snapshot!(reasons.join("\n"), @r"
        file 0198c0de-0000-7000-8000-000000000002 failed: schema_validation_failed; --raw prints what model and guest said: users/1/files/2/runs/3-1/raw_llm_output.json
        file 0198c0de-0000-7000-8000-000000000002 failed: schema_validation_failed; neither model nor guest said anything
        file 0198c0de-0000-7000-8000-000000000002 has no raw_llm_output.json: it is failed, and only files that failed after an answer or words of the guest have one
        file 0198c0de-0000-7000-8000-000000000002 has no report yet: it is processing
        ");
    }
}
