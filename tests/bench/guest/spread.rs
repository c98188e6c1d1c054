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

    /// How many there are.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// The time that this share of all is not above, in microseconds. 0.5 is the median.
    ///
    /// # Panics
    /// Where nothing was measured.
    pub fn us(&self, share: f64) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        let at = ((sorted.len() as f64 * share) as usize).min(sorted.len() - 1);
        sorted[at].as_nanos() as f64 / 1e3
    }

    /// The median in microseconds.
    pub fn p50(&self) -> f64 {
        self.us(0.5)
    }

    /// What one in a hundred is above, in microseconds.
    pub fn p99(&self) -> f64 {
        self.us(0.99)
    }
}

impl Extend<Duration> for Spread {
    fn extend<T: IntoIterator<Item = Duration>>(&mut self, times: T) {
        self.0.extend(times);
    }
}
