//! The configuration of the object store.

use std::{path::Path, time::Duration};

use assay_core::env::Variables;
use assay_network::RootFile;
use aws_sdk_s3::types::ServerSideEncryption;
use url::Url;

use crate::credentials::S3Credentials;

/// The address of the object store, its keys and limits.
#[derive(Clone, Debug)]
pub struct ObjectsConfig {
    /// `None` is AWS in `region`.
    pub endpoint: Option<Url>,
    /// The region that requests are signed for.
    pub region: String,
    /// The bucket of this deployment, for new files. Other files name their bucket in their row.
    pub bucket: String,
    pub credentials: S3Credentials,
    /// Whether the bucket stands in the path, or else in the host name.
    pub path_style: bool,
    /// What every written object has.
    pub writing: WriteOptions,
    /// Certificates that are trusted besides the system's.
    pub roots: Option<RootFile>,
    /// The deadline of one operation, retries and body included.
    pub operation: Duration,
    /// Operations at the same time. The others wait; their deadline starts after the wait.
    pub concurrency: usize,
}

/// What a deployment demands of every object that is written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WriteOptions {
    /// Whether a CRC32 goes with the object. A bucket with Object Lock demands one.
    pub checksum: bool,
    pub encryption: Option<ServerSideEncryption>,
    /// The key of a key management service.
    pub kms_key: Option<String>,
}

impl ObjectsConfig {
    /// Reads the variables of the object store; faults stay in `vars`.
    pub fn load(vars: &mut Variables) -> Self {
        let endpoint = vars.optional("S3_ENDPOINT", "URL of the object store; empty means AWS");
        let endpoint = endpoint.and_then(|text| parse_endpoint(vars, &text));
        Self {
            region: vars.first_of(
                &["S3_REGION", "AWS_REGION", "AWS_DEFAULT_REGION"],
                "us-east-1",
                "region that requests are signed for",
            ),
            bucket: vars.required("S3_BUCKET", "the bucket of transcripts and reports"),
            credentials: S3Credentials::load(vars, endpoint.as_ref()),
            path_style: vars.one_of(
                "S3_PATH_STYLE",
                &[("true", true), ("false", false)],
                "whether the bucket stands in the path of an address (true), or in its host name (false)",
            ),
            writing: write_options(vars),
            roots: roots(vars),
            operation: vars.millis(
                "S3_OPERATION_TIMEOUT_MS",
                Duration::from_secs(30),
                "deadline of one object store operation, with retries and body, ms",
            ),
            // More operations do not make a store faster, and each needs a connection with its buffers.
            concurrency: vars.number("S3_CONCURRENCY", 64, 1..=10_000, "object store operations at the same time"),
            endpoint,
        }
    }
}

fn write_options(vars: &mut Variables) -> WriteOptions {
    let checksum = vars.one_of(
        "S3_CHECKSUM",
        &[("crc32", true), ("off", false)],
        "checksum that goes with each written object: crc32, or off for stores that refuse it",
    );
    let encryption = vars.one_of(
        "S3_SSE",
        &[
            ("off", None),
            ("AES256", Some(ServerSideEncryption::Aes256)),
            ("aws:kms", Some(ServerSideEncryption::AwsKms)),
            ("aws:kms:dsse", Some(ServerSideEncryption::AwsKmsDsse)),
        ],
        "encryption that is asked for with each written object: off leaves it to the bucket",
    );
    let kms_key = vars.optional("S3_SSE_KMS_KEY_ID", "key for S3_SSE=aws:kms; empty uses the key of the account");
    let takes_key = matches!(encryption, Some(ServerSideEncryption::AwsKms | ServerSideEncryption::AwsKmsDsse));
    if kms_key.is_some() && !takes_key {
        vars.fault("S3_SSE_KMS_KEY_ID", "it has no meaning without S3_SSE=aws:kms");
    }
    WriteOptions { checksum, encryption, kms_key }
}

