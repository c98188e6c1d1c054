//! Checks that the bucket can be read and written.

use assay_network::ConnectionFault;
use assay_objects::{MayList, Objects, ObjectsConfig, ObjectsError, ObjectsErrorKind, RoleFault, S3Credentials};

use crate::check::check_result::CheckResult;

pub async fn check(config: Option<ObjectsConfig>) -> CheckResult {
    let name = "bucket";
    let Some(config) = config else {
        return CheckResult::skipped(name);
    };
    let error = match Objects::new(&config).probe().await {
        Ok(may_list) => return usable(&config, may_list),
        Err(error) => error,
    };
    let detail = match (&error.kind, &config.endpoint) {
        (ObjectsErrorKind::Network(_) | ObjectsErrorKind::Timeout, Some(endpoint)) => {
            let (host, port) = (endpoint.host_str().unwrap_or_default(), endpoint.port_or_known_default().unwrap_or(0));
            format!("{error} ({host}:{port})")
        }
        _ => error.to_string(),
    };
    CheckResult::failed(name, detail, &fix(&error, &config))
}

fn usable(config: &ObjectsConfig, may_list: MayList) -> CheckResult {
    let name = "bucket";
    let detail = format!("wrote, read and deleted an object in {}", config.bucket);
    if may_list == MayList::No {
        let detail = format!("{detail}, but may not list it (s3:ListBucket)");
        let fix = "grant s3:ListBucket on the bucket: without it nothing is swept, and a missing transcript looks like a \
                   refused one";
        return CheckResult::warning(name, detail, fix);
    }
    let is_remote = config.endpoint.as_ref().is_some_and(|url| !assay_core::loopback::is_loopback(url));
    if is_remote && config.endpoint.as_ref().is_some_and(|url| url.scheme() == "http") {
        let detail = format!("{detail}, unencrypted: transcripts and reports can be read on the way");
        return CheckResult::warning(name, detail, "use https in S3_ENDPOINT");
    }
    CheckResult::ok(name, detail)
}

fn fix(error: &ObjectsError, config: &ObjectsConfig) -> String {
    if let Some(region) = error.region.as_deref().filter(|region| *region != config.region) {
        return format!("the bucket is in another region: set S3_REGION={region}");
    }
    let has_keys = matches!(config.credentials, S3Credentials::Keys(_));
    let fix = match error.kind {
        ObjectsErrorKind::NoSuchBucket => "create the bucket, or correct S3_BUCKET",
        ObjectsErrorKind::AccessDenied if !has_keys => "grant the role read, write and delete on the bucket",
        ObjectsErrorKind::AccessDenied => {
            "correct S3_ACCESS_KEY_ID and S3_SECRET_ACCESS_KEY, or grant them read, write and delete"
        }
        ObjectsErrorKind::KeysExpired if has_keys => {
            "renew S3_ACCESS_KEY_ID, S3_SECRET_ACCESS_KEY and S3_SESSION_TOKEN, or use a role, which renews itself"
        }
        ObjectsErrorKind::KeysExpired => "look at what gives this process its role: its keys have ended",
        ObjectsErrorKind::NoKeys(RoleFault::NotFound) => {
            "set S3_ACCESS_KEY_ID and S3_SECRET_ACCESS_KEY, or give this process a role (AWS_PROFILE, a service account, an \
             instance profile)"
        }
        ObjectsErrorKind::NoKeys(RoleFault::Misconfigured) => "correct AWS_PROFILE and the files of AWS that it names",
        ObjectsErrorKind::NoKeys(RoleFault::Refused) => {
            "let this process assume the role: AWS_ROLE_ARN, the role's trust policy, and the token it comes with"
        }
        ObjectsErrorKind::NoKeys(RoleFault::Unavailable) => {
            "look at the way to the service that gives the keys: STS, the container's or the instance's endpoint"
        }
        ObjectsErrorKind::PathStyleRefused => "set S3_PATH_STYLE=false",
        ObjectsErrorKind::ClockSkewed => "set the clock of this machine (NTP)",
        ObjectsErrorKind::OutOfFiles => "raise the limit of open files (ulimit -n)",
        ObjectsErrorKind::Network(Some(ConnectionFault::Certificate(_))) => {
            "put the issuer's certificate (PEM) into a file, and its path into S3_CA_FILE, or SSL_CERT_FILE in the environment"
        }
        ObjectsErrorKind::Network(_) | ObjectsErrorKind::Timeout => "start the store, or correct S3_ENDPOINT",
        ObjectsErrorKind::Throttled | ObjectsErrorKind::Unavailable => "try again in a moment: the store is busy",
        ObjectsErrorKind::NotFound
        | ObjectsErrorKind::BrokenBody
        | ObjectsErrorKind::BadEncoding
        | ObjectsErrorKind::TooLarge { .. }
        | ObjectsErrorKind::Rejected => {
            "correct S3_ENDPOINT and S3_REGION: the server there does not behave like the store of this bucket"
        }
    };
    fix.to_owned()
}
