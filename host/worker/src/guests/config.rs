//! Where guests come from, and their limits.

use std::path::PathBuf;

use assay_conversation::JobLimits;
use assay_core::env::Variables;
use assay_runtime::{Limits, Wasi};

/// The value of `GUEST_CACHE_DIR` without a folder.
const NO_CACHE: &str = "none";

/// Where guests come from.
#[derive(Clone, Debug)]
pub struct GuestsConfig {
    /// The folder of releases, one `*.wasm` each.
    pub directory: PathBuf,
    /// The prompt version for jobs that name none.
    pub default_version: Option<String>,
    /// The folder of compiled guests. `None`: they stay in the process.
    pub cache: Option<PathBuf>,
    /// Threads for guest calls; max(4, cores) by default.
    pub threads: Option<usize>,
    /// Whether guests that import WASI are accepted.
    pub wasi: Wasi,
    pub limits: GuestsLimits,
}

/// Limits of a job's guest. docs/guests/reference.md explains the defaults.
#[derive(Clone, Debug, Default)]
pub struct GuestsLimits {
    /// Enforced by the sandbox on each call.
    pub sandbox: Limits,
    /// Enforced by the pipeline on a job.
    pub job: JobLimits,
}

impl GuestsConfig {
    /// Declares and reads the variables of the guests.
    pub fn load(vars: &mut Variables) -> Self {
        let directory = directory(vars);
        Self { directory, ..Self::load_sandbox(vars) }
    }

    /// Declares and reads the same variables without the folder of guests.
    pub fn load_sandbox(vars: &mut Variables) -> Self {
        let default_version = vars.optional(
            "REPORT_PROMPT_VERSION",
            "prompt version of jobs that name none; the only guest where there is one",
        );
        let cache = vars.optional(
            "GUEST_CACHE_DIR",
            "folder of compiled guests, private or root's, or `none` to keep them in memory; by default assay/guests in the user's \
             cache folder",
        );
        let threads =
            vars.number("GUEST_THREADS", 0, 0..=1024, "threads for guest calls; 0 is the greater of 4 and the cores");
        let wasi = wasi(vars, DENY_ALL);
        let sandbox = Limits::default();
        let job = JobLimits::default();
        let sandbox = Limits {
            call: vars.millis("GUEST_CALL_TIMEOUT_MS", sandbox.call, "time for one guest call, ms"),
            memory_bytes: vars.number(
                "GUEST_MEMORY_BYTES",
                sandbox.memory_bytes,
                1 << 20..=1 << 30,
                "memory of one guest call",
            ),
            output_bytes: vars.number(
                "GUEST_OUTPUT_BYTES",
                sandbox.output_bytes,
                1 << 10..=1 << 30,
                "what one guest call may return",
            ),
            table_elements: vars.number(
                "GUEST_TABLE_ELEMENTS",
                sandbox.table_elements,
                1..=1_000_000,
                "elements of a guest's tables",
            ),
            stack_bytes: vars.number(
                "GUEST_STACK_BYTES",
                sandbox.stack_bytes,
                64 << 10..=1 << 20,
                "stack of one guest call",
            ),
            log_lines: vars.number("GUEST_LOG_LINES", sandbox.log_lines, 0..=10_000, "log lines kept per guest call"),
            log_line_bytes: vars.number(
                "GUEST_LOG_LINE_BYTES",
                sandbox.log_line_bytes,
                1..=1 << 20,
                "bytes kept of a guest's log line",
            ),
            component_bytes: vars.number(
                "GUEST_COMPONENT_BYTES",
                sandbox.component_bytes,
                1 << 10..=1 << 30,
                "size of a guest",
            ),
            ..sandbox
        };
        let job = JobLimits {
            rounds: vars.number("GUEST_MAX_ROUNDS", job.rounds, 1..=100, "rounds of questions per job"),
            prompts: vars.number("GUEST_MAX_PROMPTS", job.prompts, 1..=10_000, "questions per job"),
            concurrent_prompts: vars.number(
                "GUEST_CONCURRENT_PROMPTS",
                job.concurrent_prompts,
                1..=1000,
                "questions of one job with the model at once",
            ),
            prompt_bytes: vars.number("PROMPT_MAX_BYTES", job.prompt_bytes, 1..=1 << 30, "size of one question"),
            report_bytes: vars.number("REPORT_MAX_BYTES", job.report_bytes, 1..=1 << 30, "size of a report"),
            // The verifier reads no deeper, so more would be refused as no JSON.
            report_depth: vars.number("REPORT_MAX_DEPTH", job.report_depth, 1..=128, "nesting of a report"),
        };
        Self {
            directory: PathBuf::new(),
            default_version,
            cache: match cache.as_deref() {
                Some(NO_CACHE) => None,
                Some(folder) => Some(PathBuf::from(folder)),
                None => Some(default_cache()),
            },
            threads: (threads > 0).then_some(threads),
            wasi,
            limits: GuestsLimits { sandbox, job },
        }
    }
}

