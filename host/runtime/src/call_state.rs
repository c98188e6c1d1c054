//! The host's side of one call.

use crate::{
    bindings::{log, types},
    call::LogLine,
    limits::Limits,
    log_capture::LogCapture,
    meter::Meter,
};

/// The data of one call's store.
pub(crate) struct CallState {
    pub(crate) meter: Meter,
    pub(crate) log: LogCapture,
    limits: Limits,
    #[cfg(feature = "wasi")]
    pub(crate) wasi: crate::wasi::given::WasiGiven,
}

impl CallState {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            meter: Meter::new(limits),
            log: LogCapture::default(),
            limits: limits.clone(),
            #[cfg(feature = "wasi")]
            wasi: crate::wasi::given::WasiGiven::default(),
        }
    }
}

impl types::Host for &mut CallState {}

impl log::Host for &mut CallState {
    fn room(&mut self) -> Option<usize> {
        self.log.has_room(self.limits.log_lines).then_some(self.limits.log_line_bytes)
    }

    fn keep(&mut self, line: LogLine) {
        self.log.lines.push(line);
    }
}
