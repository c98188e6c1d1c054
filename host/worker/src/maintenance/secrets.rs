//! Reads secrets again that may have changed: files that an orchestrator replaces, and a command that prints a password.
//!
//! A dependency that refuses a secret has it read again at once; this is for those that go on accepting the old one, and for
//! connections that are opened later.

use std::{collections::BTreeSet, fmt::Display, sync::Arc, time::Duration};

use tokio_util::sync::CancellationToken;

use crate::{maintenance::every::every, services::Services};

pub struct SecretsWatch {
    pub services: Arc<Services>,
    pub period: Duration,
}

impl SecretsWatch {
    pub async fn run(self, stop: CancellationToken) {
        let mut rounds = every(self.period, &stop);
        let mut failing = BTreeSet::new();
        while rounds.next().await {
            let Services { database, objects, model, .. } = &*self.services;
            let login = database.read_login_again().await;
            log(&mut failing, "the login to the database", login);
            log(&mut failing, "the keys of the object store", objects.read_keys_again());
            log(&mut failing, "the key of the model", model.read_key_again());
        }
    }
}

/// Logs what changed, and what cannot be read once per failure.
fn log<E: Display>(failing: &mut BTreeSet<&'static str>, secret: &'static str, read: Result<bool, E>) {
    match read {
        Ok(changed) => {
            if changed {
                tracing::info!(secret, "the secret has another value");
            }
            if failing.remove(secret) {
                tracing::info!(secret, "the secret can be read again");
            }
        }
        Err(error) if failing.insert(secret) => {
            tracing::warn!(secret, %error, "the secret was not read again; the value of before stays");
        }
        Err(_) => {}
    }
}
