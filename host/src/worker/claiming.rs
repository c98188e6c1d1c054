//! Claiming: what no breaker keeps back, and where a probe is due, one job for it.

use std::time::{Duration, Instant};

use crate::{
    breaker::Dependency,
    breakers::Probe,
    job::{Claim, Place, Serving},
    pipeline::Pipeline,
    worker::Worker,
};

/// Where the queue was found to begin. Slots that become free look from there on; the whole of it is looked at whenever somebody says that
/// there is something new, and once per poll: what is due before its front, because it came late or was locked, waits for no longer.
#[derive(Debug, Default)]
pub(super) struct Front {
    place: Option<Place>,
    /// When the whole was looked at; none where it is to be looked at.
    whole: Option<Instant>,
}

impl Front {
    /// Somebody says that there is something new.
    pub(super) fn forget(&mut self) {
        self.whole = None;
    }

    /// Where to look from; none is the whole.
    fn from(&self, poll: Duration) -> Option<Place> {
        self.place.filter(|_| self.whole.is_some_and(|whole| whole.elapsed() < poll))
    }

    /// What a look from there has found first.
    fn found(&mut self, from: Option<Place>, first: Option<Place>) {
        if from.is_none() {
            (self.place, self.whole) = (None, Some(Instant::now()));
        }
        self.place = first.or(self.place);
    }
}

impl Worker {
    /// Claims at most `free` jobs; those that are probes come with what they try. `front` tells where the queue is looked at, and is
    /// told what was found.
    pub(super) async fn take(&self, free: usize, front: &mut Front) -> Vec<(Claim, Option<Probe>)> {
        let breakers = &self.pipeline.breakers;
        self.probe_bucket();
        let serving = self.pipeline.guests.serving();
        let offer = breakers.offer(&serving.digests);
        // While the database is away, the claim is its probe.
        let free = if breakers.is_open(&Dependency::Database) { free.min(1) } else { free };
        let mut taken = Vec::new();
        // Probes first: what other releases have waiting would take every slot.
        for (dependencies, digests) in offer.probes {
            if taken.len() == free {
                break;
            }
            let serving = Serving { digests, ..serving.clone() };
            let claims = self.claim(&serving, 1, None).await;
            taken.extend(claims.into_iter().map(|claim| (claim, Some(breakers.begin_probe(dependencies.clone())))));
        }
        let left = free - taken.len();
        if left > 0 && !offer.digests.is_empty() {
            let serving = Serving { digests: offer.digests, ..serving };
            let from = front.from(self.config.poll);
            let claims = self.claim(&serving, left, from).await;
            front.found(from, claims.iter().map(|claim| claim.place).min());
            taken.extend(claims.into_iter().map(|claim| (claim, None)));
        }
        taken
    }

    /// Finds out whether the bucket is back. It takes no job, so it needs no slot either.
    fn probe_bucket(&self) {
        let breakers = &self.pipeline.breakers;
        if !breakers.probe_is_due(&Dependency::Bucket) {
            return;
        }
        let probe = breakers.begin_probe(vec![Dependency::Bucket]);
        let (breakers, objects) = (breakers.clone(), self.pipeline.objects.clone());
        tokio::spawn(async move {
            let begun = Instant::now();
            let _until_told = probe;
            let result = objects.try_out().await.map_err(|error| error.for_write());
            if let Err(error) = breakers.note(&Dependency::Bucket, true, begun, result) {
                let error = error.chain();
                tracing::warn!(error, "the bucket is still away");
            }
        });
    }

    /// One claim; a database that does not answer is told of once, and then asked again at the next poll.
    async fn claim(&self, serving: &Serving, slots: usize, from: Option<Place>) -> Vec<Claim> {
        let begun = Instant::now();
        let Pipeline { database, breakers, .. } = &*self.pipeline;
        let claim = async {
            // A probe tries both: a connection of the pool may be older than the password that keeps new ones out.
            if breakers.is_open(&Dependency::Database) {
                database.knock().await?;
            }
            database.claim(&self.config.id, serving, slots, self.config.lease, from).await
        };
        let result = claim.await;
        breakers.note_database(&result, true, begun);
        let mut state = self.state.lock();
        match result {
            Ok(claims) => {
                if state.claims_failing_since.take().is_some() {
                    tracing::info!("claiming jobs again");
                }
                self.pipeline.metrics.claims.inc_by(claims.len() as u64);
                for claim in &claims {
                    self.pipeline.metrics.pickup_lag.observe(claim.lag.as_secs_f64());
                }
                claims
            }
            Err(error) => {
                if state.claims_failing_since.is_none() {
                    tracing::error!(%error, "claim jobs");
                    state.claims_failing_since = Some(Instant::now());
                }
                Vec::new()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;
    use uuid::Uuid;

    use super::*;
    use crate::job::JobId;

    const POLL: Duration = Duration::from_secs(3600);

    fn place(number: u128) -> Place {
        Place { due: datetime!(2026-03-04 09:30:00 UTC), job: JobId(Uuid::from_u128(number)) }
    }

    #[test]
    fn a_freed_slot_looks_from_where_the_queue_began() {
        let mut front = Front::default();
        assert_eq!(front.from(POLL), None, "nobody has looked yet");
        front.found(None, Some(place(5)));
        assert_eq!(front.from(POLL), Some(place(5)));
        front.found(Some(place(5)), Some(place(7)));
        assert_eq!(front.from(POLL), Some(place(7)));
        front.found(Some(place(7)), None);
        assert_eq!(front.from(POLL), Some(place(7)), "an end says nothing about the beginning");
    }

    #[test]
    fn the_whole_is_looked_at_once_per_poll_and_when_there_is_something_new() {
        let mut front = Front::default();
        front.found(None, Some(place(5)));
        assert_eq!(front.from(Duration::ZERO), None);
        front.forget();
        assert_eq!(front.from(POLL), None);
        front.found(None, None);
        assert_eq!(front.from(POLL), None, "an empty queue begins nowhere");
    }
}
