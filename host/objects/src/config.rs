//! What the operator says about the object store.

use std::time::Duration;

use assay_core::env::Variables;
use secrecy::SecretString;
use url::Url;

/// Where the objects live and with which keys they are reached.
#[derive(Clone, Debug)]
pub struct ObjectsConfig {
    /// The store; none is AWS in `region`.
    pub endpoint: Option<Url>,
    /// The region that requests are signed for.
    pub region: String,
    /// The bucket of this deployment: `submit` writes there and `check` looks at it. Reads follow the file's own row.
    pub bucket: String,
    /// The access key's id; not a secret.
    pub access_key: String,
    /// The access key's secret.
    pub secret_key: SecretString,
    /// The deadline of one read, write or delete, retries and body included.
    pub operation: Duration,
    /// Operations at the same time; the rest wait their turn, before their deadline starts.
    pub concurrency: usize,
}

impl ObjectsConfig {
    /// Reads the variables of the object store; faults stay in `vars`.
    pub fn load(vars: &mut Variables) -> Self {
        let endpoint = vars.optional("S3_ENDPOINT", "the object store's URL; empty is AWS itself");
        Self {
            endpoint: endpoint.and_then(|text| parse_endpoint(vars, &text)),
            region: vars.text("S3_REGION", "us-east-1", "the region that requests are signed for"),
            bucket: vars.required("S3_BUCKET", "the bucket that holds transcripts and reports"),
            access_key: vars.required("S3_ACCESS_KEY_ID", "the id of the object store's access key"),
            secret_key: vars.required_secret("S3_SECRET_ACCESS_KEY", "the secret of the object store's access key"),
            operation: vars.millis(
                "S3_OPERATION_TIMEOUT_MS",
                Duration::from_secs(30),
                "deadline of one object store operation, retries and body included",
            ),
            // More do not make a store faster, and each costs a connection with its buffers: thousands of jobs may come at
            // once.
            concurrency: vars.number("S3_CONCURRENCY", 64, 1..=10_000, "object store operations at the same time"),
        }
    }
}

/// A URL that can carry a bucket as path, without credentials: the SDK would put those into every request's host.
fn parse_endpoint(vars: &mut Variables, text: &str) -> Option<Url> {
    let fault = match Url::parse(text.trim()) {
        Ok(url) if !url.username().is_empty() || url.password().is_some() => {
            "carries a user name or a password; use S3_ACCESS_KEY_ID and S3_SECRET_ACCESS_KEY".to_owned()
        }
        Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => return Some(url),
        // Not quoted: what is almost a URL may hold a password.
        _ => "is not a URL such as https://s3.example.com".to_owned(),
    };
    vars.fault("S3_ENDPOINT", fault);
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(pairs: &[(&str, &str)]) -> (ObjectsConfig, Vec<String>) {
        let values = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let mut vars = Variables::from_map(values);
        let config = ObjectsConfig::load(&mut vars);
        let faults = vars.finish().err().unwrap_or_default();
        (config, faults.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn every_missing_variable_is_named() {
        let (_, faults) = load(&[]);
        let named: Vec<_> = faults.iter().filter_map(|fault| fault.split(':').next()).collect();
        assert_eq!(named, ["S3_BUCKET", "S3_ACCESS_KEY_ID", "S3_SECRET_ACCESS_KEY"]);
    }

    #[test]
    fn an_endpoint_with_a_password_is_refused_and_not_quoted() {
        let (config, faults) = load(&[("S3_ENDPOINT", "http://me:hush@localhost:9000")]);
        assert_eq!(config.endpoint, None);
        assert!(faults[0].starts_with("S3_ENDPOINT: carries"), "{faults:?}");
        assert!(!faults.concat().contains("hush"));
    }

    #[test]
    fn an_endpoint_that_is_no_url_is_refused() {
        for text in ["localhost:9000", "ftp://store", "/srv/store"] {
            let (_, faults) = load(&[("S3_ENDPOINT", text)]);
            assert!(faults[0].starts_with("S3_ENDPOINT: is"), "{text}: {faults:?}");
        }
    }

    #[test]
    fn a_complete_configuration_is_read() {
        let (config, faults) = load(&[
            ("S3_ENDPOINT", "http://127.0.0.1:9000"),
            ("S3_BUCKET", "files"),
            ("S3_ACCESS_KEY_ID", "id"),
            ("S3_SECRET_ACCESS_KEY", "hush"),
            ("S3_OPERATION_TIMEOUT_MS", "1500"),
        ]);
        assert_eq!(faults, Vec::<String>::new());
        assert_eq!(config.operation, Duration::from_millis(1500));
        assert_eq!(config.region, "us-east-1");
        assert!(!format!("{config:?}").contains("hush"));
    }
}
