//! Writing a settlement exactly once, through lost answers.

use std::time::{Duration, Instant};

use assay_core::{
    lease::Lease,
    settlement::{SettleOutcome, Settlement},
};
use assay_db::{
    Database, DbError,
    queue::{Presence, Settled},
};

use crate::services::Services;

/// Short against a lease, long against a round trip.
const FINALIZE_RETRY_DELAY: Duration = Duration::from_millis(100);

/// What became of a settlement.
#[derive(Debug)]
pub(super) enum Written {
    /// Committed.
    Done,
    /// The claim was lost before.
    Lost,
    /// The job must not wait for another run: somebody has asked for its end.
    CancelRequested,
    /// The database will not take it.
    Refused(DbError),
    /// There was no answer until the claim could not be trusted any more.
    Unknown(DbError),
}

/// Writes one settlement, through lost answers and passing faults, as long as the claim can be trusted.
pub(super) async fn write(
    services: &Services,
    lease: Lease,
    settlement: &Settlement,
    trusted_until: Instant,
) -> Written {
    let Services { database, breakers, .. } = services;
    let mut in_doubt = false;
    loop {
        let begun = Instant::now();
        let settled = database.settle(lease, settlement).await;
        breakers.record_database(&settled, false, begun);
        let error = match settled {
            Ok(Settled::Done) => return Written::Done,
            // An earlier try may have come through after we looked, and left nothing to this one.
            Ok(Settled::Lost) if in_doubt => {
                return match read_back(database, lease, settlement.outcome, trusted_until).await {
                    Ok(Presence::Committed) => Written::Done,
                    Ok(Presence::Lost | Presence::StillOurs) => Written::Lost,
                    Err(error) => Written::Unknown(error),
                };
            }
            Ok(Settled::Lost) => return Written::Lost,
            Ok(Settled::CancelRequested) => return Written::CancelRequested,
            Err(error @ (DbError::Refused(_) | DbError::Row(_) | DbError::Migration(_) | DbError::Unadoptable(_))) => {
                return Written::Refused(error);
            }
            Err(error) => error,
        };
        tracing::warn!(%error, "settle the job: trying again");
        if error.is_ambiguous() {
            in_doubt = true;
            match read_back(database, lease, settlement.outcome, trusted_until).await {
                Ok(Presence::Committed) => return Written::Done,
                Ok(Presence::Lost) => return Written::Lost,
                Ok(Presence::StillOurs) => {}
                Err(error) => return Written::Unknown(error),
            }
        }
        if Instant::now() + FINALIZE_RETRY_DELAY >= trusted_until {
            return if error.is_ambiguous() { Written::Unknown(error) } else { Written::Refused(error) };
        }
        tokio::time::sleep(FINALIZE_RETRY_DELAY).await;
    }
}

/// Asks what became of a settlement until there is an answer or the claim cannot be trusted any more.
async fn read_back(
    database: &Database,
    lease: Lease,
    outcome: SettleOutcome,
    trusted_until: Instant,
) -> Result<Presence, DbError> {
    loop {
        match database.presence(lease, outcome).await {
            Ok(presence) => return Ok(presence),
            Err(error) if Instant::now() + FINALIZE_RETRY_DELAY >= trusted_until => return Err(error),
            Err(error) => {
                tracing::debug!(%error, "read back a settlement");
                tokio::time::sleep(FINALIZE_RETRY_DELAY).await;
            }
        }
    }
}
