//! A job's life as a state machine: random interleavings of everything that may happen to a job, on a model and on the real SQL, which
//! have to agree after each step. Over 400 lines, because a model is only worth reading beside what it is compared with.

use std::time::Duration;

use assay_core::{
    attempt_usage::AttemptUsage,
    code::Code,
    ids::{FileId, JobId},
    job_error::Step,
    lease::{Lease, LeaseToken},
    serving::Serving,
    settlement::{Failure, FileResult, Settlement},
};
use assay_db::{
    Database, DatabaseConfig,
    journal::{NewEntry, Recorded},
    queue::{CancelOutcome, RequeuePace, Settled},
};
use assay_tests::TestDatabase;
use proptest::{
    prelude::*,
    test_runner::{Config, TestCaseError, TestRunner},
};
use sqlx::{AssertSqlSafe, Row};
use uuid::Uuid;

/// Attempts that a job has: so few that many interleavings spend them.
const MAX_ATTEMPTS: i32 = 2;
/// A wait that no test lives to see the end of.
const LONG: Duration = Duration::from_secs(3600);

#[derive(Clone, Copy, Debug)]
enum Op {
    Enqueue,
    Claim,
    /// By who holds the job now, or by who held it before.
    Beat(Holder),
    /// An answer to the next question reaches the journal.
    Answer(Holder),
    Settle(Holder, End),
    /// The worker is not heard of any more.
    Crash,
    Reap,
    Cancel,
    Retry,
    Rerun,
    /// The wait of a job that waits is over.
    BecomeDue,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Holder {
    Present,
    Former,
}

#[derive(Clone, Copy, Debug)]
enum End {
    Succeed,
    Fail(Code),
    Retry,
    Snooze,
    Hold,
    Release,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Phase {
    Absent,
    Queued,
    Processing,
    Succeeded,
    Failed(Code),
}

/// What a job has to be like.
#[derive(Clone, Debug, PartialEq)]
struct Model {
    phase: Phase,
    life: i32,
    attempts: i32,
    snoozes: i32,
    token: i64,
    pinned: bool,
    cancel: bool,
    due: bool,
    expired: bool,
    /// The file's report: of the last life that made one.
    report: Option<String>,
    /// Claims that have ended, in all lives.
    ended: i64,
    /// Answers in the journal of this life.
    answers: i32,
}

impl Model {
    fn new() -> Self {
        Self {
            phase: Phase::Absent,
            life: 1,
            attempts: 0,
            snoozes: 0,
            token: 0,
            pinned: false,
            cancel: false,
            due: true,
            expired: false,
            report: None,
            ended: 0,
            answers: 0,
        }
    }

    fn is_ended(&self) -> bool {
        matches!(self.phase, Phase::Succeeded | Phase::Failed(_))
    }

    fn begin_life(&mut self, keeps_pin: bool) {
        *self = Self {
            phase: Phase::Queued,
            life: self.life + 1,
            attempts: 0,
            snoozes: 0,
            pinned: self.pinned && keeps_pin,
            answers: if keeps_pin { self.answers } else { 0 },
            cancel: false,
            due: true,
            ..self.clone()
        };
    }

    fn wait(&mut self, due: bool, attempt_given_back: bool) {
        self.phase = Phase::Queued;
        self.due = due;
        self.attempts -= i32::from(attempt_given_back);
    }

    /// Returns what a settlement under this token has to come to.
    fn settle(&mut self, token: i64, end: End) -> Settled {
        if self.phase != Phase::Processing || token != self.token {
            return Settled::Lost;
        }
        if self.cancel && !matches!(end, End::Succeed | End::Fail(_)) {
            return Settled::CancelRequested;
        }
        self.ended += 1;
        match end {
            End::Succeed => {
                self.phase = Phase::Succeeded;
                self.report = Some(report(token));
            }
            End::Fail(code) => self.phase = Phase::Failed(code),
            End::Retry => self.wait(false, false),
            End::Snooze => {
                self.snoozes += 1;
                self.wait(false, true);
            }
            End::Hold => self.wait(false, true),
            End::Release => self.wait(true, true),
        }
        Settled::Done
    }

