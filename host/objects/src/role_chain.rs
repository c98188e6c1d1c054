//! The AWS chain of roles: who this process is, where no keys were given.
//!
//! It reads the process's environment itself, as every AWS tool does (ADR 0021).

use std::time::Duration;

use aws_config::{
    ecs::EcsCredentialsProvider,
    imds::{self, credentials::ImdsCredentialsProvider},
    meta::credentials::CredentialsProviderChain,
    profile::ProfileFileCredentialsProvider,
    provider_config::ProviderConfig,
    web_identity_token::WebIdentityTokenCredentialsProvider,
};
use aws_credential_types::provider::{error::CredentialsError, future};
use aws_sdk_s3::config::{ProvideCredentials, Region, SharedHttpClient, retry::RetryConfig, timeout::TimeoutConfig};
use tokio::{sync::OnceCell, time::timeout};

/// An instance answers within milliseconds; elsewhere there is no answer, only the wait.
const METADATA_TIMEOUT: Duration = Duration::from_secs(2);
/// The token service, with its retries.
const SERVICE_TIMEOUT: Duration = Duration::from_secs(10);

/// The sources in AWS's own order. Set up at the first use, because reading profiles is asynchronous.
#[derive(Debug)]
pub(crate) struct RoleChain {
    region: Region,
    /// For the token service: follows proxies as all requests do.
    http: SharedHttpClient,
    /// For addresses of this machine: no proxy knows them.
    direct_http: SharedHttpClient,
    chain: OnceCell<CredentialsProviderChain>,
}

impl RoleChain {
    pub(crate) fn new(region: Region, http: SharedHttpClient, direct_http: SharedHttpClient) -> Self {
        Self { region, http, direct_http, chain: OnceCell::new() }
    }

    fn sources(&self) -> CredentialsProviderChain {
        let timeouts = TimeoutConfig::builder().operation_timeout(SERVICE_TIMEOUT).build();
        let base = ProviderConfig::default()
            .with_region(Some(self.region.clone()))
            .with_timeout_config(timeouts)
            .with_retry_config(RetryConfig::standard());
        let service = base.clone().with_http_client(self.http.clone());
        let direct = base.with_http_client(self.direct_http.clone());
        let metadata = imds::Client::builder()
            .configure(&direct)
            .max_attempts(1)
            .connect_timeout(METADATA_TIMEOUT / 2)
            .read_timeout(METADATA_TIMEOUT / 2)
            .operation_timeout(METADATA_TIMEOUT / 2)
            .build();
        CredentialsProviderChain::first_try(
            "profile",
            ProfileFileCredentialsProvider::builder().configure(&service).build(),
        )
        .or_else("web identity", WebIdentityTokenCredentialsProvider::builder().configure(&service).build())
        .or_else("container", EcsCredentialsProvider::builder().configure(&direct).build())
        .or_else(
            "instance",
            Instance(ImdsCredentialsProvider::builder().configure(&direct).imds_client(metadata).build()),
        )
    }
}

/// The role of the instance, asked for a bounded time.
#[derive(Debug)]
struct Instance(ImdsCredentialsProvider);

impl ProvideCredentials for Instance {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(async {
            let asked = timeout(METADATA_TIMEOUT, self.0.provide_credentials()).await;
            asked.unwrap_or_else(|_| Err(CredentialsError::provider_timed_out(METADATA_TIMEOUT)))
        })
    }
}

impl ProvideCredentials for RoleChain {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(async {
            let chain = self.chain.get_or_init(async || self.sources()).await;
            chain.provide_credentials().await
        })
    }
}
