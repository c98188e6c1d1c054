//! Lines for the run folder. The host bounds and may drop them; nothing here may decide anything.

/// How much a line matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// Details for the guest's author.
    Debug,
    /// Worth reading.
    Info,
    /// Something was put right or left out.
    Warn,
    /// The call is about to fail.
    Error,
}

/// Sends one line to the host; natively it goes nowhere.
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
