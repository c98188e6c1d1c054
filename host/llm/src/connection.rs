//! The HTTP client and its addresses: made once, shared by every call.

use std::time::Duration;

use assay_core::loopback::is_loopback;
use reqwest::{
    Client,
    header::{AUTHORIZATION, HeaderMap, HeaderValue},
    redirect, retry,
};
use secrecy::ExposeSecret;
use url::Url;

use super::config::LlmConfig;

/// Below the 5 s after which uvicorn and Node close an idle connection. A POST that meets the closing cannot be repeated
/// safely, so it would cost the job an attempt; a handshake now and then costs milliseconds of a call that takes seconds.
const POOL_IDLE: Duration = Duration::from_secs(4);

/// A model may think for minutes before its first byte; routers and NATs forget connections that are silent for 60 s.
const TCP_KEEPALIVE: Duration = Duration::from_secs(30);

/// The HTTP client, with everything that is the same for each request.
pub(super) fn client(config: &LlmConfig) -> anyhow::Result<Client> {
    let mut headers = HeaderMap::new();
    if let Some(key) = &config.key {
        let mut value = HeaderValue::from_str(&format!("Bearer {}", key.expose_secret()))?;
        value.set_sensitive(true);
        headers.insert(AUTHORIZATION, value);
    }
    let mut builder = Client::builder()
        .default_headers(headers)
        .user_agent(concat!("assay/", env!("CARGO_PKG_VERSION")))
        // A redirect would take the key and the transcript to a place that the operator did not name.
        .redirect(redirect::Policy::none())
        .retry(retry::never())
        .connect_timeout(config.connect)
        .pool_idle_timeout(POOL_IDLE)
        .tcp_keepalive(TCP_KEEPALIVE)
        .tcp_keepalive_interval(TCP_KEEPALIVE);
    if is_loopback(&config.base_url) {
        // Others follow `HTTPS_PROXY` and `NO_PROXY` as usual.
        builder = builder.no_proxy();
    }
    Ok(builder.build()?)
}

/// A path below the base URL; a query such as Azure's `api-version` stays.
pub(super) fn endpoint(base: &Url, path: &[&str]) -> Url {
    let mut url = base.clone();
    url.path_segments_mut().expect("LLM_BASE_URL is http or https, so it has a path").pop_if_empty().extend(path);
    url
}
