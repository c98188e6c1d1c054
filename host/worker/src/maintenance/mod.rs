//! What any worker does for all of them: taking back jobs of dead workers, deleting what is old, halting canaries, sweeping the bucket.

pub mod canary_guard;
pub mod orphans;
pub mod reaper;
pub mod retention;
