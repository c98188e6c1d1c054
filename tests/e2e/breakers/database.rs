//! A database that is away, that lets the worker in no more, or that has taken a right from it.

use assay_tests::{AssayProcess, Reply, Signal, World};
use sqlx::AssertSqlSafe;

use super::{NEVER, all_succeed_at_once, metrics, readiness};
use crate::{
    fixtures::{TRANSCRIPT, answer, env, with, worker},
    permissions::env_as,
};

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_of_the_database_is_shown_and_claims_resume_after_it() {
    let world = World::start().await;
    world.model.always(Reply::json(&answer()));
    let proxy = assay_tests::Proxy::before(world.database.url()).await;
    let env = with(env(&world), &[("DATABASE_URL", &proxy.url_of(world.database.url())), ("BREAKER_PROBE_MS", NEVER)]);
    let worker = worker(&env).await;
    proxy.refuse();
    proxy.cut_all();
    let line = worker.wait_for_line("breaker_opened").await;
    assert!(line.contains("database") && line.contains("failures"), "{line}");
    let open = &readiness(&worker).await["breakers"][0];
    let printed = ["dependency", "reason", "code"].map(|name| open[name].as_str().unwrap_or_default());
    assert_eq!(printed, ["database", "failures", "db_update_failed"]);
    assert!(metrics(&worker).await.contains("assay_breakers_open{dependency=\"database\",reason=\"failures\"} 1"));
    proxy.forward();
    worker.wait_for_line("breaker closed").await;
    let file = world.enqueue(TRANSCRIPT).await;
    world.wait_for_status(file, "succeeded").await;
}

/// A role of the database for one worker, whose password expires and is set again.
struct Expiring<'a> {
    world: &'a World,
    role: String,
}

impl<'a> Expiring<'a> {
    async fn create(world: &'a World) -> Self {
        let role = format!("worker_{}", world.database.name());
        let this = Self { world, role };
        this.execute(format!("create role {} login superuser password 'before'", this.role)).await;
        this
    }

    fn url(&self) -> String {
        let (_, place) = self.world.database.url().split_once('@').expect("a password");
        format!("postgres://{}:before@{place}", self.role)
    }

    /// Locks every role out and waits until `worker` shows it.
    async fn expire(&self, worker: &AssayProcess) {
        self.execute(format!("alter role {} password 'after'", self.role)).await;
        let printed = async || {
            // Again and again: a connection whose password was looked at before is listed only once it is let in.
            self.terminate("true").await;
            worker.stderr().iter().any(|line| line.contains("breaker_opened"))
        };
        self.world.wait_until("a breaker that opens", printed).await;
        let line = worker.wait_for_line("breaker_opened").await;
        for printed in ["database", "authentication", "db_access_denied", "DATABASE_URL"] {
            assert!(line.contains(printed), "{printed}: {line}");
        }
    }

    /// Ends the connections that were let in before, and whose last statement is such.
    async fn terminate(&self, such: &str) {
        let all = "select pg_terminate_backend(pid) from pg_stat_activity where usename = ";
        self.execute(format!("{all} '{}' and {such}", self.role)).await;
    }

    async fn set_again(&self) {
        self.execute(format!("alter role {} password 'before'", self.role)).await;
    }

    /// A role outlives its database.
    async fn drop(self, mut worker: AssayProcess) {
        worker.signal(Signal::TERM);
        assert!(worker.wait().await.success());
        self.execute(format!("drop role {}", self.role)).await;
    }

    async fn execute(&self, sql: String) {
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(self.world.database.pool()).await.expect("a statement");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_database_password_shows_its_fix_and_fails_no_file() {
    let world = World::start().await;
    world.model.always(Reply::json(&answer()));
    let password = Expiring::create(&world).await;
    let changes = [("DATABASE_URL", &*password.url()), ("BREAKER_PROBE_MS", NEVER)];
    let worker = worker(&with(env(&world), &changes)).await;
    password.expire(&worker).await;
    let file = world.enqueue(TRANSCRIPT).await;
    password.set_again().await;
    worker.wait_for_line("breaker closed").await;
    all_succeed_at_once(&world, &[file]).await;
    password.drop(worker).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_were_let_in_before_do_not_close_the_breaker() {
    let world = World::start().await;
    world.model.always(Reply::json(&answer()));
    let password = Expiring::create(&world).await;
    let changes = [("DATABASE_URL", &*password.url()), ("WORKER_LEASE_MS", "60000"), ("WORKER_BEAT_MS", "400")];
    let worker = worker(&with(env(&world), &changes)).await;
    let count = |needle: &str| worker.stderr().iter().filter(|line| line.contains(needle)).count();
    password.execute(format!("alter role {} password 'after'", password.role)).await;
    let denied = async || {
        password.terminate("query ilike '%insert into workers%'").await;
        count("breaker_opened") > 0
    };
    world.wait_until("a beat that is refused", denied).await;
    let file = world.enqueue(TRANSCRIPT).await;
    // Beats are tried four times as often as they are due; claims stop when two are missing, which was a while ago then.
    world.wait_until("beats that fail", async || count("heartbeat failed") >= 12).await;
    assert_eq!((count("breaker_opened"), count("breaker closed")), (1, 0));
    assert_eq!(world.job(file).await.status, "queued");
    password.set_again().await;
    all_succeed_at_once(&world, &[file]).await;
    password.drop(worker).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_without_claims_notices_an_expired_password_by_its_beats() {
    let world = World::start().await;
    world.model.always(Reply::json(&answer()));
    let password = Expiring::create(&world).await;
    let changes = [("DATABASE_URL", &*password.url()), ("WORKER_POLL_MS", NEVER), ("WORKER_BEAT_MS", "200")];
    let worker = worker(&with(env(&world), &changes)).await;
    // After this one it looks no more.
    let first = world.enqueue(TRANSCRIPT).await;
    all_succeed_at_once(&world, &[first]).await;
    password.expire(&worker).await;
    password.set_again().await;
    // It makes no claim: it is the beat that finds this out, too.
    worker.wait_for_line("breaker closed").await;
    let file = world.enqueue(TRANSCRIPT).await;
    let done = async || {
        password.execute("notify assay_jobs".to_owned()).await;
        world.file(file).await.status == "succeeded"
    };
    world.wait_until("a job that is claimed once leases are renewed", done).await;
    password.drop(worker).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_right_is_shown_and_claims_resume_when_it_is_granted() {
    let world = World::start().await;
    world.model.always(Reply::json(&answer()));
    let execute = async |sql: String| {
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(world.database.pool()).await.expect("a statement");
    };
    let (as_worker, role) = env_as(&world, &env(&world), "assay_worker").await;
    let worker = worker(&with(as_worker, &[("BREAKER_PROBE_MS", NEVER)])).await;
    execute(format!("revoke update on files from {role}")).await;
    let line = worker.wait_for_line("breaker_opened").await;
    assert!(line.contains("db_access_denied") && line.contains("grant"), "{line}");
    let file = world.enqueue(TRANSCRIPT).await;
    execute(format!("grant update on files to {role}")).await;
    worker.wait_for_line("breaker closed").await;
    all_succeed_at_once(&world, &[file]).await;
    // A role outlives its database, unless it has nothing in it.
    execute(format!("drop owned by {role}; drop role {role}")).await;
}
