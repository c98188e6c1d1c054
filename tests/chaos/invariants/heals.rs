//! After a failover no worker stays where it cannot write, and jobs flow again.

use std::time::Duration;

use time::OffsetDateTime;

use crate::{evidence::Evidence, invariants::verdict::Verdict, standby::Heal};

/// The longest that a worker may have a session on the standby after a failover, where times are a verdict.
const LEAVE: Duration = Duration::from_secs(15);

/// Checks that after each failover the last session of a worker on the standby ends, in time where times are a verdict.
pub fn no_session_stays_on_the_standby(evidence: &Evidence) -> Verdict {
    let bound = evidence.flow_bound.map(|_| LEAVE);
    check("no session stays on the standby after a failover", evidence, bound, |heal| heal.left)
}

/// Checks that a worker ends a job after each failover and before the next one, in time where times are a verdict.
pub fn jobs_flow_after_a_failover(evidence: &Evidence) -> Verdict {
    check("jobs flow again after a failover", evidence, evidence.flow_bound, |heal| heal.flowed)
}

/// Returns the longest until a job ended after a failover.
pub fn slowest_flow(evidence: &Evidence) -> Option<Duration> {
    evidence.heals.iter().filter_map(|heal| Some(since(heal, heal.flowed?))).max()
}

/// Returns the longest until the last session on the standby ended after a failover.
pub fn slowest_leave(evidence: &Evidence) -> Option<Duration> {
    evidence.heals.iter().filter_map(|heal| Some(since(heal, heal.left?))).max()
}

fn check(
    name: &'static str,
    evidence: &Evidence,
    bound: Option<Duration>,
    when: impl Fn(&Heal) -> Option<OffsetDateTime>,
) -> Verdict {
    let in_time = |heal: &Heal| when(heal).is_some_and(|at| bound.is_none_or(|bound| since(heal, at) <= bound));
    let broken = evidence.heals.iter().filter(|heal| !in_time(heal)).map(|heal| match when(heal) {
        Some(at) => format!("after the failover that ended at {}: only {:?} later", heal.at, since(heal, at)),
        None => format!("after the failover that ended at {}: never, {:?}", heal.at, heal.stayed),
    });
    Verdict::new(name, evidence.heals.len(), broken)
}

fn since(heal: &Heal, at: OffsetDateTime) -> Duration {
    (at - heal.at).try_into().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::invariants::rows::at;

    fn healed(left: Option<i64>, flowed: Option<i64>, bound: Option<u64>) -> Evidence {
        let heals = vec![Heal { at: at(10), left: left.map(at), stayed: Vec::new(), flowed: flowed.map(at) }];
        Evidence { heals, flow_bound: bound.map(Duration::from_secs), ..Evidence::default() }
    }

    #[test]
    fn a_session_that_stays_on_the_standby_is_seen() {
        let broken = |left, bound| no_session_stays_on_the_standby(&healed(left, Some(12), bound)).broken.len();
        assert_eq!((broken(Some(25), Some(5)), broken(Some(26), Some(5)), broken(None, Some(5))), (0, 1, 1));
        assert_eq!((broken(Some(60), None), broken(None, None)), (0, 1), "in a short run only that it ends");
    }

    #[test]
    fn jobs_that_flow_late_or_never_are_seen() {
        let broken = |flowed, bound| jobs_flow_after_a_failover(&healed(Some(11), flowed, bound)).broken.len();
        assert_eq!((broken(Some(15), Some(5)), broken(Some(16), Some(5)), broken(None, Some(5))), (0, 1, 1));
        assert_eq!((broken(Some(16), None), broken(None, None)), (0, 1), "in a short run only that they flow");
        assert_eq!(slowest_flow(&healed(None, Some(16), None)), Some(Duration::from_secs(6)));
        assert_eq!(slowest_leave(&healed(Some(11), None, None)), Some(Duration::from_secs(1)));
    }
}
