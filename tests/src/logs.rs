//! Collects everything that is logged, spans and fields included, for tests that look for what must not be there.

use std::io::{self, Write};
use std::sync::Arc;

use parking_lot::Mutex;
use tracing::level_filters::LevelFilter;
use tracing::subscriber::DefaultGuard;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::FmtSpan;

/// A growing log. Clones are the same log.
#[derive(Debug, Clone, Default)]
pub struct Logs {
    bytes: Arc<Mutex<Vec<u8>>>,
}

impl Logs {
    /// An empty log.
    pub fn new() -> Self {
        Self::default()
    }

    /// A subscriber that writes everything here, at every level, with each span's beginning and end; for `with_subscriber`.
    pub fn subscriber(&self) -> impl tracing::Subscriber + Send + Sync + use<> {
        tracing_subscriber::fmt()
            .with_max_level(LevelFilter::TRACE)
            .with_ansi(false)
            .with_span_events(FmtSpan::FULL)
            .with_writer(self.clone())
            .finish()
    }

    /// Collects from the current thread, until the guard is dropped.
    #[must_use]
    pub fn collect_here(&self) -> DefaultGuard {
        tracing::subscriber::set_default(self.subscriber())
    }

    /// Collects from the whole process, for good.
    ///
    /// # Panics
    /// The second time in one process.
    pub fn collect_everywhere(&self) {
        tracing::subscriber::set_global_default(self.subscriber()).expect("the process has one global subscriber");
    }

    /// What was logged so far.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes.lock()).into_owned()
    }

    /// The lines that contain `needle`.
    pub fn lines_with(&self, needle: &str) -> Vec<String> {
        self.text().lines().filter(|line| line.contains(needle)).map(str::to_owned).collect()
    }
}

impl Write for Logs {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Logs {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_spans_and_the_lowest_level_are_collected() {
        let logs = Logs::new();
        let guard = logs.collect_here();
        let span = tracing::trace_span!("job", secret = "marker-1");
        span.in_scope(|| tracing::trace!(text = "marker-2", "said"));
        drop(guard);
        tracing::error!("marker-3");
        assert!(logs.text().contains("marker-1") && logs.text().contains("marker-2"), "{}", logs.text());
        assert!(logs.lines_with("marker-3").is_empty());
    }
}
