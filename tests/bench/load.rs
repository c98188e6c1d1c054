//! The loads that are put on the stage, and what they cost.

use std::{path::Path, time::Duration};

use anyhow::ensure;
use assay_tests::{AssayProcess, Authority};
use bytes::Bytes;

use crate::{
    model::Model,
    stage::{LOOK_EVERY, Stage, stop},
    talk::transcript,
    usage::{cpu_seconds, cpu_seconds_of_children, parent, peak_mb},
};

/// What the throughput run gave.
pub struct Throughput {
    /// CPU of the worker.
    pub cpu_ms_per_job: f64,
    /// CPU of the database.
    pub database_ms_per_job: f64,
    /// CPU of this process: the S3 server and the model.
    pub servers_ms_per_job: f64,
    /// From the first claim to the last settlement.
    pub jobs_per_second: f64,
    pub peak_mb: f64,
    /// Of the whole database, the worker being its only client.
    pub commits_per_job: f64,
    pub wal_bytes_per_job: f64,
}

/// What the pick-up run gave.
pub struct PickUp {
    /// Median.
    pub p50_ms: f64,
    /// 99th percentile.
    pub p99_ms: f64,
}

/// What the run against a slow model gave.
pub struct Crowd {
    /// Requests at the model at the same time, at most.
    pub in_flight: usize,
    pub peak_mb: f64,
    /// Beyond what the worker had before its first job, in KB of 10^3 bytes.
    pub kb_per_call: f64,
}

impl Stage {
    /// Many jobs at once.
    ///
    /// # Errors
    /// When not every job succeeds in time.
    pub async fn throughput(&self, build: &Path, jobs: usize, slots: usize) -> anyhow::Result<Throughput> {
        let transcript = Bytes::from(transcript());
        let model = Model::start(Duration::ZERO).await?;
        // A warm worker and a warm database: pools filled, plans cached, code paged in.
        self.add_files(500, |_| transcript.clone()).await?;
        let worker = self.worker(build, &model, slots).await?;
        self.enqueue_all().await?;
        self.wait_until_done(LOOK_EVERY).await?;
        self.add_files(jobs, |_| transcript.clone()).await?;
        sqlx::query("checkpoint").execute(&self.pool).await?;

        let (commits, wal) = (self.commits().await?, self.wal().await?);
        let (database, servers, cpu) = self.cpu(&worker).await?;
        let life = self.enqueue_all().await?;
        self.wait_until_done(LOOK_EVERY).await?;
        let (database_after, servers_after, cpu_after) = self.cpu(&worker).await?;
        let (commits, wal) = (self.commits().await? - commits, self.wal().await? - wal);
        let seconds: f64 = sqlx::query_scalar(
            "select extract(epoch from max(processed_at) - min(started_at))::float8 from files where status = 'succeeded' and queued_at = $1",
        )
        .bind(life)
        .fetch_one(&self.pool)
        .await?;
        let peak_mb = peak_mb(worker.id())?;
        stop(worker).await?;
        let jobs = jobs as f64;
        Ok(Throughput {
            cpu_ms_per_job: (cpu_after - cpu) * 1e3 / jobs,
            database_ms_per_job: (database_after - database) * 1e3 / jobs,
            servers_ms_per_job: (servers_after - servers) * 1e3 / jobs,
            jobs_per_second: jobs / seconds,
            peak_mb,
            commits_per_job: commits / jobs,
            wal_bytes_per_job: wal / jobs,
        })
    }

