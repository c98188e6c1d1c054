//! How long answers are kept.

use assay_tests::{Fault, Gate, Operation, Reply};

use crate::fixtures::{TRANSCRIPT, answer, env, with, worker};

#[tokio::test(flavor = "multi_thread")]
async fn answers_of_a_success_go_where_only_failures_are_to_be_kept() {
    let world = assay_tests::World::start().await;
    world.model.push(Reply::answer("no JSON"));
    world.model.always(Reply::json(&answer()));
    let _worker = worker(&with(env(&world), &[("RETAIN_ANSWERS", "on_failure"), ("RETENTION_EVERY_MS", "50")])).await;
    let failed = world.enqueue(TRANSCRIPT).await;
    world.wait_for_status(failed, "failed").await;
    let succeeded = world.enqueue(TRANSCRIPT).await;
    let report = world.wait_for_status(succeeded, "succeeded").await.storage_key_report.expect("a report");
    let kept = async || -> Vec<uuid::Uuid> {
        sqlx::query_scalar("select j.file_id from job_answers a join processing_jobs j on j.id = a.job_id")
            .fetch_all(world.database.pool())
            .await
            .expect("answers")
    };
    world.wait_until("the answers of the failure alone", async || kept().await == [failed]).await;
    let answers =
        |id| world.objects.list("users/").into_iter().filter(move |key| key.contains(&format!("{id}/answers/")));
    assert_eq!((answers(failed).count(), answers(succeeded).count()), (1, 0));
    assert!(world.objects.get(&report).await.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn old_answers_go_but_not_those_of_a_live_job_and_not_before_their_object_is_gone() {
    let world = assay_tests::World::start().await;
    let gate = Gate::new();
    world.model.always(Reply::json(&answer()));
    let first_worker = worker(&env(&world)).await;
    let old = world.enqueue(TRANSCRIPT).await;
    let young = world.enqueue(TRANSCRIPT).await;
    for id in [old, young] {
        world.wait_for_status(id, "succeeded").await;
    }
    // A job that has its answer, and cannot write its report.
    world.objects.fault_always(Operation::Put, "report.json", Fault::Stall(gate.clone()));
    let live = world.enqueue(TRANSCRIPT).await;
    gate.reached().await;
    let age = "update job_answers a set received_at = now() - interval '8 days'
                 from processing_jobs j where j.id = a.job_id and j.file_id = any ($1)";
    sqlx::query(age).bind([old, live].as_slice()).execute(world.database.pool()).await.expect("aged");
    world.objects.fault_always(Operation::Delete, &format!("{old}/answers/"), Fault::slow_down());
    let pruner = worker(&with(env(&world), &[("RETAIN_ANSWERS_DAYS", "7"), ("RETENTION_EVERY_MS", "50")])).await;
    let kept = async || -> Vec<uuid::Uuid> {
        sqlx::query_scalar("select j.file_id from job_answers a join processing_jobs j on j.id = a.job_id")
            .fetch_all(world.database.pool())
            .await
            .expect("answers")
    };
    pruner.wait_for_line("delete an old answer").await;
    assert!(kept().await.contains(&old), "its object is still there");
    world.objects.clear_faults();
    world.objects.fault_always(Operation::Put, "report.json", Fault::Stall(gate.clone()));
    pruner.wait_for_line("answers pruned").await;
    let kept = kept().await;
    assert!(kept.contains(&young) && kept.contains(&live) && !kept.contains(&old), "{kept:?}");
    let keys = world.objects.list("users/");
    let of = |id| keys.iter().any(|key| key.contains(&format!("{id}/answers/")));
    assert!(!of(old) && of(young) && of(live), "{keys:?}");
    world.objects.clear_faults();
    gate.release();
    world.wait_for_status(live, "succeeded").await;
    drop(first_worker);
}
