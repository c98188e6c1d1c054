//! The client with the keys that hold now. Keys change while the process runs: a file has others, a role's are renewed.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use assay_core::secret::SecretFileError;
use aws_sdk_s3::Client;

use crate::{credentials::S3Credentials, objects_config::ObjectsConfig, sdk_client::ClientParts};

/// Refusals come from many operations at once; a role is asked again once for all of them.
const ROLE_RENEWAL_PAUSE: Duration = Duration::from_secs(5);

/// The client, replaced when its keys are. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct CurrentClient {
    parts: Arc<ClientParts>,
    credentials: S3Credentials,
    current: Arc<Mutex<Made>>,
}

/// A client, and which one of the process it is.
#[derive(Clone, Debug)]
pub(crate) struct Made {
    pub(crate) client: Client,
    number: u64,
    at: Instant,
}

impl CurrentClient {
    /// Opens no connection yet.
    pub(crate) fn new(config: &ObjectsConfig) -> Self {
        let parts = ClientParts::new(config);
        let made = Made { client: parts.client(&config.credentials), number: 0, at: Instant::now() };
        Self { parts: Arc::new(parts), credentials: config.credentials.clone(), current: Arc::new(Mutex::new(made)) }
    }

    pub(crate) fn get(&self) -> Made {
        self.lock().clone()
    }

    /// Reads the files of the keys again. Returns whether they have others.
    pub(crate) fn read_again(&self) -> Result<bool, SecretFileError> {
        let S3Credentials::Keys(keys) = &self.credentials else { return Ok(false) };
        // Under the lock: of two readers at once, one would see the change and the other use the old client.
        let mut current = self.lock();
        let changed = keys.read_again();
        // One file may have changed where another one cannot be read.
        if !matches!(changed, Ok(false)) {
            self.replace(&mut current);
        }
        changed
    }

    /// Gets other keys after the store refused those of `used`. Returns whether there are any.
    pub(crate) fn renew(&self, used: &Made) -> bool {
        if self.lock().number > used.number {
            return true;
        }
        match &self.credentials {
            S3Credentials::Keys(_) => self.read_again().unwrap_or_else(|error| {
                tracing::warn!(%error, "the keys of the object store were not read again");
                false
            }),
            S3Credentials::Chain => {
                let mut current = self.lock();
                let is_due = current.at.elapsed() > ROLE_RENEWAL_PAUSE;
                if is_due {
                    self.replace(&mut current);
                }
                is_due
            }
        }
    }

    fn replace(&self, current: &mut Made) {
        *current =
            Made { client: self.parts.client(&self.credentials), number: current.number + 1, at: Instant::now() };
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Made> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
