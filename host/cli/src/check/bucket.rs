//! Checks that the bucket can be read and written.

use assay_objects::{Objects, ObjectsConfig, ObjectsErrorKind};

use crate::check::check_result::CheckResult;

pub async fn check(config: Option<ObjectsConfig>) -> CheckResult {
    let name = "bucket";
    let Some(config) = config else {
        return CheckResult::skipped(name);
    };
    let error = match Objects::new(&config).probe().await {
        Ok(()) => {
            let detail = format!("wrote, read and deleted an object in {}", config.bucket);
            return CheckResult::ok(name, detail);
        }
        Err(error) => error,
    };
    let fix = match error.kind {
        ObjectsErrorKind::NoSuchBucket => "create the bucket, or correct S3_BUCKET",
        ObjectsErrorKind::AccessDenied => {
            "correct S3_ACCESS_KEY_ID and S3_SECRET_ACCESS_KEY, or grant them read, write and delete"
        }
        ObjectsErrorKind::ClockSkewed => "set the clock of this machine (NTP)",
        ObjectsErrorKind::OutOfFiles => "raise the limit of open files (ulimit -n)",
        ObjectsErrorKind::Network | ObjectsErrorKind::Timeout => "start the store, or correct S3_ENDPOINT",
        ObjectsErrorKind::Throttled | ObjectsErrorKind::Unavailable => "try again in a moment: the store is busy",
        ObjectsErrorKind::NotFound
        | ObjectsErrorKind::BrokenBody
        | ObjectsErrorKind::TooLarge { .. }
        | ObjectsErrorKind::Rejected => {
            "correct S3_ENDPOINT and S3_REGION: the server there does not behave like the store of this bucket"
        }
    };
    CheckResult::failed(name, error.to_string(), fix)
}
