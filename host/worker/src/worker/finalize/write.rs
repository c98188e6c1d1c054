//! Writes a settlement exactly once, also when answers of the database get lost.

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

/// The result of writing a settlement.
#[derive(Debug)]
pub(super) enum WriteOutcome {
    Committed,
    /// The claim was lost before the write.
    Lost,
    /// The job must end instead of waiting: its cancellation was requested.
    CancelRequested,
    /// The database does not accept the settlement.
    Refused(DbError),
    /// No answer came while the claim could be trusted.
    Unknown(DbError),
}

/// Writes one settlement, and repeats it after lost answers and passing faults while the claim can be trusted.
pub(super) async fn write(
    services: &Services,
    lease: Lease,
    settlement: &Settlement,
    trusted_until: Instant,
) -> WriteOutcome {
    let Services { database, breakers, .. } = services;
    let mut in_doubt = false;
    loop {
        let begun = Instant::now();
        let settled = database.settle(lease, settlement).await;
        breakers.record_database(&settled, false, begun);
        let error = match settled {
            Ok(Settled::Done) => return WriteOutcome::Committed,
            // An earlier try may have committed after the read-back.
            Ok(Settled::Lost) if in_doubt => {
                return match read_back(database, lease, settlement.outcome, trusted_until).await {
                    Ok(Presence::Committed) => WriteOutcome::Committed,
                    Ok(Presence::Lost | Presence::StillOurs) => WriteOutcome::Lost,
                    Err(error) => WriteOutcome::Unknown(error),
                };
            }
            Ok(Settled::Lost) => return WriteOutcome::Lost,
            Ok(Settled::CancelRequested) => return WriteOutcome::CancelRequested,
            Err(error @ (DbError::Refused(_) | DbError::Row(_) | DbError::Migration(_) | DbError::Unadoptable(_))) => {
                return WriteOutcome::Refused(error);
            }
            Err(error) => error,
        };
        tracing::warn!(%error, "settlement failed; trying again");
        if error.is_ambiguous() {
            in_doubt = true;
            match read_back(database, lease, settlement.outcome, trusted_until).await {
                Ok(Presence::Committed) => return WriteOutcome::Committed,
                Ok(Presence::Lost) => return WriteOutcome::Lost,
                Ok(Presence::StillOurs) => {}
                Err(error) => return WriteOutcome::Unknown(error),
            }
        }
        if Instant::now() + FINALIZE_RETRY_DELAY >= trusted_until {
            return if error.is_ambiguous() { WriteOutcome::Unknown(error) } else { WriteOutcome::Refused(error) };
        }
        tokio::time::sleep(FINALIZE_RETRY_DELAY).await;
    }
}

/// Reads back whether a settlement was committed, until the database answers or the claim cannot be trusted.
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
                tracing::debug!(%error, "read-back of a settlement failed");
                tokio::time::sleep(FINALIZE_RETRY_DELAY).await;
            }
        }
    }
}