    fn reap(&mut self) {
        if self.phase != Phase::Processing || !self.expired {
            return;
        }
        self.ended += 1;
        match (self.cancel, self.attempts >= MAX_ATTEMPTS) {
            (true, _) => self.phase = Phase::Failed(Code::Cancelled),
            (false, true) => self.phase = Phase::Failed(Code::WorkerLost),
            (false, false) => self.wait(true, false),
        }
    }
}

fn report(token: i64) -> String {
    format!("report-{token}")
}

fn op() -> impl Strategy<Value = Op> {
    let holder = || prop_oneof![4 => Just(Holder::Present), 1 => Just(Holder::Former)];
    let end = prop_oneof![
        3 => Just(End::Succeed),
        2 => prop::sample::select(vec![Code::SchemaValidationFailed, Code::LlmContextTooLong]).prop_map(End::Fail),
        2 => Just(End::Retry),
        1 => Just(End::Snooze),
        1 => Just(End::Hold),
        1 => Just(End::Release),
    ];
    prop_oneof![
        2 => Just(Op::Enqueue),
        6 => Just(Op::Claim),
        2 => holder().prop_map(Op::Beat),
        3 => holder().prop_map(Op::Answer),
        6 => (holder(), end).prop_map(|(holder, end)| Op::Settle(holder, end)),
        2 => Just(Op::Crash),
        3 => Just(Op::Reap),
        1 => Just(Op::Cancel),
        2 => Just(Op::Retry),
        1 => Just(Op::Rerun),
        3 => Just(Op::BecomeDue),
    ]
}

struct Real {
    owner: TestDatabase,
    database: Database,
}

impl Real {
    async fn start() -> Self {
        let owner = TestDatabase::new().await;
        let few = format!("alter table processing_jobs alter max_attempts set default {MAX_ATTEMPTS}");
        sqlx::query(AssertSqlSafe(few)).execute(owner.pool()).await.expect("a default");
        let config = DatabaseConfig::from_url(&owner.url().into()).expect("a Postgres URL");
        Self { owner, database: Database::new(config) }
    }

    async fn run(&self, sql: &'static str, file: Uuid) {
        sqlx::query(sql).bind(file).execute(self.owner.pool()).await.expect("a change");
    }

    /// Returns one interleaving, on a file of its own.
    async fn play(&self, ops: &[Op]) -> Result<(), TestCaseError> {
        let file: Uuid = sqlx::query_scalar(
            "insert into files (user_id, storage_bucket, storage_key_original, extension, mime_type, size_bytes)
             values (gen_random_uuid(), 'b', 'o', 'txt', 'text/plain', 1) returning id",
        )
        .fetch_one(self.owner.pool())
        .await
        .expect("a file");
        let mut model = Model::new();
        for (place, op) in ops.iter().enumerate() {
            self.step(&mut model, *op, file).await?;
            self.agrees(&model, file, &ops[..=place]).await?;
        }
        self.run("delete from processing_jobs where file_id = $1", file).await;
        self.run("delete from files where id = $1", file).await;
        Ok(())
    }

