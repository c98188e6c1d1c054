//! The schema goes up, down and up again.

use assay_tests::{AssayProcess, Gate, Reply, Signal, TestDatabase, World, old::SCHEMA};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};

use crate::fixtures::{TRANSCRIPT, answer, env, short_leases, worker};

/// Every table, column, index, constraint, function and trigger of the public schema, as one text.
const SHAPE: &str = "
    SELECT coalesce(string_agg(line, E'\n' ORDER BY line), '') FROM (
        SELECT table_name || '.' || column_name || ' ' || data_type || coalesce(' ' || column_default, '') AS line
          FROM information_schema.columns WHERE table_schema = 'public' AND table_name <> '_assay_migrations'
        UNION ALL SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' AND tablename <> '_assay_migrations'
        UNION ALL SELECT conname || ' ' || pg_get_constraintdef(oid) FROM pg_constraint
                   WHERE connamespace = 'public'::regnamespace AND conrelid <> coalesce(to_regclass('_assay_migrations'), 0)
        UNION ALL SELECT proname || ' ' || md5(prosrc) || ' ' || coalesce(proconfig::text, '') FROM pg_proc WHERE pronamespace = 'public'::regnamespace
        UNION ALL SELECT tgname FROM pg_trigger WHERE NOT tgisinternal
    ) AS lines";

async fn shape(database: &TestDatabase) -> String {
    sqlx::query_scalar(SHAPE).fetch_one(database.pool()).await.expect("the catalogue")
}

async fn migrate(database: &TestDatabase, arguments: &[&str]) -> Vec<String> {
    let env = [("DATABASE_URL".to_owned(), database.url().to_owned())].into();
    let mut process = AssayProcess::spawn(&[&["migrate"], arguments].concat(), &env);
    assert!(process.wait().await.success(), "{:?}", process.stderr());
    process.stdout()
}

#[tokio::test(flavor = "multi_thread")]
async fn migrations_go_up_down_and_up_again_from_empty() {
    let database = TestDatabase::empty().await;
    let nothing = shape(&database).await;
    migrate(&database, &[]).await;
    let full = shape(&database).await;
    assert_ne!(full, nothing);
    assert_eq!(migrate(&database, &[]).await, ["nothing to do: the schema already has this version"]);
    migrate(&database, &["--down"]).await;
    assert_eq!(shape(&database).await, nothing, "a down undoes its up completely");
    migrate(&database, &[]).await;
    assert_eq!(shape(&database).await, full);
}

/// The newest version.
const NEWEST: i64 = 11;

