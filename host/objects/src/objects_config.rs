//! The configuration of the object store.

use std::time::Duration;

use assay_core::env::Variables;
use secrecy::SecretString;
use url::Url;

/// The address of the object store, its keys and limits.
#[derive(Clone, Debug)]
pub struct ObjectsConfig {
    /// `None` is AWS in `region`.
    pub endpoint: Option<Url>,
    /// The region that requests are signed for.
    pub region: String,
    /// The bucket of this deployment, for new files. Other files name their bucket in their row.
    pub bucket: String,
    /// The id of the access key; not a secret.
    pub access_key: String,
    pub secret_key: SecretString,
    /// The deadline of one operation, retries and body included.
    pub operation: Duration,
    /// Operations at the same time. The others wait; their deadline starts after the wait.
    pub concurrency: usize,
}

impl ObjectsConfig {
    /// Reads the variables of the object store; faults stay in `vars`.
    pub fn load(vars: &mut Variables) -> Self {
        let endpoint = vars.optional("S3_ENDPOINT", "URL of the object store; empty means AWS");
        Self {
            endpoint: endpoint.and_then(|text| parse_endpoint(vars, &text)),
            region: vars.text("S3_REGION", "us-east-1", "region that requests are signed for"),
            bucket: vars.required("S3_BUCKET", "the bucket of transcripts and reports"),
            access_key: vars.required("S3_ACCESS_KEY_ID", "the id of the access key of the object store"),
            secret_key: vars
                .required_secret("S3_SECRET_ACCESS_KEY", "the secret of the access key of the object store"),
            operation: vars.millis(
                "S3_OPERATION_TIMEOUT_MS",
                Duration::from_secs(30),
                "deadline of one object store operation, with retries and body, ms",
            ),
            // More operations do not make a store faster, and each needs a connection with its buffers.
            concurrency: vars.number("S3_CONCURRENCY", 64, 1..=10_000, "object store operations at the same time"),
        }
    }
}

/// Accepts a URL without credentials: the SDK would put credentials into the host of every request.
fn parse_endpoint(vars: &mut Variables, text: &str) -> Option<Url> {
    let fault = match Url::parse(text.trim()) {
        Ok(url) if !url.username().is_empty() || url.password().is_some() => {
            "the URL must not contain a user name or a password; use S3_ACCESS_KEY_ID and S3_SECRET_ACCESS_KEY"
        }
        Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => return Some(url),
        // The value is not quoted: a malformed URL may hold a password.
        _ => "expected a URL such as https://s3.example.com",
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
        assert_eq!(named, ["missing S3_BUCKET", "missing S3_ACCESS_KEY_ID", "missing S3_SECRET_ACCESS_KEY"]);
    }

    #[test]
    fn an_endpoint_with_a_password_is_refused_and_not_quoted() {
        let (config, faults) = load(&[("S3_ENDPOINT", "http://me:hush@localhost:9000")]);
        assert_eq!(config.endpoint, None);
        assert!(faults[0].starts_with("invalid S3_ENDPOINT: the URL must not contain"), "{faults:?}");
        assert!(!faults.concat().contains("hush"));
    }

    #[test]
    fn an_endpoint_that_is_no_url_is_refused() {
        for text in ["localhost:9000", "ftp://store", "/srv/store"] {
            let (_, faults) = load(&[("S3_ENDPOINT", text)]);
            assert!(faults[0].starts_with("invalid S3_ENDPOINT: expected a URL"), "{text}: {faults:?}");
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