    async fn step(&self, model: &mut Model, op: Op, file: Uuid) -> Result<(), TestCaseError> {
        let database = &self.database;
        match op {
            Op::Enqueue => {
                self.run("select assay_enqueue($1, 'v')", file).await;
                match model.phase {
                    Phase::Absent => model.phase = Phase::Queued,
                    Phase::Succeeded | Phase::Failed(_) => model.begin_life(false),
                    Phase::Queued | Phase::Processing => {}
                }
            }
            Op::Claim => {
                let serving = Serving {
                    versions: vec![("v".to_owned(), "d".to_owned())],
                    default: Some("d".to_owned()),
                    channels: Vec::new(),
                    digests: vec!["d".to_owned()],
                };
                let claimed = database.claim("w", &serving, 3, Duration::from_secs(30), None).await.expect("a claim");
                let claims = claimed.claims;
                let free = model.phase == Phase::Queued && model.due;
                prop_assert_eq!(claims.len(), usize::from(free));
                if free {
                    model.phase = Phase::Processing;
                    // A worker that retries after the last attempt is wrong, and gains none.
                    model.attempts = (model.attempts + 1).min(MAX_ATTEMPTS);
                    model.token += 1;
                    (model.pinned, model.expired) = (true, false);
                    let claim = &claims[0];
                    prop_assert_eq!(
                        (claim.attempts, claim.life, claim.lease.token.0),
                        (model.attempts, model.life, model.token)
                    );
                    let ordinals: Vec<_> = claim.journal.iter().map(|entry| entry.ordinal).collect();
                    prop_assert_eq!(ordinals, (0..model.answers).collect::<Vec<_>>(), "no answer is bought twice");
                }
            }
            Op::Beat(holder) => {
                let Some(lease) = self.lease(model, holder, file).await else { return Ok(()) };
                let mut heartbeat = database.heartbeat(Duration::from_secs(5)).await.expect("a connection");
                let alive = heartbeat.renew(&[lease]).await.expect("a beat").kept;
                let held = model.phase == Phase::Processing && lease.token.0 == model.token;
                prop_assert_eq!(alive.get(&lease.job).copied(), held.then_some(model.cancel));
                model.expired &= !held;
            }
            Op::Answer(holder) => {
                let Some(lease) = self.lease(model, holder, file).await else { return Ok(()) };
                let held = model.phase == Phase::Processing && lease.token.0 == model.token;
                let recorded = database.record_answer(lease, &answer(model.answers)).await.expect("a row");
                prop_assert_eq!(recorded, if held { Recorded::Written } else { Recorded::Lost });
                model.answers += i32::from(held);
            }
            Op::Settle(holder, end) => {
                let Some(lease) = self.lease(model, holder, file).await else { return Ok(()) };
                let settled = database.settle(lease, &settlement(lease, end)).await.expect("a settlement");
                prop_assert_eq!(settled, model.settle(lease.token.0, end));
            }
            Op::Crash => {
                let silent = "update processing_jobs
                                 set locked_at = now() - interval '1 day', heartbeat_at = now() - interval '1 day'
                               where file_id = $1 and status = 'processing'";
                self.run(silent, file).await;
                model.expired |= model.phase == Phase::Processing;
            }
            Op::Reap => {
                database.reap_expired(&[]).await.expect("a round of the reaper");
                database.reap_cancelled(&[]).await.expect("a round of the reaper");
                model.reap();
            }
            Op::Cancel => {
                let done = database.cancel(&[file]).await.expect("a request").remove(0).done;
                let expected = match model.phase {
                    Phase::Absent => CancelOutcome::Unknown,
                    Phase::Queued => {
                        model.phase = Phase::Failed(Code::Cancelled);
                        CancelOutcome::Ended
                    }
                    Phase::Processing => {
                        model.cancel = true;
                        CancelOutcome::Requested
                    }
                    Phase::Succeeded | Phase::Failed(_) => CancelOutcome::TooLate,
                };
                prop_assert_eq!(done, expected);
            }
            Op::Retry => {
                let Some(job) = self.job(file).await else { return Ok(()) };
                let retried = database.requeue_failed(&[job.0], &self.pace().await).await.expect("a retry");
                let Phase::Failed(code) = model.phase else {
                    prop_assert!(retried.is_empty());
                    return Ok(());
                };
                prop_assert_eq!(retried.len(), 1);
                model.begin_life(!code.discards_answers());
            }
            Op::Rerun => {
                let renewed =
                    database.requeue_succeeded(&[FileId(file)], &self.pace().await, 0).await.expect("a rerun");
                prop_assert_eq!(renewed.len(), usize::from(model.phase == Phase::Succeeded));
                if model.phase == Phase::Succeeded {
                    model.begin_life(false);
                }
            }
            Op::BecomeDue => {
                self.run(
                    "update processing_jobs set next_run_at = now() where file_id = $1 and status = 'queued'",
                    file,
                )
                .await;
                model.due |= model.phase == Phase::Queued;
            }
        }
        Ok(())
    }

