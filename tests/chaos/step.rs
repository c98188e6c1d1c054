//! One thing that is done to the stage: when, for how long, and what.

use std::{fmt, time::Duration};

use serde::ser::{Serialize, SerializeStruct, Serializer};

use crate::{
    faults::{bucket::BucketFault, database::DatabaseFault, model::ModelFault},
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
    Database(DatabaseFault),
    Bucket(BucketFault),
    Model(ModelFault),
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
            Self::Restart(slot, Drain::Whole) => write!(f, "restart w{slot}, with time to drain"),
            Self::Restart(slot, Drain::GiveBack) => write!(f, "restart w{slot}, with time to give back"),
            Self::Restart(slot, Drain::Cut) => write!(f, "restart w{slot}, with no time"),
            Self::KillOld(slot) => write!(f, "SIGKILL worker {slot} of the other program"),
            Self::Database(fault) => write!(f, "database: {fault}"),
            Self::Bucket(fault) => write!(f, "bucket: {fault}"),
            Self::Model(fault) => write!(f, "model: {fault}"),
        }
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