    /// Returns one job after the other, each for an idle worker.
    ///
    /// # Errors
    /// When not every job succeeds in time.
    pub async fn pick_up(&self, jobs: usize) -> anyhow::Result<PickUp> {
        let transcript = Bytes::from(transcript());
        let model = Model::start(Duration::ZERO).await?;
        let worker = self.worker(&assay_tests::binary(), &model, 64).await?;
        let files = self.add_files(jobs, |_| transcript.clone()).await?;
        let mut lags = Vec::with_capacity(jobs);
        for file in files {
            sqlx::query("select assay_enqueue($1)").bind(file).execute(&self.pool).await?;
            self.wait_until_done(Duration::from_millis(5)).await?;
            let lag: f64 = sqlx::query_scalar(
                "select extract(epoch from started_at - queued_at)::float8 from files where id = $1",
            )
            .bind(file)
            .fetch_one(&self.pool)
            .await?;
            lags.push(lag * 1e3);
        }
        stop(worker).await?;
        lags.sort_by(f64::total_cmp);
        Ok(PickUp { p50_ms: lags[jobs / 2], p99_ms: lags[(jobs * 99 / 100).min(jobs - 1)] })
    }

    /// As many jobs in flight as there are slots, against a model that takes 5 s.
    ///
    /// # Errors
    /// When not every job succeeds in time.
    pub async fn crowd(&self, build: &Path, slots: usize, authority: Option<&Authority>) -> anyhow::Result<Crowd> {
        let transcript = Bytes::from(transcript());
        let model = Model::start_with(Duration::from_secs(5), authority).await?;
        let worker = self.worker(build, &model, slots).await?;
        let idle_mb = peak_mb(worker.id())?;
        self.add_files(slots * 3, |_| transcript.clone()).await?;
        self.enqueue_all().await?;
        self.wait_until_done(LOOK_EVERY).await?;
        let (in_flight, peak_mb) = (model.most_in_flight(), peak_mb(worker.id())?);
        stop(worker).await?;
        Ok(Crowd { in_flight, peak_mb, kb_per_call: (peak_mb - idle_mb) * 1e3 / in_flight.max(1) as f64 })
    }

    async fn worker(&self, build: &Path, model: &Model, slots: usize) -> anyhow::Result<AssayProcess> {
        let mut env = self.env(&model.base_url, slots);
        env.extend(model.certificate.iter().map(|file| ("SSL_CERT_FILE".to_owned(), file.display().to_string())));
        let worker = AssayProcess::spawn_program(build, &["worker"], &env);
        worker.wait_for_line("worker started").await;
        Ok(worker)
    }

    /// Enqueues every file that was never enqueued, in one transaction; returns its time, by which they are found.
    async fn enqueue_all(&self) -> anyhow::Result<time::OffsetDateTime> {
        let mut transaction = self.pool.begin().await?;
        let now = sqlx::query_scalar("select now()").fetch_one(&mut *transaction).await?;
        sqlx::query("select assay_enqueue(id) from files where status = 'uploaded'").execute(&mut *transaction).await?;
        transaction.commit().await?;
        Ok(now)
    }

    async fn wait_until_done(&self, every: Duration) -> anyhow::Result<()> {
        let failed = self.wait_until_quiet(every).await?;
        ensure!(failed == 0, "{failed} jobs failed");
        Ok(())
    }

    /// Returns seconds of CPU that were used so far: by the database, by this process, by the worker.
    async fn cpu(&self, worker: &AssayProcess) -> anyhow::Result<(f64, f64, f64)> {
        let backend: i32 = sqlx::query_scalar("select pg_backend_pid()").fetch_one(&self.pool).await?;
        let postmaster = parent(u32::try_from(backend)?)?;
        Ok((cpu_seconds_of_children(postmaster)?, cpu_seconds(std::process::id())?, cpu_seconds(worker.id())?))
    }

    async fn commits(&self) -> anyhow::Result<f64> {
        // Backends report their statistics when they are idle for a moment.
        sqlx::query("select pg_stat_force_next_flush()").execute(&self.pool).await?;
        tokio::time::sleep(Duration::from_millis(1200)).await;
        Ok(sqlx::query_scalar::<_, i64>("select xact_commit from pg_stat_database where datname = current_database()")
            .fetch_one(&self.pool)
            .await? as f64)
    }

    async fn wal(&self) -> anyhow::Result<f64> {
        Ok(sqlx::query_scalar("select pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::float8")
            .fetch_one(&self.pool)
            .await?)
    }
}
