//! Bad configuration: every fault at once, and exit code 64.

use assay_tests::{AssayProcess, World};

use crate::fixtures::{env, with};

#[tokio::test(flavor = "multi_thread")]
async fn all_faults_of_a_configuration_are_named_at_once() {
    let world = World::start().await;
    let mut env = with(
        env(&world),
        &[
            ("WORKER_CONCURRENCY", "many"),
            ("LLM_PROVIDER", "abacus"),
            ("ADMIN_ADDR", "here"),
            ("GUEST_MEMORY_BYTES", "1"),
        ],
    );
    for missing in ["DATABASE_URL", "S3_BUCKET", "S3_SECRET_ACCESS_KEY", "GUEST_DIR"] {
        env.remove(missing);
    }
    let mut process = AssayProcess::spawn(&["worker"], &env);
    assert_eq!(process.wait().await.code(), Some(64));
    process.wait_for_line("8 faults").await;
    for fault in [
        "missing DATABASE_URL: ",
        "missing S3_BUCKET: ",
        "missing S3_SECRET_ACCESS_KEY: ",
        "missing GUEST_DIR: ",
        "invalid WORKER_CONCURRENCY `many`: ",
        "invalid LLM_PROVIDER `abacus`: ",
        "invalid ADMIN_ADDR `here`: ",
        "invalid GUEST_MEMORY_BYTES `1`: ",
    ] {
        process.wait_for_line(&format!("  {fault}")).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_is_never_shown_even_where_it_is_at_fault() {
    let world = World::start().await;
    let env = with(env(&world), &[("DATABASE_URL", "mysql://user:hunter2@host/db")]);
    let mut process = AssayProcess::spawn(&["worker"], &env);
    assert_eq!(process.wait().await.code(), Some(64));
    process.wait_for_line("invalid DATABASE_URL: expected a URL such as postgres://").await;
    assert!(!process.stderr().join("\n").contains("hunter2"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_without_the_schema_is_an_error_with_its_fix() {
    let world = World::start().await;
    let empty = assay_tests::TestDatabase::empty().await;
    let mut process = AssayProcess::spawn(&["worker"], &with(env(&world), &[("DATABASE_URL", empty.url())]));
    assert_eq!(process.wait().await.code(), Some(1));
    process.wait_for_line("run `assay migrate`").await;
}
