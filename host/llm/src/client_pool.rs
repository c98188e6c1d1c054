//! The HTTP clients of one endpoint.
//!
//! Over TLS most providers speak HTTP/2, where thousands of waiting calls share a few connections: a connection of HTTP/1.1 holds
//! some 35 KB of buffers for its one call. But a client has one connection of HTTP/2 per host, calls beyond the server's limit of
//! streams would wait unseen, and a connection that breaks takes its calls along. So each client gets a bounded number of calls.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use anyhow::Context;
use parking_lot::Mutex;
use reqwest::Client;
use rustls::{ClientConfig, crypto::aws_lc_rs};
use rustls_platform_verifier::BuilderVerifierExt;

use crate::{http_client, llm_config::LlmConfig};

/// Servers should allow at least 100 streams (RFC 9113, 6.5.2). The rest is for calls that end while others begin.
const MAX_CALLS_PER_CLIENT: usize = 64;

/// The clients of one endpoint, made as they are needed.
pub(crate) struct ClientPool {
    config: LlmConfig,
    tls: ClientConfig,
    clients: Mutex<Vec<Arc<CountedClient>>>,
}

struct CountedClient {
    client: Client,
    calls: AtomicUsize,
}

/// A client for one call.
pub(crate) struct LentClient(Arc<CountedClient>);

impl ClientPool {
    /// Makes the first client.
    ///
    /// # Errors
    /// The TLS roots of this machine cannot be read.
    pub(crate) fn new(config: &LlmConfig) -> anyhow::Result<Self> {
        let pool = Self { config: config.clone(), tls: tls()?, clients: Mutex::default() };
        pool.lend()?;
        Ok(pool)
    }

    /// Lends the first client that has room for a call.
    ///
    /// # Errors
    /// As [`Self::new`], for another client.
    pub(crate) fn lend(&self) -> anyhow::Result<LentClient> {
        let mut clients = self.clients.lock();
        let roomy = clients.iter().find(|client| client.calls.load(Ordering::Relaxed) < MAX_CALLS_PER_CLIENT);
        let client = match roomy {
            Some(client) => client.clone(),
            None => {
                let client = http_client::client(&self.config, self.tls.clone())?;
                let client = Arc::new(CountedClient { client, calls: AtomicUsize::new(0) });
                clients.push(client.clone());
                client
            }
        };
        client.calls.fetch_add(1, Ordering::Relaxed);
        Ok(LentClient(client))
    }
}

impl LentClient {
    pub(crate) fn client(&self) -> &Client {
        &self.0.client
    }
}

impl Drop for LentClient {
    fn drop(&mut self) {
        self.0.calls.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The roots of the system, read once for all clients.
fn tls() -> anyhow::Result<ClientConfig> {
    let mut tls = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_platform_verifier()
        .context("read the certificates that this machine trusts")?
        .with_no_client_auth();
    tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(tls)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::any_config;

    #[test]
    fn a_client_has_a_bounded_number_of_calls_and_is_lent_again() {
        let pool = ClientPool::new(&any_config()).unwrap();
        let count = || pool.clients.lock().len();
        let mut lent: Vec<_> = (0..MAX_CALLS_PER_CLIENT).map(|_| pool.lend().unwrap()).collect();
        assert_eq!(count(), 1);
        lent.push(pool.lend().unwrap());
        assert_eq!(count(), 2);
        lent.remove(0);
        lent.push(pool.lend().unwrap());
        assert_eq!(count(), 2, "the first has room again");
        lent.clear();
        assert!(pool.clients.lock().iter().all(|client| client.calls.load(Ordering::Relaxed) == 0));
    }
}
