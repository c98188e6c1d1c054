//! `assay migrate` on a database whose files and jobs another program made: it adds, refuses what it does not know, and gives all back.

use assay_tests::{AssayProcess, Reply, TestDatabase, World, old::SCHEMA};
use sqlx::{AssertSqlSafe, Executor, types::Uuid};

use crate::fixtures::{TRANSCRIPT, answer, env, short_leases, worker};

/// Files and jobs of the other program, in every state; one job is stuck since its worker died, days ago.
const ROWS: &str = "
    INSERT INTO users VALUES ('00000000-0000-0000-0000-000000000001', 'ana@example.org');
    INSERT INTO files (id, user_id, storage_bucket, storage_key_original, original_filename, extension, mime_type, size_bytes, status,
                       error_code, error_message, storage_key_report, prompt_version, processing_attempts, queued_at, processed_at,
                       created_at, updated_at)
    SELECT ('10000000-0000-0000-0000-00000000000' || n)::uuid, '00000000-0000-0000-0000-000000000001', 'assay-test',
           'uploads/' || n || '.txt', n || '.txt', 'txt', 'text/plain', 41, status,
           CASE status WHEN 'failed' THEN 'upstream' END, CASE status WHEN 'failed' THEN 'It broke.' END,
           CASE status WHEN 'succeeded' THEN 'reports/' || n || '.json' END, CASE status WHEN 'succeeded' THEN 'v0' END, 1,
           now() - interval '3 days', CASE WHEN status IN ('failed', 'succeeded') THEN now() - interval '2 days' END,
           now() - interval '3 days', now() - interval '2 days'
      FROM (VALUES (1, 'queued'), (2, 'processing'), (3, 'succeeded'), (4, 'failed'), (5, 'uploaded')) AS files (n, status);
    INSERT INTO processing_jobs (id, file_id, status, attempts, locked_by, locked_at, heartbeat_at, last_error_code, lock_ttl_seconds,
                                 next_run_at, created_at, updated_at)
    SELECT ('20000000-0000-0000-0000-00000000000' || right(id::text, 1))::uuid, id, status, 1,
           CASE status WHEN 'processing' THEN 'old-1' END, CASE status WHEN 'processing' THEN updated_at END,
           CASE status WHEN 'processing' THEN updated_at END, error_code, CASE status WHEN 'failed' THEN 600 ELSE 300 END,
           queued_at, created_at, updated_at
      FROM files WHERE status <> 'uploaded';";

/// The other program's columns and nothing else, row by row.
const CHECKSUM: &str = "
    SELECT string_agg(md5(line), ' ' ORDER BY line) FROM (
        SELECT (to_jsonb(u))::text AS line FROM users u
        UNION ALL SELECT (to_jsonb(f) - '{attributes,guest_digest}'::text[])::text FROM files f
        UNION ALL SELECT (to_jsonb(j) - '{channel,priority,lease_token,prompt_version,guest_digest,snoozes,cancel_requested_at,life,last_error_step}'::text[])::text
                    FROM processing_jobs j) AS lines";

/// What the catalogue says of everything but Assay's own record of migrations, one line for each.
const CATALOGUE: &str = "
    SELECT line FROM (
        SELECT attrelid::regclass || '.' || attname || ' ' || format_type(atttypid, atttypmod) || ' ' || attnotnull || ' ' ||
               coalesce(pg_get_expr(adbin, adrelid), '') AS line
          FROM pg_attribute JOIN pg_class c ON c.oid = attrelid AND c.relkind = 'r'
          LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
         WHERE c.relnamespace = 'public'::regnamespace AND attnum > 0 AND NOT attisdropped
        UNION ALL SELECT indexdef FROM pg_indexes WHERE schemaname = 'public'
        UNION ALL SELECT conrelid::regclass || ' ' || conname || ' ' || pg_get_constraintdef(oid) FROM pg_constraint
                   WHERE connamespace = 'public'::regnamespace
        UNION ALL SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace
        UNION ALL SELECT tgname FROM pg_trigger JOIN pg_class c ON c.oid = tgrelid
                   WHERE NOT tgisinternal AND c.relnamespace = 'public'::regnamespace
        UNION ALL SELECT relname || array_to_string(reloptions, ' ') FROM pg_class
                   WHERE relnamespace = 'public'::regnamespace AND reloptions IS NOT NULL
    ) AS lines WHERE line NOT LIKE '%\\_assay\\_migrations%' ORDER BY line";

