//! What any worker does for the whole fleet: taking back jobs of dead workers, deleting what is old, halting canaries, sweeping.

pub mod canary_guard;
pub mod every;
pub mod orphans;
pub mod reaper;
pub mod retention;
pub mod row_security;
pub mod secrets;
