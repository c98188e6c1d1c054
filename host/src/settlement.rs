//! Writing how a run ended, so that it is written exactly once, and undoing what a refused success leaves behind.

use std::time::{Duration, Instant};

use crate::{
    db::{
        Database, DbError,
        queue::{Presence, Settled},
    },
    error::Step,
    job::{Lease, Outcome, Settlement},
    pipeline::{Pipeline, Run},
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
    /// The job must not wait for another run: somebody has asked for its end.
    CancelRequested,
    /// The database will not take it.
    Refused(DbError),
    /// There was no answer until the claim could not be trusted any more.
    Unknown(DbError),
}

/// Settles a claim and tells which outcome was written; nothing where the claim was lost or the answer never came.
///
/// Ambiguous answers are resolved by reading back. Where a success is refused, the failure is settled under the same
/// token; where somebody has asked for the job's end, it ends instead of waiting. Only when a settlement that is no success touched
/// its row can a success not commit any more, and only then is the report deleted.
pub async fn settle(
    pipeline: &Pipeline,
    run: &mut Run<'_>,
    settlement: Settlement,
    trusted_until: Instant,
) -> Option<Settlement> {
    let lease = run.claim.lease;
    let outcome = settlement.outcome;
    let mut settled = match write(pipeline, lease, &settlement, trusted_until).await {
        Written::Refused(error) if outcome == Outcome::Succeeded => {
            tracing::error!(%error, outcome = outcome.as_str(), "settle the job");
            let failure = pipeline.failed(run, Step::Settle, error.into()).await;
            (write(pipeline, lease, &failure, trusted_until).await, failure)
        }
        written => (written, settlement),
    };
    if matches!(settled.0, Written::CancelRequested) {
        let cancelled = pipeline.cancelled(run).await;
        settled = (write(pipeline, lease, &cancelled, trusted_until).await, cancelled);
    }
    match settled {
        (Written::Done, settlement) => {
            if settlement.outcome != Outcome::Succeeded {
                pipeline.discard_report(run).await;
            }
            Some(settlement)
        }
        // An end is written whoever asks for another one, so there is no second request.
        (Written::Lost | Written::CancelRequested, settlement) => {
            pipeline.metrics.lost_leases.inc();
            let outcome = settlement.outcome.as_str();
            tracing::warn!(outcome, "the job was not settled: its claim is lost");
            None
        }
        (Written::Unknown(error) | Written::Refused(error), settlement) => {
            // Nothing is deleted: the row may come to point at what was written. The reaper takes the job back.
            tracing::error!(%error, outcome = settlement.outcome.as_str(), "settle the job: given up");
            None
        }
    }
}

/// Writes one settlement, through lost answers and passing faults, as long as the claim can be trusted.
async fn write(pipeline: &Pipeline, lease: Lease, settlement: &Settlement, trusted_until: Instant) -> Written {
    let Pipeline { database, breakers, .. } = pipeline;
    let mut in_doubt = false;
    loop {
        let begun = Instant::now();
        let settled = database.settle(lease, settlement).await;
        breakers.note_database(&settled, false, begun);
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
        if Instant::now() + PAUSE >= trusted_until {
            return if error.is_ambiguous() { Written::Unknown(error) } else { Written::Refused(error) };
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Asks what became of a settlement until there is an answer or the claim cannot be trusted any more.
async fn read_back(
    database: &Database,
    lease: Lease,
    outcome: Outcome,
    trusted_until: Instant,
) -> Result<Presence, DbError> {
    loop {
        match database.presence(lease, outcome).await {
            Ok(presence) => return Ok(presence),
            Err(error) if Instant::now() + PAUSE >= trusted_until => return Err(error),
            Err(error) => {
                tracing::debug!(%error, "read back a settlement");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}
