//! One thing that is done to the stage: when, for how long, and what.

use std::{fmt, time::Duration};

use serde::ser::{Serialize, SerializeStruct, Serializer};

use crate::{
    faults::{bucket::BucketFault, database::DatabaseFault, failover::Failover, model::ModelFault},
    revision::Revision,
    slot::Slot,
};

/// One thing that is done to the stage.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Step {
    /// From the beginning of the load.
    pub at: Duration,
    pub lasts: Duration,
    pub action: Action,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Action {
    /// SIGKILL; a new worker takes the place at the end.
    Kill(Slot),
    /// SIGSTOP while it holds jobs; SIGCONT at the end, but not before others have its jobs.
    Stop(Slot),
    /// An end as an orchestrator makes it; a new worker takes the place at once.
    Restart(Slot, Drain),
    /// The same, and the new worker is of this revision.
    Roll(Slot, Drain, Revision),
    Database(DatabaseFault),
    Failover(Failover),
    Bucket(BucketFault),
    Model(ModelFault),
    /// The load has bad documents among the good ones, in an order that is drawn from this.
    Poison(u64),
    /// SIGKILL of a worker of the other program; a new one takes the place at the end.
    KillOld(Slot),
}

/// How much time a worker gets to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drain {
    /// SIGTERM, and all the time that it wants.
    Whole,
    /// SIGTERM twice: it gives its jobs back.
    GiveBack,
    /// SIGTERM, and SIGKILL before it can be done.
    Cut,
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kill(slot) => write!(f, "SIGKILL w{slot}"),
            Self::Stop(slot) => write!(f, "SIGSTOP w{slot}"),
            Self::Restart(slot, drain) => write!(f, "restart w{slot}, {drain}"),
            Self::Roll(slot, drain, revision) => write!(f, "roll w{slot} to {revision}, {drain}"),
            Self::KillOld(slot) => write!(f, "SIGKILL worker {slot} of the other program"),
            Self::Database(fault) => write!(f, "database: {fault}"),
            Self::Failover(fault) => write!(f, "database: {fault}"),
            Self::Bucket(fault) => write!(f, "bucket: {fault}"),
            Self::Model(fault) => write!(f, "model: {fault}"),
            Self::Poison(_) => f.write_str("bad documents among the good ones"),
        }
    }
}

impl fmt::Display for Drain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Whole => "with time to drain",
            Self::GiveBack => "with time to give back",
            Self::Cut => "with no time",
        })
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:8.3} s  {:7.3} s  {}", self.at.as_secs_f64(), self.lasts.as_secs_f64(), self.action)
    }
}

impl Serialize for Step {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut step = serializer.serialize_struct("Step", 3)?;
        step.serialize_field("at_ms", &(self.at.as_millis() as u64))?;
        step.serialize_field("lasts_ms", &(self.lasts.as_millis() as u64))?;
        step.serialize_field("action", &self.action.to_string())?;
        step.end()
    }
}