#[tokio::test(flavor = "multi_thread")]
async fn migrations_go_down_and_up_again_one_by_one() {
    let database = TestDatabase::empty().await;
    migrate(&database, &[]).await;
    let mut shapes = vec![(NEWEST, shape(&database).await)];
    // A version that only adopted databases have changes nothing.
    for version in (1..NEWEST).rev() {
        migrate(&database, &["--to", &version.to_string()]).await;
        shapes.push((version, shape(&database).await));
    }
    for (version, shaped) in shapes.iter().rev() {
        migrate(&database, &["--to", &version.to_string()]).await;
        assert_eq!(shape(&database).await, *shaped, "version {version}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn migrations_go_up_down_and_up_again_with_rows() {
    let world = World::start().await;
    let gate = Gate::new();
    world.model.push(Reply::json(&answer()));
    world.model.push(Reply::answer("no JSON"));
    world.model.push(Reply::json(&answer()).held(&gate));
    world.model.always(Reply::json(&answer()));
    let env = short_leases(env(&world));
    let mut first = worker(&env).await;
    let succeeded = world.enqueue(TRANSCRIPT).await;
    world.wait_for_status(succeeded, "succeeded").await;
    let failed = world.enqueue(TRANSCRIPT).await;
    world.wait_for_status(failed, "failed").await;
    let processing = world.enqueue(TRANSCRIPT).await;
    gate.reached().await;
    first.signal(Signal::KILL);
    first.wait().await;

    let database = &world.database;
    let (full, work) = (shape(database).await, rows(database, &WORK).await);
    let history = rows(database, &HISTORY).await;
    assert!(work.contains("\"processing\"") && !history.is_empty(), "{work}\n{history}");
    migrate(database, &["--to", "2"]).await;
    assert_eq!(rows(database, &HISTORY).await, history, "rows survive what does not concern them");
    migrate(database, &["--to", "1"]).await;
    assert_eq!(rows(database, &WORK).await, work);
    migrate(database, &["--to", "2"]).await;
    migrate(database, &[]).await;
    assert_eq!(shape(database).await, full);
    assert_eq!(rows(database, &WORK).await, work);
    assert_eq!(rows(database, &HISTORY).await, "", "a down has dropped it");

    // What was in the dead worker's hands is taken up again, on tables that came back.
    let mut second = worker(&env).await;
    world.wait_for_status(processing, "succeeded").await;
    second.signal(Signal::TERM);
    assert!(second.wait().await.success());
    migrate(database, &["--down"]).await;
    migrate(database, &[]).await;
    assert_eq!(shape(database).await, full);
}

/// The tables of the first migration, and those of the second.
const WORK: [&str; 2] = ["files", "processing_jobs"];
const HISTORY: [&str; 3] = ["job_attempts", "job_answers", "workers"];

/// Columns that a later migration has added to a table of the second: they go with it.
const LATER: [(&str, &str); 1] = [("job_attempts", "{guest_digest, channel, guest_micros, report_key}")];

/// Returns every row of some tables, as one text.
async fn rows(database: &TestDatabase, tables: &[&str]) -> String {
    let selects = tables.iter().map(|table| {
        let later = LATER.iter().find(|(of, _)| of == table).map_or("{}", |(_, columns)| columns);
        format!("SELECT (to_jsonb(t) - '{later}'::text[])::text AS line FROM {table} t")
    });
    let selects: Vec<_> = selects.collect();
    let sql = format!(
        "SELECT coalesce(string_agg(line, E'\n' ORDER BY line), '') FROM ({}) AS lines",
        selects.join(" UNION ALL ")
    );
    sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(database.pool()).await.expect("rows")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sql_is_printed_and_nothing_is_run() {
    let database = TestDatabase::empty().await;
    let nothing = shape(&database).await;
    let sql = migrate(&database, &["--print-sql"]).await.join("\n");
    assert_eq!(shape(&database).await, nothing);
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(database.pool()).await.expect("the printed SQL runs as it is");
    assert_ne!(shape(&database).await, nothing);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_migration_does_not_make_others_wait_for_a_long_reader() {
    let world = World::start().await;
    let database = &world.database;
    migrate(database, &["--to", "4"]).await;
    let mut long = database.pool().begin().await.expect("a transaction");
    long.execute("SELECT count(*) FROM job_attempts").await.expect("a reader");
    let env = [("DATABASE_URL".to_owned(), database.url().to_owned())].into();
    let mut migrating = AssayProcess::spawn(&["migrate"], &env);
    let asks = "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND relation = 'job_attempts'::regclass)";
    let waits = async || -> bool { sqlx::query_scalar(asks).fetch_one(database.pool()).await.expect("the locks") };
    let mut other = database.connect().await;
    other.execute("SET lock_timeout = '2s'").await.expect("a setting");
    // A second time, because it tries again.
    for _ in 0..2 {
        world.wait_until("the migration asks for its lock", &waits).await;
        other.execute("SELECT count(*) FROM job_attempts").await.expect("a reader that waits for at most 2 s");
    }
    long.rollback().await.expect("the end of the reader");
    assert!(migrating.wait().await.success(), "{:?}", migrating.stderr());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_in_another_encoding_migrates_and_works() {
    for encoding in ["LATIN1", "LATIN5", "SQL_ASCII"] {
        let mut world = World::start().await;
        world.database = TestDatabase::in_encoding(encoding).await;
        migrate(&world.database, &[]).await;
        world.model.always(Reply::json(&answer()));
        let _worker = worker(&env(&world)).await;
        let file = world.enqueue(TRANSCRIPT).await;
        world.wait_for_status(file, "succeeded").await;
        let adopted = TestDatabase::in_encoding(encoding).await;
        adopted.pool().execute(SCHEMA).await.expect("the other program's schema");
        migrate(&adopted, &[]).await;
    }
}

/// Functions of Assay without a search path of their own.
const WITHOUT_PATH: &str = "
    SELECT proname::text FROM pg_proc
     WHERE proname LIKE 'assay\\_%' AND NOT EXISTS (SELECT FROM unnest(proconfig) AS setting WHERE setting LIKE 'search_path=%')";

#[tokio::test(flavor = "multi_thread")]
async fn every_function_carries_its_search_path() {
    let (own, adopted) = (TestDatabase::new().await, TestDatabase::empty().await);
    adopted.pool().execute(SCHEMA).await.expect("the other program's schema");
    migrate(&adopted, &[]).await;
    for database in [own, adopted] {
        let without: Vec<String> =
            sqlx::query_scalar(WITHOUT_PATH).fetch_all(database.pool()).await.expect("the catalogue");
        assert_eq!(without, [""; 0]);
    }
}

/// Inserts a file into the schema and enqueues it, on a connection whose search path does not name the schema.
async fn produce(database: &TestDatabase, schema: &str) -> i64 {
    let mut producer = PgConnection::connect(database.url()).await.expect("a producer");
    let file = format!(
        "INSERT INTO {schema}.files (user_id, storage_bucket, storage_key_original, original_filename, extension, mime_type, size_bytes)
         VALUES (gen_random_uuid(), 'b', 'k', 'a.txt', 'txt', 'text/plain', 1) RETURNING id"
    );
    let file: sqlx::types::Uuid =
        sqlx::query_scalar(AssertSqlSafe(file)).fetch_one(&mut producer).await.expect("a file");
    sqlx::query(AssertSqlSafe(format!("SELECT {schema}.assay_enqueue($1)")))
        .bind(file)
        .execute(&mut producer)
        .await
        .expect("a job");
    let jobs = format!("SELECT count(*) FROM {schema}.processing_jobs WHERE file_id = '{file}' AND status = 'queued'");
    sqlx::query_scalar(AssertSqlSafe(jobs)).fetch_one(&mut producer).await.expect("a count")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_producer_needs_no_search_path_to_enqueue_in_another_schema() {
    // Named in the options, in letters that need quotes, and by the role that migrates.
    let database = TestDatabase::empty().await;
    let role = format!("owner_{}", database.name());
    for (schema, quoted) in [("own", "own"), ("Own", "\"Own\""), (role.as_str(), role.as_str())] {
        database.pool().execute(AssertSqlSafe(format!("CREATE SCHEMA {quoted}"))).await.expect("a schema");
        let url = database.url();
        let and = if url.contains('?') { '&' } else { '?' };
        let url = if schema == role {
            let create = format!("CREATE ROLE {role} SUPERUSER");
            database.pool().execute(AssertSqlSafe(create)).await.expect("a role");
            format!("{url}{and}options[role]={role}")
        } else {
            format!("{url}{and}options=-c%20search_path%3D{}", quoted.replace('"', "%22"))
        };
        let mut migrating = AssayProcess::spawn(&["migrate"], &[("DATABASE_URL".to_owned(), url)].into());
        assert!(migrating.wait().await.success(), "{schema}: {:?}", migrating.stderr());
        assert_eq!(produce(&database, quoted).await, 1, "{schema}");
    }
    let drop = format!("DROP OWNED BY {role} CASCADE; DROP ROLE {role}");
    database.pool().execute(AssertSqlSafe(drop)).await.expect("the role goes");
}
