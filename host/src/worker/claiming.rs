//! Claiming: what no breaker keeps back, and where a probe is due, one job for it.

use std::time::Instant;

use crate::{
    breaker::Dependency,
    breakers::Probe,
    job::{Claim, Serving},
    worker::Worker,
};

impl Worker {
    /// Claims at most `free` jobs; those that are probes come with what they try.
    pub(super) async fn take(&self, free: usize) -> Vec<(Claim, Option<Probe>)> {
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
            let claims = self.claim(&serving, 1).await;
            taken.extend(claims.into_iter().map(|claim| (claim, Some(breakers.begin_probe(dependencies.clone())))));
        }
        let left = free - taken.len();
        if left > 0 && !offer.digests.is_empty() {
            let serving = Serving { digests: offer.digests, ..serving };
            taken.extend(self.claim(&serving, left).await.into_iter().map(|claim| (claim, None)));
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
    async fn claim(&self, serving: &Serving, slots: usize) -> Vec<Claim> {
        let begun = Instant::now();
        let result = self.pipeline.database.claim(&self.config.id, serving, slots, self.config.lease).await;
        self.pipeline.breakers.note_database(&result, true, begun);
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
