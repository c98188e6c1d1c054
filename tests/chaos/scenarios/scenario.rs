//! The list of the scenarios, and what each is about.

use std::{fmt, time::Duration};

use clap::ValueEnum;
use rand::rngs::StdRng;

use crate::{
    evidence::Evidence,
    invariants::{handover, rescue::held_by_the_dead},
    load::{self, Mix},
    outcome::others,
    revision::Revision,
    scenarios::{
        cast::{Cast, Crowd, Load, POISONED_RATE, RATE, SHORT_RATE, WORKERS},
        deploy, failover, kill, llm, old, poisoned, postgres, s3, swarm, upgrade, zombie,
    },
    step::Step,
    times::Times,
};

/// A scenario. They share nothing, so several can run at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, ValueEnum)]
pub enum Scenario {
    /// SIGKILL a random worker every 2 s
    Kill,
    /// SIGSTOP past the lease, wait for the re-claim, SIGCONT
    Zombie,
    /// Restarts, terminated backends, refused and half-open connections, ambiguous commits
    Postgres,
    /// Connections that reach a read-only standby, as after a failover with a stale DNS answer
    Failover,
    /// Errors, resets, cut bodies, stalls, writes whose answer is lost, deletes that fail
    S3,
    /// Rate limits, errors, resets, slow, huge and odd answers
    Llm,
    /// Rolling restarts of all workers, with and without time to drain
    Deploy,
    /// Rolling forward to this revision and back to the one before, with jobs in flight
    Upgrade,
    /// The worker of another program beside Assay's, either of them killed at random
    Old,
    /// Documents on which the model fails, among others that it answers
    Poisoned,
    /// Many workers on many jobs, beside many more that wait in the future
    Swarm,
}

impl Scenario {
    /// Returns all of them.
    pub fn all() -> impl Iterator<Item = Self> {
        Self::value_variants().iter().copied()
    }

    /// Returns who plays in it.
    pub fn cast(self, short: bool) -> Cast {
        let rate = if short { SHORT_RATE } else { RATE };
        let ordinary = Cast { workers: WORKERS, old_workers: 0, standby: false, load: Load::Steady(rate) };
        match self {
            Self::Swarm => {
                let crowd = if short { Crowd::SHORT } else { Crowd::LONG };
                Cast { workers: crowd.workers, load: Load::Crowd(crowd), ..ordinary }
            }
            Self::Old => Cast { old_workers: old::OLD_WORKERS, ..ordinary },
            Self::Poisoned => Cast { load: Load::Poisoned(POISONED_RATE), ..ordinary },
            Self::Failover => Cast { standby: true, ..ordinary },
            _ => ordinary,
        }
    }

    /// Returns what its load is made of.
    pub fn mix(self) -> &'static Mix {
        if self == Self::Upgrade { &load::OFTEN_ANSWERED } else { &load::MIX }
    }

    /// Returns whether it measures, and so is alone on the machine.
    pub fn is_alone(self) -> bool {
        matches!(self, Self::Poisoned | Self::Swarm)
    }

    /// Returns its plan.
    pub fn steps(self, dice: &mut StdRng, duration: Duration, times: &Times) -> Vec<Step> {
        match self {
            Self::Kill => kill::steps(dice, duration, times),
            Self::Zombie => zombie::steps(dice, duration, times),
            Self::Postgres => postgres::steps(dice, duration, times),
            Self::Failover => failover::steps(dice, duration, times),
            Self::S3 => s3::steps(dice, duration, times),
            Self::Llm => llm::steps(dice, duration, times),
            Self::Deploy => deploy::steps(dice, duration, times),
            Self::Upgrade => upgrade::steps(dice, duration, times),
            Self::Old => old::steps(dice, duration, times),
            Self::Poisoned => poisoned::steps(dice, duration, times),
            Self::Swarm => swarm::steps(dice, duration, times),
        }
    }
}

/// Returns what a scenario is about beside the faults that are counted where they strike: how often it came about.
pub fn effects(scenario: Scenario, evidence: &Evidence) -> Vec<(&'static str, usize)> {
    let deaths = ("a death with a job in hand", held_by_the_dead(evidence));
    let ended = |outcome| evidence.attempts.iter().filter(|attempt| attempt.outcome == outcome).count();
    match scenario {
        Scenario::Kill => vec![deaths],
        Scenario::Zombie => {
            let stalls = evidence.stalls.iter().filter(|stall| stall.claims > 0).count();
            vec![("a stop with a job in hand", stalls), ("a claim that is taken back", ended("lost"))]
        }
        Scenario::Deploy => vec![deaths, ("a job that is given back", ended("released"))],
        Scenario::Upgrade => {
            let [before, this] = Revision::ALL.map(|revision| handover::answers_taken_over(evidence, revision));
            let mut effects = vec![
                deaths,
                ("a job that is given back", ended("released")),
                ("a job that both revisions attempt", handover::jobs_of_both(evidence)),
            ];
            // A short run rolls back hardly more than once.
            if evidence.rescue_bound.is_some() {
                effects.push(("an answer of the revision before that this one uses", this));
                effects.push(("an answer of this revision that the one before uses", before));
            } else {
                effects.push(("an answer of one revision that the other uses", before + this));
            }
            effects
        }
        Scenario::Old => {
            let (claims, taken_over) = others(evidence);
            let mut effects = vec![
                deaths,
                ("a claim of Assay's", evidence.attempts.len()),
                ("a claim of the other program's", claims),
            ];
            // In a short run chance may let Assay's reaper be first every time.
            if evidence.rescue_bound.is_some() {
                effects.push(("a claim that the other program takes over", taken_over));
            }
            effects
        }
        Scenario::Postgres
        | Scenario::Failover
        | Scenario::S3
        | Scenario::Llm
        | Scenario::Poisoned
        | Scenario::Swarm => Vec::new(),
    }
}

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.to_possible_value();
        f.write_str(value.as_ref().map_or("", |value| value.get_name()))
    }
}
