//! The client of the SDK: one per process, shared.
//!
//! What differs from the SDK's defaults, and why:
//!
//! - path-style addresses: stores on an IP address or a bare host name have no subdomains for buckets;
//! - checksums only where an operation requires them: older compatible stores refuse the extra trailer;
//! - static keys without an identity cache: nothing is refreshed, and no metadata service is asked;
//! - no stalled-stream protection and no operation deadline in the SDK: [`Objects`](crate::Objects) has one deadline
//!   over the operation *and its body*, which the SDK's does not cover, and a shorter one for each gap in a body. The
//!   SDK's throughput floor adds a wrapper and a timer to each body, and has cut off slow but healthy transfers;
//! - a deadline per attempt, so that a store which accepts a request and falls silent still leaves time for another;
//! - requests to this machine bypass proxies. All others follow `HTTPS_PROXY` and `NO_PROXY` as usual.

use std::time::Duration;

use assay_core::loopback::is_loopback;
use aws_sdk_s3::{
    Client,
    config::{
        BehaviorVersion, Config, Credentials, IdentityCache, Region, RequestChecksumCalculation,
        ResponseChecksumValidation, SharedHttpClient, StalledStreamProtectionConfig, retry::RetryConfig,
        timeout::TimeoutConfig,
    },
};
use aws_smithy_http_client::{
    Builder, ConnectorBuilder,
    proxy::ProxyConfig,
    tls::{Provider, rustls_provider::CryptoMode},
};
use secrecy::ExposeSecret;
use url::Url;

use crate::objects_config::ObjectsConfig;

/// Attempts per request within the deadline of its operation, the first included: the SDK's default.
const MAX_REQUEST_ATTEMPTS: u32 = 3;

/// The SDK's default. A store that needs longer for a TCP and TLS handshake will not serve 10 MiB in time.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(3100);

/// Shorter than the idle limits of common stores and balancers (60 s and more), so that reused connections are alive.
const POOL_IDLE_TIMEOUT: Duration = Duration::from_secs(50);

/// Builds the shared client. Opens no connection.
pub(crate) fn build(config: &ObjectsConfig) -> Client {
    let secret = config.secret_key.expose_secret();
    let keys = Credentials::new(&config.access_key, secret, None, None, "environment");
    // Half of the operation: after one silent attempt there must be time for a second one.
    let timeouts =
        TimeoutConfig::builder().connect_timeout(CONNECT_TIMEOUT).operation_attempt_timeout(config.operation / 2);
    let mut builder = Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(config.region.clone()))
        .credentials_provider(keys)
        .identity_cache(IdentityCache::no_cache())
        .force_path_style(true)
        .disable_s3_express_session_auth(true)
        .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
        .response_checksum_validation(ResponseChecksumValidation::WhenRequired)
        .retry_config(RetryConfig::standard().with_max_attempts(MAX_REQUEST_ATTEMPTS))
        .timeout_config(timeouts.build())
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        .http_client(http_client(config.endpoint.as_ref()));
    if let Some(endpoint) = &config.endpoint {
        builder = builder.endpoint_url(endpoint.as_str());
    }
    Client::from_conf(builder.build())
}

fn http_client(endpoint: Option<&Url>) -> SharedHttpClient {
    let proxy = if endpoint.is_some_and(is_loopback) { ProxyConfig::disabled } else { ProxyConfig::from_env };
    Builder::new().build_with_connector_fn(move |settings, components| {
        let mut connector = ConnectorBuilder::default()
            .tls_provider(Provider::Rustls(CryptoMode::AwsLc))
            .pool_idle_timeout(POOL_IDLE_TIMEOUT)
            .proxy_config(proxy());
        connector.set_connector_settings(settings.cloned());
        if let Some(components) = components {
            connector.set_sleep_impl(components.sleep_impl());
        }
        connector.build()
    })
}
