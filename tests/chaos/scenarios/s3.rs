//! `s3`: faults of the bucket.

use std::time::Duration;

use rand::rngs::StdRng;

use crate::plan::Step;
use crate::times::Times;

/// Its plan.
pub fn steps(_: &mut StdRng, _: Duration, _: &Times) -> Vec<Step> {
    Vec::new()
}