fn roots(vars: &mut Variables) -> Option<RootFile> {
    let name = "S3_CA_FILE";
    let path = vars.optional(name, "file of certificates (PEM) that are trusted besides the system's")?;
    match RootFile::read(Path::new(&path)) {
        Ok(roots) => Some(roots),
        Err(error) => {
            vars.invalid(name, &path, error);
            None
        }
    }
}

/// Accepts a URL without credentials: the SDK would put credentials into the host of every request.
///
/// A path gets a slash at its end, or the bucket would be glued to it.
fn parse_endpoint(vars: &mut Variables, text: &str) -> Option<Url> {
    let fault = match Url::parse(text.trim()) {
        Ok(url) if !url.username().is_empty() || url.password().is_some() => {
            "the URL must not contain a user name or a password; use S3_ACCESS_KEY_ID and S3_SECRET_ACCESS_KEY"
        }
        Ok(url) if url.query().is_some() || url.fragment().is_some() => "the URL must not contain a `?` or a `#`",
        Ok(mut url) if matches!(url.scheme(), "http" | "https") && url.has_host() => {
            if !url.path().ends_with('/') {
                url.set_path(&format!("{}/", url.path()));
            }
            return Some(url);
        }
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
        assert_eq!(named, ["missing S3_BUCKET"], "on AWS the keys may come from a role");
        let (_, faults) = load(&[("S3_ENDPOINT", "http://store:9000")]);
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
        for (text, kept) in [
            ("http://store", "http://store/"),
            ("http://store/s3", "http://store/s3/"),
            ("https://store/storage/v1/s3/", "https://store/storage/v1/s3/"),
            ("http://[::1]:9000/a%20b", "http://[::1]:9000/a%20b/"),
        ] {
            let endpoint = load(&[("S3_ENDPOINT", text)]).0.endpoint.expect("a URL");
            assert_eq!(endpoint.as_str(), kept);
        }
        for text in ["http://store/?x=1", "http://store/#x"] {
            let (_, faults) = load(&[("S3_ENDPOINT", text)]);
            assert!(faults[0].starts_with("invalid S3_ENDPOINT: the URL must not"), "{text}: {faults:?}");
        }
        for text in ["localhost:9000", "ftp://store", "/srv/store"] {
            let (_, faults) = load(&[("S3_ENDPOINT", text)]);
            assert!(faults[0].starts_with("invalid S3_ENDPOINT: expected a URL"), "{text}: {faults:?}");
        }
    }

    #[test]
    fn what_every_object_is_written_with_is_read() {
        let options = |pairs| {
            let (config, faults) = load(pairs);
            (config.writing, faults.into_iter().filter(|fault| fault.contains("S3_SSE")).collect::<Vec<_>>())
        };
        let plain = WriteOptions { checksum: true, encryption: None, kms_key: None };
        assert_eq!(options(&[]), (plain.clone(), vec![]));
        assert_eq!(options(&[("S3_CHECKSUM", "off")]).0, WriteOptions { checksum: false, ..plain.clone() });
        let (found, faults) = options(&[("S3_SSE", "aws:kms"), ("S3_SSE_KMS_KEY_ID", "alias/reports")]);
        assert_eq!((found.encryption, faults), (Some(ServerSideEncryption::AwsKms), vec![]));
        assert_eq!(found.kms_key.as_deref(), Some("alias/reports"));
        for pairs in [&[("S3_SSE_KMS_KEY_ID", "k")][..], &[("S3_SSE", "AES256"), ("S3_SSE_KMS_KEY_ID", "k")]] {
            assert_eq!(options(pairs).1, ["invalid S3_SSE_KMS_KEY_ID: it has no meaning without S3_SSE=aws:kms"]);
        }
        let faults = options(&[("S3_SSE", "kms")]).1;
        assert_eq!(faults, ["invalid S3_SSE `kms`: expected off, AES256, aws:kms or aws:kms:dsse"]);
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
