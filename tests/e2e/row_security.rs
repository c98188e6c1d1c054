//! Row security that hides rows fails no statement: `assay check`, `/readyz` and the log show it.

use assay_db::{Database, DatabaseConfig};
use assay_tests::{AssayProcess, World};
use serde_json::Value;
use sqlx::AssertSqlSafe;

use crate::{
    fixtures::{admin, env, worker},
    permissions::env_as,
};

async fn execute(world: &World, sql: String) {
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(world.database.pool()).await.expect("a statement");
}

async fn hidden(url: &str) -> Vec<String> {
    let config = DatabaseConfig::from_url(&url.to_owned().into()).expect("a Postgres URL");
    Database::new(config).tables_with_hidden_rows().await.expect("the catalogue")
}

#[tokio::test(flavor = "multi_thread")]
async fn policies_that_may_hide_rows_are_told_from_those_that_do_not() {
    let world = World::start().await;
    let (as_worker, role) = env_as(&world, &env(&world), "assay_worker").await;
    let url = &as_worker["DATABASE_URL"];
    assert!(hidden(url).await.is_empty(), "no table has row security");
    execute(&world, "alter table processing_jobs enable row level security".to_owned()).await;
    // Policies on the table, and whether rows may be hidden from the worker.
    let cases = [
        ("", true),
        ("create policy p on processing_jobs to {role} using (true)", false),
        ("create policy p on processing_jobs using (true)", false),
        (
            "create policy p on processing_jobs for select using (true); create policy q on processing_jobs for update using (true)",
            false,
        ),
        (
            "create policy p on processing_jobs using (channel = 'a'); create policy q on processing_jobs using (true)",
            false,
        ),
        (
            "create policy p on processing_jobs using (true); create policy q on processing_jobs as restrictive for insert with check (false)",
            false,
        ),
        (
            "create policy p on processing_jobs using (true); create policy q on processing_jobs as restrictive to pg_monitor using (false)",
            false,
        ),
        ("create policy p on processing_jobs for select using (true)", true),
        ("create policy p on processing_jobs for update using (true)", true),
        ("create policy p on processing_jobs", true),
        ("create policy p on processing_jobs using (channel = 'a')", true),
        ("create policy p on processing_jobs to pg_monitor using (true)", true),
        (
            "create policy p on processing_jobs using (true); create policy q on processing_jobs as restrictive using (channel = 'a')",
            true,
        ),
    ];
    for (policies, hides) in cases {
        execute(&world, policies.replace("{role}", &role)).await;
        let expected: &[&str] = if hides { &["processing_jobs"] } else { &[] };
        assert_eq!(hidden(url).await, expected, "{policies}");
        let drop = "drop policy if exists p on processing_jobs; drop policy if exists q on processing_jobs";
        execute(&world, drop.to_owned()).await;
    }
    assert!(hidden(world.database.url()).await.is_empty(), "row security does not apply to a superuser");
    // A worker only adds and deletes attempts: it needs no policy to update them.
    execute(&world, "alter table processing_jobs disable row level security".to_owned()).await;
    execute(
        &world,
        "alter table job_attempts enable row level security; alter table files enable row level security".to_owned(),
    )
    .await;
    execute(&world, "create policy p on job_attempts for select using (true)".to_owned()).await;
    assert_eq!(hidden(url).await, ["files"]);
    execute(&world, format!("drop owned by {role}; drop role {role}")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn row_security_that_hides_the_queue_is_shown() {
    let world = World::start().await;
    let (as_worker, role) = env_as(&world, &env(&world), "assay_worker").await;
    execute(&world, "alter table processing_jobs enable row level security".to_owned()).await;

    let mut checking = AssayProcess::spawn(&["check", "--json"], &as_worker);
    checking.wait().await;
    let printed: Value = serde_json::from_str(&checking.stdout().join("\n")).expect("JSON");
    let checks = printed["checks"].as_array().expect("checks");
    let database = checks.iter().find(|check| check["name"] == "database").expect("the database");
    assert_eq!(database["verdict"], "warning");
    let detail = database["detail"].as_str().unwrap_or_default();
    assert!(detail.contains("row security hides rows of processing_jobs"), "{detail}");

    let running = worker(&as_worker).await;
    running.wait_for_line("row security hides rows of processing_jobs").await;
    let body = reqwest::get(format!("{}/readyz", admin(&running).await)).await.expect("an answer");
    let ready: Value = serde_json::from_str(&body.text().await.expect("a body")).expect("JSON");
    assert_eq!(ready["row_security_hides"], serde_json::json!(["processing_jobs"]));
    drop(running);
    execute(&world, format!("drop owned by {role}; drop role {role}")).await;
}
