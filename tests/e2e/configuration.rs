//! Bad configuration: every fault at once, and exit code 64.

use std::os::unix::fs::PermissionsExt;

use assay_tests::{AssayProcess, Signal, World};

use crate::fixtures::{env, with, worker};

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
async fn an_unknown_parameter_of_a_database_is_a_fault_by_its_name() {
    let world = World::start().await;
    let address = format!("{}?passwd=hunter2", world.database.url());
    for command in ["worker", "status", "migrate"] {
        let mut process = AssayProcess::spawn(&[command], &with(env(&world), &[("DATABASE_URL", &address)]));
        assert!(!process.wait().await.success(), "{command}");
        let printed = [process.stdout(), process.stderr()].concat().join("\n");
        assert!(printed.contains("invalid DATABASE_URL: unknown parameter `passwd`"), "{command}: {printed}");
        assert!(!printed.contains("hunter2"), "{command}: {printed}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_of_a_password_file_is_never_printed() {
    let world = World::start().await;
    let (user, rest) = world.database.url().rsplit_once('@').expect("a password in the URL");
    let (user, password) = user.rsplit_once(':').expect("a password in the URL");
    let file = world.folder().join("passwords");
    // The first line lacks a field.
    std::fs::write(&file, format!("*:*:*:hunter2\n*:*:*:*:{password}\n")).expect("a file");
    std::fs::set_permissions(&file, PermissionsExt::from_mode(0o600)).expect("its rights");
    let address = format!("{user}@{rest}");
    let changes = [("PGPASSFILE", file.display().to_string()), ("DATABASE_URL", address)];
    let changes: Vec<_> = changes.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let mut worker = worker(&with(env(&world), &changes)).await;
    worker.signal(Signal::TERM);
    assert!(worker.wait().await.success());
    assert!(!worker.stderr().join("\n").contains("hunter2"), "{:#?}", worker.stderr());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_without_the_schema_is_an_error_with_its_fix() {
    let world = World::start().await;
    let empty = assay_tests::TestDatabase::empty().await;
    let mut process = AssayProcess::spawn(&["worker"], &with(env(&world), &[("DATABASE_URL", empty.url())]));
    assert_eq!(process.wait().await.code(), Some(1));
    process.wait_for_line("run `assay migrate`").await;
}
