//! Watches for row security that hides rows. No statement fails for it, so nothing else would show it.

use std::{sync::Arc, time::Duration};

use assay_db::Database;
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use crate::{maintenance::every::every, worker::WorkerState};

/// Policies change rarely, and jobs that wait are noticed within minutes.
const PERIOD: Duration = Duration::from_secs(60);

/// Publishes the tables with hidden rows, for `/readyz` and the log.
#[derive(Clone, Debug)]
pub struct RowSecurityWatch {
    pub database: Database,
    pub state: Arc<Mutex<WorkerState>>,
}

impl RowSecurityWatch {
    /// Looks at once, and again until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        let mut rounds = every(PERIOD, &stop);
        loop {
            rounds.run(self.look()).await;
            if !rounds.next().await {
                return;
            }
        }
    }

    async fn look(&self) {
        let tables = match self.database.tables_with_hidden_rows().await {
            Ok(tables) => tables,
            Err(error) => return tracing::debug!(%error, "search for hidden rows failed"),
        };
        let before = std::mem::replace(&mut self.state.lock().row_security_hides, tables.clone());
        if before == tables {
            return;
        }
        if tables.is_empty() {
            tracing::info!("row security hides no rows any more");
        } else {
            tracing::warn!("row security hides rows of {}: their jobs wait", tables.join(", "));
        }
    }
}