async fn old_database() -> TestDatabase {
    let database = TestDatabase::empty().await;
    database.pool().execute(SCHEMA).await.expect("the other program's schema");
    database.pool().execute(ROWS).await.expect("the other program's rows");
    database
}

async fn checksum(database: &TestDatabase) -> String {
    sqlx::query_scalar(CHECKSUM).fetch_one(database.pool()).await.expect("rows")
}

async fn catalogue(database: &TestDatabase) -> Vec<String> {
    sqlx::query_scalar(CATALOGUE).fetch_all(database.pool()).await.expect("the catalogue")
}

/// Runs `assay migrate`; returns whether it succeeded and what it printed.
async fn migrate(database: &TestDatabase, arguments: &[&str]) -> (bool, String) {
    let env = [("DATABASE_URL".to_owned(), database.url().to_owned())].into();
    let mut process = AssayProcess::spawn(&[&["migrate"], arguments].concat(), &env);
    let success = process.wait().await.success();
    (success, [process.stdout(), process.stderr()].concat().join("\n"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_of_another_program_is_adopted_and_given_back_as_it_was() {
    let database = old_database().await;
    let (before, rows) = (catalogue(&database).await, checksum(&database).await);

    let (success, printed) = migrate(&database, &[]).await;
    assert!(success, "{printed}");
    assert!(printed.starts_with("applied 0001 adopt\napplied 0002 history\n"), "{printed}");
    assert_eq!(checksum(&database).await, rows, "no value of the other program has changed");
    let adopted = catalogue(&database).await;
    let gone: Vec<_> = before.iter().filter(|line| !adopted.contains(line)).collect();
    assert!(gone.is_empty(), "nothing of the other program is gone or another: {gone:?}");
    assert_eq!(migrate(&database, &[]).await.1, "nothing to do: the schema already has this version");

    let (success, printed) = migrate(&database, &["--down"]).await;
    assert!(success, "{printed}");
    assert_eq!(catalogue(&database).await, before);
    assert_eq!(checksum(&database).await, rows);
    assert!(migrate(&database, &[]).await.0, "and adopted again");
    assert_eq!(catalogue(&database).await, adopted);
    assert_eq!(checksum(&database).await, rows);
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_from_before_the_adoption_are_served_and_ended_ones_stay() {
    let mut world = World::start().await;
    world.model.always(Reply::json(&answer()));
    world.database = old_database().await;
    for number in 1..=5 {
        world.objects.put(&format!("uploads/{number}.txt"), TRANSCRIPT).await;
    }
    assert!(migrate(&world.database, &[]).await.0);
    let _worker = worker(&short_leases(env(&world))).await;
    let file = |number: u128| Uuid::from_u128(0x1000_0000_0000_0000_0000_0000_0000_0000 + number);
    // What waited, and what was stuck since its worker died.
    for number in [1, 2] {
        world.wait_for_status(file(number), "succeeded").await;
    }
    let lost = &world.attempts(file(2)).await[0];
    assert_eq!((lost.worker.as_str(), lost.outcome.as_str()), ("old-1", "lost"));
    let ended = async |number| {
        let row = world.file(file(number)).await;
        (row.status, row.storage_key_report, row.error_code)
    };
    assert_eq!(ended(3).await, ("succeeded".to_owned(), Some("reports/3.json".to_owned()), None));
    assert_eq!(ended(4).await, ("failed".to_owned(), None, Some("upstream".to_owned())));
    assert_eq!(ended(5).await, ("uploaded".to_owned(), None, None));
    assert_eq!(world.model.calls(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_adopted_database_goes_down_and_up_again_one_by_one() {
    let database = old_database().await;
    migrate(&database, &[]).await;
    let mut catalogues = Vec::new();
    for version in (1..=8).rev() {
        assert!(migrate(&database, &["--to", &version.to_string()]).await.0);
        catalogues.push((version, catalogue(&database).await));
    }
    for (version, expected) in catalogues.iter().rev() {
        assert!(migrate(&database, &["--to", &version.to_string()]).await.0);
        assert_eq!(catalogue(&database).await, *expected, "version {version}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sql_of_an_adoption_is_printed_and_runs_as_it_is() {
    let database = old_database().await;
    let (before, rows) = (catalogue(&database).await, checksum(&database).await);
    let (success, sql) = migrate(&database, &["--print-sql"]).await;
    assert!(success);
    assert_eq!(catalogue(&database).await, before, "printing changes nothing");
    assert!(sql.contains("add column lease_token") && !sql.contains("create table files"), "{sql}");
    database.pool().execute(AssertSqlSafe(format!("begin; {sql}; commit"))).await.expect("the printed SQL runs");
    assert_eq!(checksum(&database).await, rows);
}

/// Each change makes a table that Assay cannot serve, and this is what the refusal says of it.
const UNKNOWN_SHAPES: [(&str, &str); 27] = [
    ("ALTER TABLE files RENAME storage_key_report TO report_key", "files.storage_key_report: is missing"),
    (
        "ALTER TABLE files ALTER error_message TYPE varchar(80)",
        "files.error_message: is character varying(80), and must be text",
    ),
    ("ALTER TABLE files ALTER created_at TYPE timestamp", "files.created_at: is timestamp without time zone"),
    ("ALTER TABLE files ALTER original_filename DROP NOT NULL", "files.original_filename: may be NULL"),
    ("ALTER TABLE files ADD attributes text", "files.attributes: is there already"),
    ("ALTER TABLE processing_jobs ADD priority integer", "processing_jobs.priority: is there already"),
    (
        "ALTER TABLE processing_jobs ADD tenant text NOT NULL DEFAULT ''; ALTER TABLE processing_jobs ALTER tenant DROP DEFAULT",
        "processing_jobs.tenant: is NOT NULL without a default",
    ),
    (
        "ALTER TABLE processing_jobs ALTER attempts TYPE bigint",
        "processing_jobs.attempts: is bigint, and must be integer",
    ),
    (
        "ALTER TABLE processing_jobs ALTER lock_ttl_seconds DROP DEFAULT",
        "processing_jobs.lock_ttl_seconds: has no default",
    ),
    (
        "ALTER TABLE processing_jobs DROP CONSTRAINT processing_jobs_file_id_key",
        "processing_jobs.file_id: is not unique",
    ),
    ("ALTER TABLE processing_jobs DROP CONSTRAINT processing_jobs_pkey", "processing_jobs.id: is not unique"),
    ("ALTER TABLE processing_jobs ALTER updated_at TYPE date", "processing_jobs.updated_at: is date"),
    (
        "UPDATE files SET error_code = 'x'; ALTER TABLE files ALTER error_code SET NOT NULL",
        "files.error_code: is NOT NULL",
    ),
    (
        "ALTER TABLE files ADD CHECK (status <> 'failed' OR error_message LIKE 'It%')",
        "files.status: the constraint files_check refuses \"failed\"",
    ),
    (
        "ALTER TABLE processing_jobs ADD CONSTRAINT lock_of_an_hour CHECK (lock_ttl_seconds >= 60)",
        "processing_jobs.status: the constraint lock_of_an_hour refuses \"processing\"",
    ),
    (
        "ALTER TABLE files DROP CONSTRAINT files_status_check; UPDATE files SET status = 'archived' WHERE status = 'failed'",
        "files.status: a row says \"archived\"",
    ),
    ("CREATE TABLE workers (id integer)", "workers: is there already"),
    ("CREATE INDEX processing_jobs_failed ON processing_jobs (status)", "processing_jobs_failed: is there already"),
    ("CREATE VIEW v AS SELECT 1; ALTER TABLE processing_jobs RENAME TO jobs", "processing_jobs: is missing"),
    (
        "ALTER TABLE files RENAME TO documents; CREATE VIEW files AS SELECT * FROM documents",
        "files: is not an ordinary logged table",
    ),
    (
        "ALTER TABLE processing_jobs ADD CHECK ((status = 'failed') = (last_error_code IS NOT NULL))",
        "processing_jobs.status: the constraint processing_jobs_check refuses \"queued\"",
    ),
    (
        "ALTER TABLE files ADD CHECK ((status = 'succeeded') = (storage_key_report IS NOT NULL))",
        "files.status: the constraint files_check refuses \"queued\"",
    ),
    (
        "CREATE TABLE nodes (name text PRIMARY KEY); INSERT INTO nodes VALUES ('old-1');
         ALTER TABLE processing_jobs ADD FOREIGN KEY (locked_by) REFERENCES nodes",
        "processing_jobs.locked_by: processing_jobs_locked_by_fkey constrains it",
    ),
    (
        "CREATE UNIQUE INDEX one_each ON processing_jobs (locked_by) WHERE status = 'processing'",
        "processing_jobs.locked_by: one_each constrains it",
    ),
    (
        "UPDATE processing_jobs SET next_run_at = 'infinity' WHERE status = 'failed'",
        "processing_jobs.next_run_at: a row says infinity",
    ),
    ("ALTER TABLE processing_jobs SET UNLOGGED", "processing_jobs: is not an ordinary logged table"),
    (
        "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
         CREATE TRIGGER files_fill BEFORE INSERT ON files FOR EACH ROW EXECUTE FUNCTION f()",
        "files_fill: is there already",
    ),
];

#[tokio::test(flavor = "multi_thread")]
async fn unsuitable_tables_are_refused_by_their_columns_and_left_alone() {
    let database = old_database().await;
    for (change, expected) in UNKNOWN_SHAPES {
        let other = TestDatabase::empty().await;
        for sql in [SCHEMA, ROWS, change] {
            other.pool().execute(sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
        }
        let before = catalogue(&other).await;
        for arguments in [&[][..], &["--print-sql"]] {
            let (success, printed) = migrate(&other, arguments).await;
            assert!(!success && printed.contains(expected), "{change}\n{printed}");
            assert!(printed.contains("nothing was changed"), "{printed}");
        }
        assert_eq!(catalogue(&other).await, before, "{change}");
    }
    assert!(migrate(&database, &[]).await.0, "as it is, it is adopted");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_obstacle_is_listed_at_once() {
    let database = old_database().await;
    let change = "ALTER TABLE files DROP user_id; ALTER TABLE processing_jobs DROP heartbeat_at, ADD life integer";
    database.pool().execute(change).await.expect("a change");
    let (_, printed) = migrate(&database, &[]).await;
    for column in ["files.user_id", "processing_jobs.heartbeat_at", "processing_jobs.life"] {
        assert!(printed.contains(column), "{printed}");
    }
}

/// Each change makes a table that Assay can serve as well.
const KNOWN_SHAPES: [&str; 6] = [
    "ALTER TABLE files ALTER created_at TYPE timestamptz(6), ALTER status TYPE varchar(20), ALTER size_bytes TYPE integer",
    "UPDATE files SET started_at = now(); ALTER TABLE files ADD tenant text NOT NULL DEFAULT 't', ADD CHECK (processed_at IS NULL OR started_at IS NOT NULL), ADD CHECK (tenant <> '')",
    "ALTER TABLE processing_jobs ADD trace jsonb, ADD CHECK ((status = 'processing') = (locked_by IS NOT NULL))",
    "CREATE SCHEMA other; CREATE TABLE other.workers (id integer)",
    "ALTER TABLE processing_jobs ALTER max_attempts DROP DEFAULT, ALTER next_run_at DROP DEFAULT, ALTER attempts DROP DEFAULT",
    "CREATE TRIGGER files_audit AFTER UPDATE ON files FOR EACH ROW EXECUTE FUNCTION tsvector_update_trigger()",
];

#[tokio::test(flavor = "multi_thread")]
async fn tables_that_differ_in_what_does_not_matter_are_adopted() {
    for change in KNOWN_SHAPES {
        let database = old_database().await;
        database.pool().execute(change).await.unwrap_or_else(|error| panic!("{change}: {error}"));
        let (success, printed) = migrate(&database, &[]).await;
        assert!(success, "{change}\n{printed}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_of_another_schema_are_left_alone() {
    let database = old_database().await;
    let before = catalogue(&database).await;
    let and = if database.url().contains('?') { '&' } else { '?' };
    database.pool().execute("CREATE SCHEMA own").await.expect("a schema");
    let url = format!("{}{and}options[search_path]=own,public", database.url());
    let mut process = AssayProcess::spawn(&["migrate"], &[("DATABASE_URL".to_owned(), url)].into());
    assert!(process.wait().await.success(), "{:?}", process.stderr());
    assert!(process.stdout()[0].contains("files and jobs"), "an installation of its own: {:?}", process.stdout());
    assert_eq!(catalogue(&database).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_adoption_holds_no_lock_while_it_waits_for_a_transaction() {
    let mut world = World::start().await;
    world.database = old_database().await;
    let database = &world.database;
    let mut long = database.pool().begin().await.expect("a transaction");
    sqlx::query("UPDATE files SET mime_type = 'text/markdown'").execute(&mut *long).await.expect("an update");
    let env = [("DATABASE_URL".to_owned(), database.url().to_owned())].into();
    let mut migrating = AssayProcess::spawn(&["migrate"], &env);
    let asks = "SELECT count(*) FROM pg_locks l JOIN pg_database d ON d.oid = l.database
                 WHERE NOT l.granted AND d.datname = current_database()";
    let waits = async || -> bool {
        let count: i64 = sqlx::query_scalar(asks).fetch_one(database.pool()).await.expect("a look at the locks");
        count > 0
    };
    world.wait_until("the adoption asks for its locks", &waits).await;
    world.wait_until("it steps back", async || !waits().await).await;
    sqlx::query("UPDATE processing_jobs SET updated_at = now()")
        .execute(database.pool())
        .await
        .expect("an update goes on");
    long.commit().await.expect("a commit");
    assert!(migrating.wait().await.success(), "{:?}", migrating.stderr());
}

#[tokio::test(flavor = "multi_thread")]
async fn two_adoptions_at_once_are_one() {
    let database = old_database().await;
    let (one, two) = tokio::join!(migrate(&database, &[]), migrate(&database, &[]));
    assert!(one.0 && two.0, "{one:?} {two:?}");
    let idle = [&one, &two].iter().filter(|(_, printed)| printed.starts_with("nothing to do")).count();
    assert_eq!(idle, 1, "{one:?} {two:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_other_role_can_use_functions_with_the_owners_rights() {
    let database = old_database().await;
    assert!(migrate(&database, &[]).await.0);
    let role = format!("nobody_{}", database.name());
    database.pool().execute(AssertSqlSafe(format!("CREATE ROLE {role}"))).await.expect("a role");
    for function in ["assay_fence", "assay_keep_ended", "assay_end_late"] {
        let mut connection = database.connect().await;
        connection.execute(AssertSqlSafe(format!("SET ROLE {role}"))).await.expect("the role");
        connection.execute("CREATE TEMP TABLE mine (id uuid)").await.expect("a table of its own");
        let trigger = format!("CREATE TRIGGER t AFTER INSERT ON mine FOR EACH ROW EXECUTE FUNCTION {function}()");
        let refused = connection.execute(AssertSqlSafe(trigger)).await.expect_err("no right to it");
        assert_eq!(refused.as_database_error().and_then(|error| error.code()).as_deref(), Some("42501"));
        connection.execute("DROP TABLE mine").await.expect("its table goes");
    }
    database.pool().execute(AssertSqlSafe(format!("DROP ROLE {role}"))).await.expect("the role goes");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_names_the_migration_that_an_unadopted_database_needs() {
    let mut world = World::start().await;
    world.database = old_database().await;
    let mut worker = AssayProcess::spawn(&["worker"], &env(&world));
    assert!(!worker.wait().await.success());
    let said = worker.stderr().join("\n");
    assert!(said.contains("assay migrate"), "{said}");
    let stuck: Uuid = "20000000-0000-0000-0000-000000000002".parse().expect("an id");
    let holder: String = sqlx::query_scalar("SELECT locked_by FROM processing_jobs WHERE id = $1")
        .bind(stuck)
        .fetch_one(world.database.pool())
        .await
        .expect("a job");
    assert_eq!(holder, "old-1", "nothing was touched");
}
