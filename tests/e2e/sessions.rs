//! Sessions that are of no use: on a server that became read-only, and ended by a server that limits idle time. Jobs go on, and no
//! answer is bought twice.

use std::time::Duration;

use assay_db::{Database, DatabaseConfig, Listener};
use assay_dev::{Postgres, PostgresOptions};
use assay_tests::{AssayProcess, Gate, Proxy, Reply, TestDatabase, World, within};
use sqlx::{AssertSqlSafe, Connection, PgConnection, PgPool, types::Uuid};
use time::OffsetDateTime;
use tokio_util::sync::CancellationToken;

use crate::fixtures::{Env, TRANSCRIPT, answer, env, with, worker};

/// How long after the end of a failover jobs may still wait.
const SOON: Duration = Duration::from_secs(5);

/// As many as the pool has sessions, so that each of them meets the read-only server.
const SLOTS: &str = "8";

/// Returns the sessions of workers and commands on a server, except the tests' own.
const SESSIONS: &str = "select count(*) from pg_stat_activity where application_name = 'assay'";

async fn count(db: &PgPool, sql: &'static str) -> i64 {
    sqlx::query_scalar(sql).fetch_one(db).await.expect("a count")
}

async fn execute(db: &PgPool, sql: String) {
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(db).await.expect("a statement");
}

async fn clock(db: &PgPool) -> OffsetDateTime {
    sqlx::query_scalar("select clock_timestamp()").fetch_one(db).await.expect("the time")
}

async fn promote(standby: &PgPool) {
    let promoted: bool = sqlx::query_scalar("select pg_promote()").fetch_one(standby).await.expect("a promotion");
    assert!(promoted, "within its minute");
}

fn lines_with(worker: &AssayProcess, needle: &str) -> usize {
    worker.stderr().iter().filter(|line| line.contains(needle)).count()
}

/// Waits until every file has succeeded, each at its first attempt and within [`SOON`] after `healed`.
async fn all_succeed_soon(world: &World, files: &[Uuid], healed: OffsetDateTime) {
    for file in files {
        let row = world.wait_for_status(*file, "succeeded").await;
        assert!(row.processed_at.is_some_and(|at| at - healed < SOON), "healed at {healed}: {row:?}");
        assert_eq!(world.job(*file).await.attempts, 1);
    }
}

async fn enqueue(world: &World, jobs: usize) -> Vec<Uuid> {
    let mut files = Vec::new();
    for _ in 0..jobs {
        files.push(world.enqueue(TRANSCRIPT).await);
    }
    files
}

/// Enqueues a job for each slot, and waits until each has asked the model.
async fn asking(world: &World) -> (Gate, Vec<Uuid>) {
    let gate = Gate::new();
    let slots = SLOTS.parse().expect("a number");
    for _ in 0..slots {
        world.model.push(Reply::json(&answer()).held(&gate));
    }
    let files = enqueue(world, slots).await;
    gate.reached_by(slots).await;
    (gate, files)
}

/// Waits until each slot has failed to write its answer to the journal.
async fn fails_to_journal(world: &World, worker: &AssayProcess) {
    let slots = SLOTS.parse().expect("a number");
    let failed = async || lines_with(worker, "journal write failed") >= slots;
    world.wait_until("answers that cannot be written", failed).await;
}

/// A role of the database for one worker, whose settings change.
struct Role<'a> {
    world: &'a World,
    name: String,
}

impl<'a> Role<'a> {
    async fn with(world: &'a World, setting: &str) -> Self {
        let role = Self { world, name: format!("sessions_{}", world.database.name()) };
        execute(world.database.pool(), format!("create role {} login superuser password 'word'", role.name)).await;
        role.set(setting).await;
        role
    }

    async fn set(&self, setting: &str) {
        execute(self.world.database.pool(), format!("alter role {} set {setting}", self.name)).await;
    }

    fn env(&self, changes: &[(&str, &str)]) -> Env {
        let (_, place) = self.world.database.url().split_once('@').expect("a password");
        let url = format!("postgres://{}:word@{place}", self.name);
        with(with(env(self.world), &[("DATABASE_URL", &url)]), changes)
    }

    async fn sessions(&self) -> Vec<i32> {
        let sql = "select pid from pg_stat_activity where usename = $1";
        sqlx::query_scalar(sql).bind(&self.name).fetch_all(self.world.database.pool()).await.expect("sessions")
    }

    /// A role outlives its database.
    async fn drop(self) {
        let pool = self.world.database.pool();
        execute(
            pool,
            format!("select pg_terminate_backend(pid) from pg_stat_activity where usename = '{}'", self.name),
        )
        .await;
        execute(pool, format!("drop role {}", self.name)).await;
    }
}

/// A primary and its standby, and a worker whose connections go to either.
struct Pair {
    proxy: Proxy,
    world: World,
    worker: AssayProcess,
    standby: Postgres,
    _primary: Postgres,
}

