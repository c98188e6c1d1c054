//! Many times of one thing.

use std::time::Duration;

/// What was measured so far.
#[derive(Debug, Default, Clone)]
pub struct Spread(Vec<Duration>);

impl Spread {
    /// Adds one.
    pub fn add(&mut self, time: Duration) {
        self.0.push(time);
    }

    /// Returns how many there are.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// Returns the time that this share of all is not above, in microseconds. 0.5 is the median.
    ///
    /// # Panics
    /// If nothing was measured.
    pub fn us(&self, share: f64) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        let at = ((sorted.len() as f64 * share) as usize).min(sorted.len() - 1);
        sorted[at].as_nanos() as f64 / 1e3
    }

    /// Returns the median in microseconds.
    pub fn p50(&self) -> f64 {
        self.us(0.5)
    }

    /// Returns what one in a hundred is above, in microseconds.
    pub fn p99(&self) -> f64 {
        self.us(0.99)
    }
}

impl Extend<Duration> for Spread {
    fn extend<T: IntoIterator<Item = Duration>>(&mut self, times: T) {
        self.0.extend(times);
    }
}
