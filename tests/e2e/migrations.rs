//! The schema goes up, down and up again.

use assay_tests::{AssayProcess, Reply, TestDatabase, World};

use crate::fixtures::{TRANSCRIPT, answer, env, worker};

/// Every table, column, index, constraint, function and trigger of the public schema, as one text.
const SHAPE: &str = "
    SELECT coalesce(string_agg(line, E'\n' ORDER BY line), '') FROM (
        SELECT table_name || '.' || column_name || ' ' || data_type || coalesce(' ' || column_default, '') AS line
          FROM information_schema.columns WHERE table_schema = 'public' AND table_name <> '_assay_migrations'
        UNION ALL SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' AND tablename <> '_assay_migrations'
        UNION ALL SELECT conname || ' ' || pg_get_constraintdef(oid) FROM pg_constraint
                   WHERE connamespace = 'public'::regnamespace AND conrelid <> coalesce(to_regclass('_assay_migrations'), 0)
        UNION ALL SELECT proname || ' ' || md5(prosrc) FROM pg_proc WHERE pronamespace = 'public'::regnamespace
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
    assert_eq!(migrate(&database, &[]).await, ["nothing to do: the database is where it should be"]);
    migrate(&database, &["--down"]).await;
    assert_eq!(shape(&database).await, nothing, "a down undoes its up completely");
    migrate(&database, &[]).await;
    assert_eq!(shape(&database).await, full);
}

#[tokio::test(flavor = "multi_thread")]
async fn migrations_go_down_and_up_again_one_by_one() {
    let database = TestDatabase::empty().await;
    migrate(&database, &[]).await;
    let full = shape(&database).await;
    migrate(&database, &["--to", "2"]).await;
    let two = shape(&database).await;
    migrate(&database, &["--to", "1"]).await;
    migrate(&database, &["--to", "2"]).await;
    assert_eq!(shape(&database).await, two);
    migrate(&database, &["--to", "3"]).await;
    assert_eq!(shape(&database).await, full);
}

#[tokio::test(flavor = "multi_thread")]
async fn migrations_go_up_down_and_up_again_with_rows() {
    let world = World::start().await;
    world.model.always(Reply::json(&answer()));
    let _worker = worker(&env(&world)).await;
    let id = world.enqueue(TRANSCRIPT).await;
    world.wait_for_status(id, "succeeded").await;
    drop(_worker);

    let database = TestDatabase::empty().await;
    migrate(&database, &["--to", "1"]).await;
    let rows = "
        INSERT INTO files (user_id, storage_bucket, storage_key_original, extension, mime_type, size_bytes)
        SELECT gen_random_uuid(), 'bucket', 'key', 'txt', 'text/plain', 1 FROM generate_series(1, 50);
        INSERT INTO processing_jobs (file_id) SELECT id FROM files;";
    sqlx::raw_sql(rows).execute(database.pool()).await.expect("rows");
    migrate(&database, &[]).await;
    migrate(&database, &["--to", "1"]).await;
    let jobs: i64 =
        sqlx::query_scalar("SELECT count(*) FROM processing_jobs").fetch_one(database.pool()).await.expect("jobs");
    assert_eq!(jobs, 50, "rows survive what does not concern them");
    migrate(&database, &[]).await;
    migrate(&database, &["--down"]).await;
    migrate(&database, &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sql_is_printed_and_nothing_is_run() {
    let database = TestDatabase::empty().await;
    let nothing = shape(&database).await;
    let sql = migrate(&database, &["--print-sql"]).await.join("\n");
    assert_eq!(shape(&database).await, nothing);
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(database.pool()).await.expect("the printed SQL runs as it is");
    assert_ne!(shape(&database).await, nothing);
}