impl Pair {
    async fn start() -> Self {
        let primary = Postgres::start(PostgresOptions::throwaway()).await.expect("a primary");
        let mut world = World::start().await;
        world.database = TestDatabase::on(&primary).await;
        let standby = primary.start_standby().await.expect("a standby");
        let proxy = Proxy::before(world.database.url()).await;
        // As in a deployment: notifications and polls must do.
        let changes = [
            ("DATABASE_URL", &*proxy.url_of(world.database.url())),
            ("WORKER_POLL_MS", "1000"),
            ("WORKER_CONCURRENCY", SLOTS),
        ];
        let worker = worker(&with(env(&world), &changes)).await;
        Self { proxy, world, worker, standby, _primary: primary }
    }

    /// Returns connections to the worker's database on the standby.
    async fn on_standby(&self) -> PgPool {
        PgPool::connect(&self.standby.url(self.world.database.name())).await.expect("the standby")
    }

    /// Sends the worker to the standby, and waits until it has met the read-only server.
    async fn fail_over(&self) {
        self.proxy.redirect(&self.standby.admin_url());
        self.proxy.cut_all();
        self.worker.wait_for_line("25006").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_flow_within_seconds_after_connections_went_to_a_standby() {
    let pair = Pair::start().await;
    let Pair { proxy, world, worker, .. } = &pair;
    world.model.always(Reply::json(&answer()));
    let began = clock(world.database.pool()).await;
    all_succeed_soon(world, &enqueue(world, 4).await, began).await;
    let (gate, asking) = asking(world).await;

    pair.fail_over().await;
    // Their answers arrive while nothing can be written.
    gate.release();
    fails_to_journal(world, worker).await;
    let waiting = enqueue(world, 4).await;
    proxy.redirect(world.database.url());
    let healed = clock(world.database.pool()).await;
    all_succeed_soon(world, &[asking, waiting].concat(), healed).await;
    let standby = pair.on_standby().await;
    world.wait_until("no session on the standby", async || count(&standby, SESSIONS).await == 0).await;
    let met = lines_with(worker, "25006");
    let later = clock(world.database.pool()).await;
    all_succeed_soon(world, &enqueue(world, 4).await, later).await;
    assert_eq!(lines_with(worker, "25006"), met, "{:?}", worker.stderr());
    assert_eq!(world.model.calls(), 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_flow_within_seconds_after_the_standby_was_promoted() {
    let pair = Pair::start().await;
    pair.world.model.always(Reply::json(&answer()));
    let began = clock(pair.world.database.pool()).await;
    all_succeed_soon(&pair.world, &enqueue(&pair.world, 4).await, began).await;

    pair.fail_over().await;
    enqueue(&pair.world, 4).await;
    let standby = pair.on_standby().await;
    let queued = "select count(*) from processing_jobs where status = 'queued'";
    pair.world.wait_until("four jobs on the standby", async || count(&standby, queued).await == 4).await;
    promote(&standby).await;
    let healed = clock(&standby).await;
    let done = "select count(*) from processing_jobs where status = 'succeeded' and attempts = 1";
    pair.world.wait_until("all jobs done", async || count(&standby, done).await == 8).await;
    let last: OffsetDateTime =
        sqlx::query_scalar("select max(processed_at) from files").fetch_one(&standby).await.expect("a time");
    assert!(last - healed < SOON, "{healed} {last}");
    assert_eq!(pair.world.model.calls(), 8);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listener_that_hears_leaves_no_session_on_a_standby() {
    let primary = Postgres::start(PostgresOptions::throwaway()).await.expect("a primary");
    let database = TestDatabase::on(&primary).await;
    let standby = primary.start_standby().await.expect("a standby");
    let on_standby = PgPool::connect(&standby.url(database.name())).await.expect("the standby");
    let proxy = Proxy::before(&standby.admin_url()).await;
    let config = DatabaseConfig::from_url(&proxy.url_of(database.url()).into()).expect("a Postgres URL");
    let stop = CancellationToken::new();

    // The failover ends while the listener has its first session.
    let hold = proxy.hold_statement("idle_session_timeout");
    let (listener, listening) = Listener::start(Database::new(config), stop.clone());
    let woken = listener.woken();
    hold.reached().await;
    proxy.redirect(database.url());
    hold.forward().await;
    within("a listener on the primary", woken).await;
    // What hears something is not probed, so nothing else shows where its sessions are.
    let left = async {
        while count(&on_standby, SESSIONS).await > 0 {
            execute(database.pool(), "select pg_notify('assay_jobs', '')".to_owned()).await;
        }
    };
    within("no session on the standby", left).await;
    stop.cancel();
    within("the end of the listener", listening).await.expect("a task that ends");
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_that_stay_read_only_are_replaced() {
    let world = World::start().await;
    world.model.always(Reply::json(&answer()));
    // A session keeps what its role said when it began.
    let role = Role::with(&world, "default_transaction_read_only = off").await;
    let running = worker(&role.env(&[("WORKER_POLL_MS", "1000"), ("WORKER_CONCURRENCY", SLOTS)])).await;
    let (gate, asking) = asking(&world).await;
    role.set("default_transaction_read_only = on").await;
    let terminate = format!("select pg_terminate_backend(pid) from pg_stat_activity where usename = '{}'", role.name);
    execute(world.database.pool(), terminate).await;
    gate.release();
    fails_to_journal(&world, &running).await;
    let waiting = enqueue(&world, 4).await;
    role.set("default_transaction_read_only = off").await;
    let healed = clock(world.database.pool()).await;
    all_succeed_soon(&world, &[asking, waiting].concat(), healed).await;
    assert_eq!(world.model.calls(), 12);
    drop(running);
    role.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn idle_session_timeout_costs_no_attempt_and_no_answer() {
    let world = World::start().await;
    let gate = Gate::new();
    world.model.always(Reply::json(&answer()).held(&gate));
    let role = Role::with(&world, "idle_session_timeout = '1500ms'").await;
    let running = worker(&role.env(&[])).await;
    let files = enqueue(&world, 4).await;
    gate.reached_by(4).await;
    let resting = role.sessions().await;
    // Those of the heartbeat and of the listener rest by design.
    let ended = async || {
        let left = role.sessions().await;
        resting.iter().filter(|pid| left.contains(pid)).count() <= 3
    };
    world.wait_until("an end of the pool's sessions", ended).await;
    gate.release();
    let healed = clock(world.database.pool()).await;
    all_succeed_soon(&world, &files, healed).await;
    assert_eq!(world.model.calls(), 4);
    for needle in ["57P05", "heartbeat failed", "notifications interrupted", "trying again"] {
        assert_eq!(lines_with(&running, needle), 0, "{needle}: {:?}", running.stderr());
    }
    drop(running);
    role.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_submit_to_a_read_only_server_leaves_no_object() {
    let world = World::start().await;
    let role = Role::with(&world, "default_transaction_read_only = on").await;
    let mut submitting = submit(&world, &role.env(&[]));
    assert!(!submitting.wait().await.success());
    let log = submitting.stderr().join("\n");
    assert!(log.contains("25006") && !log.contains("orphan_upload"), "{log}");
    assert_eq!(world.objects.list(""), Vec::<String>::new(), "certainly without a row");
    role.drop().await;
}

fn submit(world: &World, env: &Env) -> AssayProcess {
    // One for each: a file that is written again is empty for a moment.
    let file = world.folder().join(format!("{}.txt", Uuid::new_v4()));
    std::fs::write(&file, TRANSCRIPT).expect("a file");
    AssayProcess::spawn(&["submit", &file.display().to_string()], env)
}

#[tokio::test(flavor = "multi_thread")]
async fn serializable_submits_at_once_all_succeed() {
    let world = World::start().await;
    world.model.always(Reply::json(&answer()));
    let role = Role::with(&world, "default_transaction_isolation = serializable").await;
    let env = role.env(&[]);
    let running = worker(&env).await;
    let mut submits: Vec<_> = (0..24).map(|_| submit(&world, &env)).collect();
    for one in &mut submits {
        assert!(one.wait().await.success(), "{:?}", one.stderr());
    }
    let live = "select count(*) from processing_jobs where status in ('queued', 'processing')";
    world.wait_until("the end of all jobs", async || count(world.database.pool(), live).await == 0).await;
    let ends = "select f.status || ' ' || j.attempts || ' ' || count(*) from files f join processing_jobs j on j.file_id = f.id
                 group by f.status, j.attempts";
    let ends: Vec<String> = sqlx::query_scalar(ends).fetch_all(world.database.pool()).await.expect("the ends");
    let log = running.stderr().into_iter().filter(|line| !line.contains("INFO")).collect::<Vec<_>>();
    assert_eq!(ends, ["succeeded 1 24"], "{log:#?}");
    assert_eq!(world.model.calls(), 24);
    drop(running);
    role.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pool_replaces_old_sessions_and_closes_idle_ones() {
    for variable in ["DATABASE_MAX_LIFETIME_MS", "DATABASE_IDLE_TIMEOUT_MS"] {
        let world = World::start().await;
        let gate = Gate::new();
        world.model.always(Reply::json(&answer()).held(&gate));
        let role = Role::with(&world, "idle_session_timeout = 0").await;
        let running = worker(&role.env(&[(variable, "1000")])).await;
        enqueue(&world, 4).await;
        gate.reached_by(4).await;
        let before = role.sessions().await;
        let replaced = async || {
            let left = role.sessions().await;
            before.iter().filter(|pid| left.contains(pid)).count() <= 3
        };
        world.wait_until(variable, replaced).await;
        gate.release();
        drop(running);
        role.drop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standby_is_read_only_until_it_is_promoted() {
    let primary = Postgres::start(PostgresOptions::throwaway()).await.expect("a primary");
    let standby = primary.start_standby().await.expect("a standby");
    let mut db = PgConnection::connect(&standby.admin_url()).await.expect("the standby");
    let create = "create table marks ()";
    let refused = sqlx::query(create).execute(&mut db).await.expect_err("read-only");
    assert_eq!(refused.as_database_error().and_then(|error| error.code()).as_deref(), Some("25006"));
    promote(&PgPool::connect(&standby.admin_url()).await.expect("the standby")).await;
    sqlx::query(create).execute(&mut db).await.expect("a table");
}
