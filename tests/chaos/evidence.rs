//! What a run has left behind: rows, objects, calls, logs. Gathered when it is quiet; the invariants look at nothing else.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use bytes::Bytes;
use sqlx::{FromRow, PgPool};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{
    faults::met::Dealt,
    fleet::{Death, Stall},
    ledger::Asked,
    log_search::{Found, search},
    old,
    revision::Revision,
    stage::Stage,
    standby::{Heal, Standby},
};

const FILE_CHANGES: &str = "
    select f.actor, f.file, f.report_from, f.report_to,
           exists (select from chaos.jobs j
                    where j.file = f.file and j.transaction = f.transaction and j.actor = f.actor) as with_job
      from chaos.files f
     order by f.id";

/// A row of `files`.
#[derive(Debug, Clone, FromRow)]
pub struct File {
    pub id: Uuid,
    pub name: String,
    pub status: String,
    pub error_code: Option<String>,
    pub original: String,
    pub report: Option<String>,
    pub raw: Option<String>,
    pub schema_version: Option<String>,
}

/// A row of `processing_jobs`.
#[derive(Debug, Clone, FromRow)]
pub struct Job {
    pub id: Uuid,
    pub file: Uuid,
    pub status: String,
    pub life: i32,
    pub error_code: Option<String>,
    /// Whether it has used all its attempts.
    pub spent: bool,
}

/// A row of `job_attempts`.
#[derive(Debug, Clone, FromRow)]
pub struct Attempt {
    pub job: Uuid,
    pub token: i64,
    pub life: i32,
    pub outcome: String,
    pub code: Option<String>,
    pub report: Option<String>,
    /// The guest that it ran on.
    pub guest: Option<String>,
}

/// A row of `job_answers` that is there at the end.
#[derive(Debug, Clone, FromRow)]
pub struct Answer {
    pub job: Uuid,
    pub life: i32,
    pub ordinal: i32,
    pub key: String,
}

/// A change of a job, as the audit wrote it down.
#[derive(Debug, Clone, FromRow)]
pub struct Change {
    pub at: OffsetDateTime,
    pub actor: String,
    pub job: Uuid,
    pub life: i32,
    pub token: i64,
    pub status_from: String,
    pub status_to: String,
    pub holder_from: Option<String>,
    pub holder_to: Option<String>,
    pub code: Option<String>,
    pub lease_until: Option<OffsetDateTime>,
}

/// A change of a file, as the audit wrote it down.
#[derive(Debug, Clone, FromRow)]
pub struct FileChange {
    pub actor: String,
    pub file: Uuid,
    /// Whether the same process changed its job in the same transaction.
    pub with_job: bool,
    pub report_from: Option<String>,
    pub report_to: Option<String>,
}

/// A beat that is not the holder's, as the audit wrote it down.
#[derive(Debug, Clone, FromRow)]
pub struct Beat {
    pub actor: String,
    pub job: Uuid,
    pub holder: Option<String>,
}

/// A write of the journal, as the audit wrote it down.
#[derive(Debug, Clone, FromRow)]
pub struct Written {
    pub at: OffsetDateTime,
    pub actor: String,
    pub holder: Option<String>,
    pub held: Option<i64>,
    pub token: i64,
    pub job: Uuid,
    pub life: i32,
    pub ordinal: i32,
    pub prompt_sha256: Vec<u8>,
}

#[derive(Debug, Clone, Default)]
pub struct Evidence {
    pub files: Vec<File>,
    pub jobs: Vec<Job>,
    pub attempts: Vec<Attempt>,
    pub answers: Vec<Answer>,
    /// Changes of jobs, the first one first.
    pub changes: Vec<Change>,
    /// Changes of files, the first one first.
    pub file_changes: Vec<FileChange>,
    pub strange_beats: Vec<Beat>,
    /// Writes of the journal, the first one first.
    pub written: Vec<Written>,
    /// Calls of the model, in the order of arrival.
    pub calls: Vec<Asked>,
    /// Calls of workers that could not be read.
    pub unread: usize,
    /// What befell questions at the model.
    pub dealt: Vec<Dealt>,
    pub deaths: Vec<Death>,
    /// Workers that were stopped and went on.
    pub stalls: Vec<Stall>,
    /// The revision of each worker, by its id.
    pub revisions: BTreeMap<String, Revision>,
    /// The keys that are left after the sweep.
    pub keys: BTreeSet<String>,
    /// What lies under the keys that files name.
    pub documents: BTreeMap<String, Bytes>,
    /// What was found in the logs.
    pub logs: Found,
    /// The longest until a dead worker's job may run again; none where times are no verdict.
    pub rescue_bound: Option<Duration>,
    /// How failovers ended.
    pub heals: Vec<Heal>,
    /// The longest until a job ends after a failover; none where times are no verdict.
    pub flow_bound: Option<Duration>,
}