/// Checks only that the folder exists. Its files are read when guests are loaded.
fn directory(vars: &mut Variables) -> PathBuf {
    let text = vars.required("GUEST_DIR", "the folder of guests, one .wasm file per release");
    let directory = PathBuf::from(&text);
    if !text.is_empty() && !directory.is_dir() {
        vars.invalid("GUEST_DIR", &text, "expected a folder of .wasm files");
    }
    directory
}

/// The mode that accepts guests with WASI imports, if this binary has it.
#[cfg(feature = "wasi")]
const DENY_ALL: Option<Wasi> = Some(Wasi::DenyAll);
#[cfg(not(feature = "wasi"))]
const DENY_ALL: Option<Wasi> = None;

fn wasi(vars: &mut Variables, deny_all: Option<Wasi>) -> Wasi {
    let help = "guests that import WASI: `off` refuses them, `deny-all` lets them in and gives them nothing (needs a \
                binary built with the feature `wasi`)";
    let text = vars.text("GUEST_WASI", "off", help);
    match (text.trim(), deny_all) {
        ("off", _) => return Wasi::Off,
        ("deny-all", Some(deny_all)) => return deny_all,
        ("deny-all", None) => vars.invalid(
            "GUEST_WASI",
            "deny-all",
            "this binary does not support it; set off, or build with \
             `cargo build --release --package assay --features wasi`",
        ),
        (other, _) => vars.invalid("GUEST_WASI", other, "expected off or deny-all"),
    }
    Wasi::Off
}

/// Returns `assay/guests` in the user's cache folder, or in the temporary folder if the user has no home.
#[expect(clippy::disallowed_methods, reason = "the default of a variable is a folder that the system names")]
fn default_cache() -> PathBuf {
    std::env::home_dir().map_or_else(std::env::temp_dir, |home| home.join(".cache")).join("assay/guests")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(directory: &str) -> Vec<String> {
        let mut vars = Variables::from_map([("GUEST_DIR".to_owned(), directory.to_owned())].into());
        GuestsConfig::load(&mut vars);
        vars.finish().err().unwrap_or_default().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn wasi_is_off_by_default_and_a_binary_without_it_names_the_fix() {
        let load = |value: &str, deny_all| {
            let mut vars = Variables::from_map([("GUEST_WASI".to_owned(), value.to_owned())].into());
            let wasi = wasi(&mut vars, deny_all);
            (wasi, vars.finish().err().unwrap_or_default().iter().map(ToString::to_string).collect::<Vec<_>>())
        };
        for deny_all in [None, DENY_ALL] {
            assert_eq!(load("", deny_all), (Wasi::Off, vec![]));
            assert_eq!(load("off", deny_all), (Wasi::Off, vec![]));
            let (wasi, faults) = load("deny", deny_all);
            assert_eq!(
                (wasi, faults),
                (Wasi::Off, vec!["invalid GUEST_WASI `deny`: expected off or deny-all".to_owned()])
            );
        }
        let (wasi, faults) = load("deny-all", None);
        assert_eq!((wasi, faults.len()), (Wasi::Off, 1));
        assert!(faults[0].contains("--features wasi"), "{faults:?}");
        if let Some(deny_all) = DENY_ALL {
            assert_eq!(load("deny-all", Some(deny_all)), (deny_all, vec![]));
        }
    }

    #[test]
    fn a_missing_folder_of_guests_is_a_fault_of_the_configuration() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("guest.wasm");
        std::fs::write(&file, b"").unwrap();
        assert_eq!(faults(&folder.path().display().to_string()), [""; 0]);
        let expected = |path: &str| format!("invalid GUEST_DIR `{path}`: expected a folder of .wasm files");
        let file = file.display().to_string();
        assert_eq!(faults(&file), [expected(&file)]);
        assert_eq!(faults("/nowhere"), [expected("/nowhere")]);
        assert_eq!(faults("").len(), 1, "absent is one fault, not two");
    }
}
