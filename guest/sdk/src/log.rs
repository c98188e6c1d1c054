//! Lines for the run folder. The host limits them and may drop them, so no decision may depend on them.

/// Ranks a line by its importance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// Marks details for the guest's author.
    Debug,
    /// Marks facts worth reading.
    Info,
    /// Marks something that was corrected or left out.
    Warn,
    /// Marks the reason why the call is about to fail.
    Error,
}

/// Sends one line to the host; natively it does nothing.
pub fn emit(level: Level, message: &str) {
    #[cfg(target_arch = "wasm32")]
    {
        use crate::bindings::assay::report::log as host;
        let level = match level {
            Level::Debug => host::Level::Debug,
            Level::Info => host::Level::Info,
            Level::Warn => host::Level::Warn,
            Level::Error => host::Level::Error,
        };
        host::emit(level, message);
    }
    #[cfg(not(target_arch = "wasm32"))]
    let _ = (level, message);
}
