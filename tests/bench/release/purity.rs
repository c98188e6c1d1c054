//! Whether each job ran on one release: the one that it pinned, the one that asked, and the one that its report names.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context;
use serde_json::Value;
use uuid::Uuid;

use crate::{guests::Release, model::Model, stage::Stage};

pub struct Purity {
    pub jobs: usize,
    /// Of those, the ones that more than one release had a hand in.
    pub mixed: usize,
}

/// Compares what the database, the model and the bucket say of every job that succeeded.
///
/// # Errors
/// A report is missing, or a job ran on an unknown release.
pub async fn check(stage: &Stage, model: &Model, releases: &[Release]) -> anyhow::Result<Purity> {
    let versions: BTreeMap<_, _> = releases.iter().map(|release| (&release.digest, &release.version)).collect();
    let rows: Vec<(Uuid, String, String)> =
        sqlx::query_as("select f.id, f.guest_digest, f.storage_key_report from files f where f.status = 'succeeded'")
            .fetch_all(&stage.pool)
            .await?;
    let attempts: Vec<(Uuid, Vec<String>)> = sqlx::query_as(
        "select j.file_id, array_agg(distinct a.guest_digest)
           from job_attempts a join processing_jobs j on j.id = a.job_id
          where a.guest_digest is not null
          group by j.file_id",
    )
    .fetch_all(&stage.pool)
    .await?;
    let attempts: BTreeMap<_, _> = attempts.into_iter().collect();
    let mut purity = Purity { jobs: rows.len(), mixed: 0 };
    for (file, digest, key) in rows {
        let version = *versions.get(&digest).context("a job ran on a release that was not published")?;
        let report = stage.objects.get(&key).context("a report is missing")?;
        let report: Value = serde_json::from_slice(&report).context("a report is no JSON")?;
        let pure = report["release"] == version.as_str()
            && model.asked_about(file) == BTreeSet::from([version.clone()])
            && attempts.get(&file).is_some_and(|digests| *digests == [digest]);
        purity.mixed += usize::from(!pure);
    }
    Ok(purity)
}
