//! Claims that the database refuses: for a row of the job, or for a while for every job.

use std::time::Duration;

use assay_core::serving::Serving;
use assay_db::{Database, DatabaseConfig, queue::ClaimBatch};
use assay_tests::{Proxy, World};
use uuid::Uuid;

use super::{database, job_id, run};
use crate::fixtures::TRANSCRIPT;

const REFUSE_ALL: &str = "alter table processing_jobs add constraint of_another_program check (status <> 'processing')";
const ALLOW_ALL: &str = "alter table processing_jobs drop constraint of_another_program";

/// Enqueues files whose jobs are due one after the other.
async fn jobs<const N: usize>(world: &World) -> [Uuid; N] {
    let mut jobs = [Uuid::nil(); N];
    for (job, place) in jobs.iter_mut().zip(0_i32..) {
        let file = world.enqueue(TRANSCRIPT).await;
        *job = job_id(world, file).await;
        let sql = "update processing_jobs set next_run_at = now() - interval '1 hour' + $2 * interval '1 minute' where id = $1";
        sqlx::query(sql).bind(*job).bind(place).execute(world.database.pool()).await.expect("a place in the queue");
    }
    jobs
}

async fn claim(database: &Database, slots: usize) -> ClaimBatch {
    let serving = Serving { default: Some("d".to_owned()), digests: vec!["d".to_owned()], ..Serving::default() };
    database.claim("w", &serving, slots, Duration::from_secs(30), None).await.expect("a claim")
}

/// Returns the claimed jobs and the refused ones with whether they were failed.
fn outcome(batch: &ClaimBatch) -> (Vec<Uuid>, Vec<(Uuid, bool)>) {
    let claimed = batch.claims.iter().map(|claim| claim.lease.job.0).collect();
    (claimed, batch.refused.iter().map(|one| (one.job.0, one.failed)).collect())
}

async fn statuses(world: &World, jobs: &[Uuid]) -> Vec<String> {
    let sql = "select status from unnest($1::uuid[]) with ordinality as wanted (id, place)
                 join processing_jobs using (id) order by place";
    sqlx::query_scalar(sql).bind(jobs).fetch_all(world.database.pool()).await.expect("the jobs")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_was_refused_just_before_every_claim_works_again_is_not_failed() {
    for slots in [1, 20] {
        let world = World::start().await;
        let [first, second] = jobs(&world).await;
        run(&world, REFUSE_ALL).await;
        let proxy = Proxy::before(world.database.url()).await;
        let through = DatabaseConfig::from_url(&proxy.url_of(world.database.url()).into()).expect("a Postgres URL");
        let database = Database::new(through);
        let [batch, alone, neighbour] = [(); 3].map(|()| proxy.hold_statement("set status = 'processing'"));
        let claiming = tokio::spawn(async move { claim(&database, slots).await });
        for refused in [batch, alone] {
            refused.reached().await;
            refused.forward().await;
        }
        neighbour.reached().await;
        run(&world, ALLOW_ALL).await;
        neighbour.forward().await;
        let batch = claiming.await.expect("no panic");
        assert_eq!(outcome(&batch), (vec![second], vec![(first, false)]), "{slots} slots");
        assert_eq!(statuses(&world, &[first, second]).await, ["queued", "processing"]);
        assert_eq!(outcome(&claim(&super::database(&world), slots).await), (vec![first], vec![]));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_is_refused_for_its_own_row_ends_wherever_it_stands() {
    for (slots, place) in [(1, 0), (1, 1), (20, 0), (20, 1), (20, 2)] {
        let world = World::start().await;
        let jobs: [Uuid; 3] = jobs(&world).await;
        let bad = jobs[place];
        run(
            &world,
            &format!(
                "alter table processing_jobs add constraint of_another_program
                     check (id <> '{bad}' or status <> 'processing')"
            ),
        )
        .await;
        let database = database(&world);
        // A worker with one slot has it back after each job.
        let mut outcomes = Vec::new();
        for _ in 0..jobs.len() {
            outcomes.push(outcome(&claim(&database, slots).await));
        }
        let mut wanted = ["processing"; 3];
        wanted[place] = "failed";
        assert_eq!(statuses(&world, &jobs).await, wanted, "{slots} slots, {jobs:?}: {outcomes:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_constraint_that_is_checked_at_the_commit_refuses_as_well() {
    let world = World::start().await;
    let [bad, good] = jobs(&world).await;
    run(
        &world,
        &format!(
            "create function of_another_program() returns trigger language plpgsql as $$
             begin
                 raise exception 'not this row';
             end $$;
             create constraint trigger of_another_program after update on processing_jobs
                 deferrable initially deferred for each row
                 when (new.id = '{bad}' and new.status = 'processing') execute function of_another_program()"
        ),
    )
    .await;
    assert_eq!(outcome(&claim(&database(&world), 20).await), (vec![good], vec![(bad, true)]));
    assert_eq!(statuses(&world, &[bad, good]).await, ["failed", "processing"]);
}
