//! The one periodic loop behind every background task of a worker.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

/// The rounds of a periodic task; ends with its stop.
pub struct Rounds {
    delays: Delays,
    stop: CancellationToken,
}

/// The delays before each round.
struct Delays {
    period: Duration,
    is_first: bool,
}

/// Starts a periodic task.
///
/// The first round comes anywhere within the period, so that workers that start together spread out and a worker with a short life
/// still reaches a round. Later rounds are a period apart, within 20 %.
pub fn every(period: Duration, stop: &CancellationToken) -> Rounds {
    Rounds { delays: Delays { period, is_first: true }, stop: stop.clone() }
}

/// Varies a wait by up to 20 %, so that workers do not act in step.
pub fn jittered(wait: Duration) -> Duration {
    wait.mul_f64(rand::random_range(0.8..1.2))
}

impl Rounds {
    /// Waits for the next round. Returns whether there is one.
    ///
    /// Dropping this future, as `select!` does, starts the delay again at the next call.
    pub async fn next(&mut self) -> bool {
        let delay = self.delays.next();
        self.stop.run_until_cancelled(tokio::time::sleep(delay)).await.is_some()
    }

    /// Runs one round that the stop may cut short.
    pub async fn run(&self, round: impl Future<Output = ()>) {
        let _cut_short = self.stop.run_until_cancelled(round).await;
    }
}

impl Delays {
    fn next(&mut self) -> Duration {
        if std::mem::take(&mut self.is_first) {
            return self.period.mul_f64(rand::random_range(0.0..1.0));
        }
        jittered(self.period)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_round_is_within_the_period_and_others_a_period_apart() {
        let period = Duration::from_secs(5);
        let fresh = || Delays { period, is_first: true };
        let firsts: Vec<_> = (0..1000).map(|_| fresh().next()).collect();
        let (soon, late) = (firsts.iter().min(), firsts.iter().max());
        assert!(
            soon < Some(&(period / 4)) && late > Some(&(period * 3 / 4)) && late < Some(&period),
            "{soon:?} {late:?}"
        );
        let mut delays = fresh();
        delays.next();
        assert!((0..1000).all(|_| (period * 4 / 5..period * 6 / 5).contains(&delays.next())));
    }
}
