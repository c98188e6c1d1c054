//! Logs: one line per event on standard error, as text or JSON.
//!
//! Only Assay's own events follow `LOG_LEVEL`. What its libraries log stays at warnings, because at finer levels some of
//! them print requests, and those contain documents.

use std::io::IsTerminal;

use assay_core::env::Variables;
use tracing_subscriber::{EnvFilter, fmt, layer::SubscriberExt, util::SubscriberInitExt};

/// Level and format of the logs.
#[derive(Clone, Debug)]
pub struct TelemetryConfig {
    /// `error`, `warn`, `info`, `debug` or `trace`.
    pub level: String,
    /// Whether lines are JSON; otherwise text.
    pub json: bool,
}

const LEVELS: [&str; 5] = ["error", "warn", "info", "debug", "trace"];

impl TelemetryConfig {
    /// Declares and reads the variables of the logs.
    pub fn load(vars: &mut Variables) -> Self {
        let level = vars.text("LOG_LEVEL", "info", "error, warn, info, debug or trace").to_lowercase();
        if !LEVELS.contains(&level.as_str()) {
            vars.invalid("LOG_LEVEL", &level, format_args!("expected one of {}", LEVELS.join(", ")));
        }
        let format = vars.text("LOG_FORMAT", "text", "text or json");
        if !["text", "json"].contains(&format.as_str()) {
            vars.invalid("LOG_FORMAT", &format, "expected text or json");
        }
        Self { level, json: format == "json" }
    }

    /// Returns the filter: Assay's events at the level, warnings of libraries.
    pub fn filter(&self) -> EnvFilter {
        let level = if LEVELS.contains(&self.level.as_str()) { self.level.as_str() } else { "info" };
        // sqlx warns about a malformed line of a password file, and quotes the line.
        EnvFilter::new(format!("warn,sqlx_postgres::options=off,assay={level},assay_runtime={level},assay_dev={level}"))
    }

    /// Starts logging to standard error, panics included. Later calls change nothing.
    pub fn start(&self) {
        std::panic::set_hook(Box::new(log_panic));
        let registry = tracing_subscriber::registry().with(self.filter());
        let lines = fmt::layer().with_writer(std::io::stderr);
        // A test or an embedding program may have started logging before.
        let _already_started = if self.json {
            registry.with(lines.json().flatten_event(true)).try_init()
        } else {
            registry.with(lines.with_ansi(std::io::stderr().is_terminal()).with_target(false)).try_init()
        };
    }
}

/// Logs where a panic happened, without its message: `unwrap` and slicing quote values, which may be content.
fn log_panic(info: &std::panic::PanicHookInfo<'_>) {
    let place = info.location().map(|at| format!("{}:{}:{}", at.file(), at.line(), at.column()));
    let thread = std::thread::current();
    tracing::error!(place = place.unwrap_or_default(), thread = thread.name().unwrap_or_default(), "panicked");
}