impl Evidence {
    /// Gathers it from a stage that is quiet and swept, and whose workers have ended. The jobs of a swarm that wait for the far
    /// future are left out: they have a verdict of their own.
    ///
    /// # Errors
    /// If a part of it cannot be read.
    pub async fn gather(stage: &Stage) -> anyhow::Result<Self> {
        let pool = &stage.services.pool;
        let files: Vec<File> = all(
            pool,
            "select f.id, f.original_filename as name, f.status, f.error_code, f.storage_key_original as original,
                    f.storage_key_report as report, f.storage_key_raw_llm_output as raw, f.schema_version
               from files f
              where f.storage_key_original not like 'users/future/%'",
        )
        .await?;
        let jobs = all(
            pool,
            "select j.id, j.file_id as file, j.status, j.life, j.last_error_code as error_code,
                    j.attempts >= j.max_attempts as spent
               from processing_jobs j
               join files f on f.id = j.file_id
              where f.storage_key_original not like 'users/future/%'",
        )
        .await?;
        let attempts = "select job_id as job, lease_token as token, life, outcome, code, report_key as report,
                               guest_digest as guest
                          from job_attempts";
        let answers = "select job_id as job, life, ordinal, key from job_answers";
        let mut documents = BTreeMap::new();
        for key in files.iter().flat_map(|file| file.report.iter().chain(&file.raw)) {
            if let Some(bytes) = stage.services.objects.get(key).await {
                documents.insert(key.clone(), bytes);
            }
        }
        Ok(Self {
            files,
            jobs,
            attempts: all(pool, attempts).await?,
            answers: all(pool, answers).await?,
            changes: all(pool, "select * from chaos.jobs order by id").await?,
            file_changes: all(pool, FILE_CHANGES).await?,
            strange_beats: all(pool, "select actor, job, holder from chaos.beats").await?,
            written: all(pool, "select * from chaos.answers order by id").await?,
            calls: stage.ledger.calls(),
            unread: stage.ledger.unread(),
            dealt: stage.met.dealt(),
            deaths: stage.fleet.deaths(),
            stalls: stage.fleet.stalls(),
            revisions: stage.fleet.revisions(),
            keys: ["users/", old::REPORTS].into_iter().flat_map(|prefix| stage.services.objects.list(prefix)).collect(),
            documents,
            logs: search(stage.fleet.logs())?,
            rescue_bound: stage.services.times.rescue,
            heals: stage.standby.as_ref().map(Standby::heals).unwrap_or_default(),
            flow_bound: stage.services.times.flow,
        })
    }

    /// Returns the job of a file.
    pub fn job_of(&self) -> BTreeMap<Uuid, Uuid> {
        self.jobs.iter().map(|job| (job.file, job.id)).collect()
    }

    /// Returns the job of each file, whole.
    pub fn job_rows(&self) -> BTreeMap<Uuid, &Job> {
        self.jobs.iter().map(|job| (job.file, job)).collect()
    }

    /// Returns the changes of each job, the first one first.
    pub fn changes_of(&self) -> BTreeMap<Uuid, Vec<&Change>> {
        let mut changes = BTreeMap::<_, Vec<_>>::new();
        for change in &self.changes {
            changes.entry(change.job).or_default().push(change);
        }
        changes
    }
}

async fn all<T>(pool: &PgPool, sql: &'static str) -> sqlx::Result<Vec<T>>
where
    T: for<'r> FromRow<'r, sqlx::postgres::PgRow> + Send + Unpin,
{
    sqlx::query_as(sql).fetch_all(pool).await
}