    /// Checks the rows against the model, and what must always hold.
    async fn agrees(&self, model: &Model, file: Uuid, so_far: &[Op]) -> Result<(), TestCaseError> {
        let row = sqlx::query(
            "select j.status, j.life, j.attempts, j.snoozes, j.lease_token, j.guest_digest is not null as pinned,
                    j.cancel_requested_at is not null as cancel, j.locked_by is not null as locked, j.lock_ttl_seconds as ttl,
                    f.status as shown, f.storage_key_report as report, f.error_code as code,
                    f.processed_at is not null as processed,
                    (select count(*) from job_attempts a where a.job_id = j.id) as ended,
                    (select coalesce(max(n), 0) from (select count(*) as n from job_attempts a
                       where a.job_id = j.id and a.outcome in ('succeeded', 'failed') group by a.life) as lives) as finals
               from processing_jobs j join files f on f.id = j.file_id where f.id = $1",
        )
        .bind(file)
        .fetch_optional(self.owner.pool())
        .await
        .expect("a look");
        let Some(row) = row else {
            prop_assert_eq!(model.phase, Phase::Absent);
            return Ok(());
        };
        let status = match model.phase {
            Phase::Absent => "absent",
            Phase::Queued => "queued",
            Phase::Processing => "processing",
            Phase::Succeeded => "succeeded",
            Phase::Failed(_) => "failed",
        };
        let words = (row.get::<String, _>("status"), row.get::<String, _>("shown"));
        prop_assert_eq!(words, (status.to_owned(), status.to_owned()), "{:?}", so_far);
        let numbers = ["life", "attempts", "snoozes"].map(|name| row.get::<i32, _>(name));
        prop_assert_eq!(numbers, [model.life, model.attempts, model.snoozes], "{:?}", so_far);
        prop_assert_eq!(row.get::<i64, _>("lease_token"), model.token, "{:?}", so_far);
        prop_assert_eq!(row.get::<Option<String>, _>("report"), model.report.clone(), "{:?}", so_far);
        prop_assert_eq!(row.get::<i64, _>("ended"), model.ended, "{:?}", so_far);
        prop_assert!(row.get::<i64, _>("finals") <= 1, "one finalization for each life: {so_far:?}");
        let processing = model.phase == Phase::Processing;
        prop_assert_eq!((row.get("locked"), row.get("processed")), (processing, model.is_ended()), "{:?}", so_far);
        prop_assert_eq!(row.get::<i32, _>("ttl"), if processing { 30 } else { 300 }, "{:?}", so_far);
        let code = if let Phase::Failed(code) = model.phase { Some(code.as_str()) } else { None };
        prop_assert_eq!(row.get::<Option<String>, _>("code"), code.map(str::to_owned), "{:?}", so_far);
        if !model.is_ended() {
            prop_assert_eq!((row.get("pinned"), row.get("cancel")), (model.pinned, model.cancel), "{:?}", so_far);
        }
        Ok(())
    }

    async fn job(&self, file: Uuid) -> Option<JobId> {
        let job = sqlx::query_scalar("select id from processing_jobs where file_id = $1").bind(file);
        job.fetch_optional(self.owner.pool()).await.expect("a look").map(JobId)
    }

    async fn lease(&self, model: &Model, holder: Holder, file: Uuid) -> Option<Lease> {
        let token = if holder == Holder::Present { model.token } else { model.token - 1 };
        Some(Lease { job: self.job(file).await?, token: LeaseToken(token) })
    }

    async fn pace(&self) -> RequeuePace {
        RequeuePace { began: self.database.clock().await.expect("the time"), gap: 0.0, before: 0 }
    }
}

fn answer(ordinal: i32) -> NewEntry<'static> {
    NewEntry { ordinal, prompt_sha256: &[1], key: "k", sha256: &[2], model: "m", finish_reason: "stop", tokens: None }
}

fn settlement(lease: Lease, end: End) -> Settlement {
    let failure = |code| Failure { code, step: Step::Advance, message: "as the test wants".to_owned() };
    let spent = AttemptUsage::default();
    match end {
        End::Succeed => {
            let report_key = Some(report(lease.token.0));
            Settlement::succeeded(FileResult { report_key, ..FileResult::default() }, spent)
        }
        End::Fail(code) => Settlement::failed(failure(code), FileResult::default(), spent),
        End::Retry => Settlement::retried(failure(Code::LlmTimeout), LONG, spent),
        End::Snooze => Settlement::snoozed(failure(Code::LlmRateLimited), LONG, spent),
        End::Hold => Settlement::held(failure(Code::LlmAuthFailed), LONG, spent),
        End::Release => Settlement::released(spent),
    }
}

#[test]
fn whatever_happens_to_a_job_in_whatever_order_rows_and_model_agree() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let real = runtime.block_on(Real::start());
    let mut runner = TestRunner::new(Config { cases: 128, failure_persistence: None, ..Config::default() });
    let played = runner.run(&prop::collection::vec(op(), 1..40), |ops| runtime.block_on(real.play(&ops)));
    runtime.block_on(real.database.close());
    if let Err(error) = played {
        panic!("{error}");
    }
}
