//! `assay submit` compensates: what fails leaves no queued file, and no object without an event.

use assay_tests::{AssayProcess, Fault, Operation, World};

use crate::fixtures::{Env, TRANSCRIPT, env, with};

/// Runs `assay submit` on a transcript and returns its exit code and what it logged.
async fn submit(world: &World, env: &Env) -> (Option<i32>, String) {
    let file = world.folder().join("call.txt");
    std::fs::write(&file, TRANSCRIPT).expect("a file");
    let mut process = AssayProcess::spawn(&["submit", &file.display().to_string()], env);
    let status = process.wait().await;
    (status.code(), process.stderr().join("\n"))
}

/// The database refuses every new file.
async fn refuse_files(world: &World) {
    let trigger = "
        CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'refused'; END $$;
        CREATE TRIGGER refuse BEFORE INSERT ON files FOR EACH ROW EXECUTE FUNCTION refuse();";
    sqlx::raw_sql(trigger).execute(world.database.pool()).await.expect("a trigger");
}

async fn files(world: &World) -> i64 {
    sqlx::query_scalar("SELECT count(*) FROM files").fetch_one(world.database.pool()).await.expect("a count")
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_whose_enqueue_fails_is_deleted() {
    let world = World::start().await;
    refuse_files(&world).await;
    let (code, _) = submit(&world, &env(&world)).await;
    assert_ne!(code, Some(0));
    assert_eq!(files(&world).await, 0);
    assert_eq!(world.objects.count(Operation::Put, "original.txt"), 1);
    assert_eq!(world.objects.list(""), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_can_neither_be_enqueued_nor_deleted_is_logged() {
    let world = World::start().await;
    refuse_files(&world).await;
    world.objects.fault_always(Operation::Delete, "original.txt", Fault::Status { status: 403, code: "AccessDenied" });
    let (code, log) = submit(&world, &env(&world)).await;
    assert_ne!(code, Some(0));
    let key = world.objects.list("").pop().expect("the upload is still there");
    assert!(log.contains("orphan_upload") && log.contains(&key), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_whose_answer_was_lost_is_deleted() {
    let world = World::start().await;
    world.objects.fault_always(Operation::Put, "original.txt", Fault::ResetAfter);
    let (code, _) = submit(&world, &with(env(&world), &[("S3_OPERATION_TIMEOUT_MS", "3000")])).await;
    assert_ne!(code, Some(0));
    assert_eq!(files(&world).await, 0);
    assert_eq!(world.objects.list(""), Vec::<String>::new());
}
