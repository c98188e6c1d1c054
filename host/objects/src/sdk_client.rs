//! The client of the SDK: one per process, shared.
//!
//! What differs from the SDK's defaults, and why:
//!
//! - path-style addresses unless `S3_PATH_STYLE=false`: stores on an IP address or a bare host name have no subdomains for
//!   buckets;
//! - answers are not checked against checksums: compatible stores send others. A written object carries a CRC32 in a header,
//!   because its body is in memory: a trailer is what older stores refuse;
//! - static keys without an identity cache: nothing is refreshed, and no metadata service is asked. Roles are asked anew
//!   before they end;
//! - no stalled-stream protection and no operation deadline in the SDK: [`Objects`](crate::Objects) has one deadline
//!   over the operation *and its body*, which the SDK's does not cover, and a shorter one for each gap in a body. The
//!   SDK's throughput floor adds a wrapper and a timer to each body, and has cut off slow but healthy transfers;
//! - a deadline per attempt, so that a store which accepts a request and falls silent still leaves time for another;
//! - requests to this machine bypass proxies. All others follow `HTTPS_PROXY` and `NO_PROXY` as usual.

use std::time::Duration;

use assay_core::loopback::is_loopback;
use assay_network::RootFile;
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
    tls::{Provider, TlsContext, TrustStore, rustls_provider::CryptoMode},
};
use secrecy::ExposeSecret;
use url::Url;

use crate::{
    credentials::{S3Credentials, S3Keys},
    objects_config::ObjectsConfig,
    role_chain::RoleChain,
};

/// Attempts per request within the deadline of its operation, the first included: the SDK's default.
const MAX_REQUEST_ATTEMPTS: u32 = 3;

/// The SDK's default. A store that needs longer for a TCP and TLS handshake will not serve 10 MiB in time.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(3100);

/// For the keys of a role, over all sources.
const ROLE_TIMEOUT: Duration = Duration::from_secs(15);

/// Shorter than the idle limits of common stores and balancers (60 s and more), so that reused connections are alive.
const POOL_IDLE_TIMEOUT: Duration = Duration::from_secs(50);

/// What every client of this process shares: connections, and the configuration but for the keys.
#[derive(Clone, Debug)]
pub(crate) struct ClientParts {
    region: Region,
    endpoint: Option<Url>,
    path_style: bool,
    checksums: RequestChecksumCalculation,
    operation: Duration,
    http: SharedHttpClient,
    direct_http: SharedHttpClient,
}

impl ClientParts {
    /// Opens no connection.
    pub(crate) fn new(config: &ObjectsConfig) -> Self {
        let proxy = if config.endpoint.as_ref().is_some_and(is_loopback) {
            ProxyConfig::disabled
        } else {
            ProxyConfig::from_env
        };
        Self {
            region: Region::new(config.region.clone()),
            endpoint: config.endpoint.clone(),
            path_style: config.path_style,
            checksums: if config.writing.checksum {
                RequestChecksumCalculation::WhenSupported
            } else {
                RequestChecksumCalculation::WhenRequired
            },
            operation: config.operation,
            http: http_client(proxy, config.roots.as_ref()),
            direct_http: http_client(ProxyConfig::disabled, None),
        }
    }

    /// Builds a client with the keys that are current now, or with roles that are asked again.
    pub(crate) fn client(&self, credentials: &S3Credentials) -> Client {
        // Half of the operation: after one silent attempt there must be time for a second one.
        let timeouts =
            TimeoutConfig::builder().connect_timeout(CONNECT_TIMEOUT).operation_attempt_timeout(self.operation / 2);
        let builder = Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(self.region.clone())
            .force_path_style(self.path_style)
            .disable_s3_express_session_auth(true)
            .request_checksum_calculation(self.checksums)
            .response_checksum_validation(ResponseChecksumValidation::WhenRequired)
            .retry_config(RetryConfig::standard().with_max_attempts(MAX_REQUEST_ATTEMPTS))
            .timeout_config(timeouts.build())
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
            .http_client(self.http.clone());
        let mut builder = match credentials {
            S3Credentials::Keys(S3Keys { id, secret, token }) => {
                let [id, secret] = [id, secret].map(|part| part.current().expose_secret().to_owned());
                let token = token.as_ref().map(|token| token.current().expose_secret().to_owned());
                builder
                    .credentials_provider(Credentials::new(id, secret, token, None, "environment"))
                    .identity_cache(IdentityCache::no_cache())
            }
            S3Credentials::Chain => builder
                .credentials_provider(RoleChain::new(self.region.clone(), self.http.clone(), self.direct_http.clone()))
                .identity_cache(IdentityCache::lazy().load_timeout(ROLE_TIMEOUT).build()),
        };
        if let Some(endpoint) = &self.endpoint {
            builder = builder.endpoint_url(endpoint.as_str());
        }
        Client::from_conf(builder.build())
    }
}

fn http_client(proxy: fn() -> ProxyConfig, roots: Option<&RootFile>) -> SharedHttpClient {
    let store = roots.map(|file| TrustStore::default().with_pem_certificate(file.pem()));
    let trusted = store.map(|store| TlsContext::builder().with_trust_store(store).build());
    Builder::new().build_with_connector_fn(move |settings, components| {
        let mut connector = ConnectorBuilder::default()
            .tls_provider(Provider::Rustls(CryptoMode::AwsLc))
            .pool_idle_timeout(POOL_IDLE_TIMEOUT)
            .proxy_config(proxy());
        if let Some(Ok(context)) = &trusted {
            connector = connector.tls_context(context.clone());
        }
        connector.set_connector_settings(settings.cloned());
        if let Some(components) = components {
            connector.set_sleep_impl(components.sleep_impl());
        }
        connector.build()
    })
}
