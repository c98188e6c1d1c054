//! Checks that the bucket belongs to the database.

use assay_db::{Database, DatabaseConfig, DbError};
use assay_objects::{Objects, ObjectsConfig, ObjectsErrorKind};
use assay_worker::maintenance::orphans::{SweepConfig, SweepError, SweepMode, marker::Marker};
use uuid::Uuid;

use crate::check::check_result::CheckResult;

const NAME: &str = "sweep";

/// Compares the marker of the bucket with the database. With SWEEP off, a bucket needs no marker.
pub async fn check(
    database: Option<DatabaseConfig>,
    objects: Option<ObjectsConfig>,
    sweep: Option<SweepConfig>,
) -> CheckResult {
    let name = NAME;
    let (Some(database), Some(objects), Some(sweep)) = (database, objects, sweep) else {
        return CheckResult::skipped(name);
    };
    let database = match Database::new(database).installation().await {
        Ok(database) => database,
        // Only sweeping reads this table, so a worker runs without it.
        Err(error @ DbError::Refused(_)) => {
            let fix = "run `assay migrate`, or grant the user of DATABASE_URL rights on the table installation";
            return CheckResult::warning(name, error.to_string(), fix);
        }
        Err(_) => {
            return CheckResult {
                detail: "not checked: the database did not return its id".to_owned(),
                ..CheckResult::skipped(name)
            };
        }
    };
    check_marker(&objects, sweep.mode, database).await
}

async fn check_marker(objects: &ObjectsConfig, mode: SweepMode, database: Uuid) -> CheckResult {
    let name = NAME;
    match Marker::read(&Objects::new(objects)).await {
        Ok(Some(marker)) if marker.database == database => {
            CheckResult::ok(name, format!("{} is marked as the bucket of this database, {database}", objects.bucket))
        }
        Ok(Some(marker)) => {
            let detail = format!("{} is marked as the bucket of the database {}", objects.bucket, marker.database);
            let fix = "correct S3_BUCKET or DATABASE_URL; or, if this database replaces the other one, delete \
                        assay/database.json and run `assay sweep --mark`";
            CheckResult::warning(name, detail, fix)
        }
        Ok(None) if mode == SweepMode::Off => CheckResult::ok(name, "SWEEP is off, and the bucket is not marked"),
        Ok(None) => {
            let detail = format!("{} is not marked, so nothing is swept", objects.bucket);
            CheckResult::warning(name, detail, "if its objects belong to this database, run `assay sweep --mark`")
        }
        Err(SweepError::Objects(error)) if error.kind == ObjectsErrorKind::AccessDenied => CheckResult::warning(
            name,
            error.to_string(),
            "grant S3_ACCESS_KEY_ID read access to assay/database.json, if you want to sweep",
        ),
        Err(SweepError::Objects(error)) => {
            CheckResult { detail: format!("not checked: {error}"), ..CheckResult::skipped(name) }
        }
        Err(error) => CheckResult::warning(
            name,
            error.to_string(),
            "delete assay/database.json; if the bucket belongs to this database, run `assay sweep --mark`",
        ),
    }
}
