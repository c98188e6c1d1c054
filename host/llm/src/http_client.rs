//! The HTTP client and its addresses, shared by every call.

use std::time::Duration;

use assay_core::loopback::is_loopback;
use reqwest::{Client, RequestBuilder, redirect, retry};
use rustls::ClientConfig;
use secrecy::SecretString;
use url::Url;

use crate::{auth::Auth, llm_config::LlmConfig};

/// Less than the 5 s after which uvicorn and Node close an idle connection. A POST on a closing connection cannot be repeated
/// safely, so it would use an attempt. A new handshake costs milliseconds of a call that takes seconds.
const POOL_IDLE_TIMEOUT: Duration = Duration::from_secs(4);

/// A model may take minutes to its first byte. Routers and NATs drop connections that are silent for 60 s.
const TCP_KEEPALIVE_INTERVAL: Duration = Duration::from_secs(30);

/// Builds an HTTP client.
pub(crate) fn client(config: &LlmConfig, tls: ClientConfig) -> anyhow::Result<Client> {
    let mut builder = Client::builder()
        .tls_backend_preconfigured(tls)
        .user_agent(concat!("assay/", env!("CARGO_PKG_VERSION")))
        // A redirect would send the key and the transcript to an address that the operator did not set.
        .redirect(redirect::Policy::none())
        .retry(retry::never())
        .connect_timeout(config.connect)
        .pool_idle_timeout(POOL_IDLE_TIMEOUT)
        .tcp_keepalive(TCP_KEEPALIVE_INTERVAL)
        .tcp_keepalive_interval(TCP_KEEPALIVE_INTERVAL)
        // The same for HTTP/2, where a connection that is dead holds many calls.
        .http2_keep_alive_interval(TCP_KEEPALIVE_INTERVAL);
    if is_loopback(&config.base_url) {
        // Other addresses follow `HTTPS_PROXY` and `NO_PROXY` as usual.
        builder = builder.no_proxy();
    }
    Ok(builder.build()?)
}

/// Adds a key. The client's own headers cannot hold it, because it may change.
pub(crate) fn with_key(request: RequestBuilder, auth: Auth, key: Option<&SecretString>) -> RequestBuilder {
    match key.and_then(|key| auth.header(key)) {
        Some((name, value)) => request.header(name, value),
        None => request,
    }
}

/// Appends a path to the base URL; keeps a query such as Azure's `api-version`.
pub(crate) fn endpoint(base: &Url, path: &[&str]) -> Url {
    let mut url = base.clone();
    url.path_segments_mut().expect("LLM_BASE_URL is http or https, so it has a path").pop_if_empty().extend(path);
    url
}
