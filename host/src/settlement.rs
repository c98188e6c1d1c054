//! Writing how a run ended, so that it is written exactly once, and undoing what a refused success leaves behind.

use std::time::{Duration, Instant};

use crate::{
    db::{
        Database, DbError,
        queue::{Presence, Settled},
    },
    job::{Claim, Lease, Outcome, Settlement},
    pipeline::Pipeline,
};

/// Between two tries.
const PAUSE: Duration = Duration::from_millis(100);

/// What became of a settlement.
#[derive(Debug)]
enum Written {
    /// Committed.
    Done,
    /// The claim was lost before.
    Lost,
    /// The database will not take it.
    Refused(DbError),
    /// There was no answer until the claim could not be trusted any more.
    Unknown(DbError),
}

/// Settles a claim and tells which outcome was written; nothing where the claim was lost or the answer never came.
///
/// Ambiguous answers are resolved by reading back. Where a success is refused, the failure is settled first under the
/// same token; only when that touched its row can the success not commit any more, and only then is the report deleted.
pub async fn settle(
    pipeline: &Pipeline,
    claim: &Claim,
    settlement: Settlement,
    trusted_until: Instant,
) -> Option<Settlement> {
    let refused = match write(&pipeline.database, claim.lease, &settlement, trusted_until).await {
        Written::Done => return Some(settlement),
        Written::Lost => {
            pipeline.metrics.lost_leases.inc();
            tracing::warn!(outcome = settlement.outcome.as_str(), "the claim was lost before it could be settled");
            return None;
        }
        Written::Unknown(error) => {
            // Nothing is deleted: the row may come to point at what was written. The reaper takes the job back.
            tracing::error!(%error, outcome = settlement.outcome.as_str(), "settle the job: no answer within the lease");
            return None;
        }
        Written::Refused(error) => error,
    };
    tracing::error!(error = %refused, outcome = settlement.outcome.as_str(), "settle the job");
    if settlement.outcome != Outcome::Succeeded {
        return None;
    }
    let failure = pipeline.unsettled(claim, refused.into()).await;
    match write(&pipeline.database, claim.lease, &failure, trusted_until).await {
        Written::Done => {
            if let Some(key) = &settlement.result.report_key {
                pipeline.discard_report(&claim.file, key).await;
            }
            Some(failure)
        }
        other => {
            tracing::error!(result = ?other, "settle the failure of a settlement; the reaper takes the job back");
            None
        }
    }
}

/// Writes one settlement, through lost answers and passing faults, as long as the claim can be trusted.
async fn write(database: &Database, lease: Lease, settlement: &Settlement, trusted_until: Instant) -> Written {
    loop {
        let error = match database.settle(lease, settlement).await {
            Ok(Settled::Done) => return Written::Done,
            Ok(Settled::Lost) => return Written::Lost,
            Err(error @ (DbError::Refused(_) | DbError::Row(_) | DbError::Migration(_))) => {
                return Written::Refused(error);
            }
            Err(error) => error,
        };
        tracing::warn!(%error, "settle the job: trying again");
        if error.is_ambiguous() {
            match read_back(database, lease, trusted_until).await {
                Ok(Presence::Committed) => return Written::Done,
                Ok(Presence::Lost) => return Written::Lost,
                Ok(Presence::StillOurs) => {}
                Err(error) => return Written::Unknown(error),
            }
        }
        if Instant::now() + PAUSE >= trusted_until {
            return if error.is_ambiguous() { Written::Unknown(error) } else { Written::Refused(error) };
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Asks what became of a settlement until there is an answer or the claim cannot be trusted any more.
async fn read_back(database: &Database, lease: Lease, trusted_until: Instant) -> Result<Presence, DbError> {
    loop {
        match database.presence(lease).await {
            Ok(presence) => return Ok(presence),
            Err(error) if Instant::now() + PAUSE >= trusted_until => return Err(error),
            Err(error) => {
                tracing::debug!(%error, "read back a settlement");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}
