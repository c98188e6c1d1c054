//! Runs of every length, for the tests of plans.

use std::time::Duration;

use crate::times::Times;

pub const RUNS: [(Duration, Times); 3] = [
    (Duration::from_secs(15), Times::SHORT),
    (Duration::from_secs(60), Times::LONG),
    (Duration::from_secs(600), Times::LONG),
];
