//! What docs/operations/deploy.md grants is enough: each part works as a role that has these rights and no others.

use assay_runtime::testing::{WatGuest, hostile};
use assay_tests::{AssayProcess, World};
use sqlx::AssertSqlSafe;

use crate::{
    fixtures::{Env, TRANSCRIPT, with, worker},
    releases::{done, publish, world},
};

const PAGE: &str = include_str!("../../docs/operations/deploy.md");

/// Makes a role of the page under a name of its own, with the page's rights, and returns an environment that uses it.
pub async fn env_as(world: &World, env: &Env, role: &str) -> (Env, String) {
    let name = format!("{role}_{}", world.database.name());
    let blocks = PAGE.split("```sql\n").skip(1).filter_map(|block| block.split("```").next());
    let grants: String = blocks.filter(|block| block.contains(&format!("to {role};"))).collect();
    assert!(grants.contains("grant "), "the page grants {role} nothing");
    let sql = format!("create role {name}; {}", grants.replace(&format!("to {role};"), &format!("to {name};")));
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(world.database.pool()).await.expect("the page's grants");
    let url = world.database.url();
    let and = if url.contains('?') { '&' } else { '?' };
    (with(env.clone(), &[("DATABASE_URL", &format!("{url}{and}options[role]={name}"))]), name)
}

/// Runs `assay …`, which has to succeed.
async fn operate(env: &Env, arguments: &[&str]) {
    let mut process = AssayProcess::spawn(arguments, env);
    assert!(process.wait().await.success(), "{arguments:?}: {:?}", process.stderr());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rights_that_the_page_grants_are_enough() {
    let (world, env) = world().await;
    let (as_worker, worker_role) = env_as(&world, &env, "assay_worker").await;
    let (as_replayer, replayer_role) = env_as(&world, &env, "assay_replayer").await;
    let (as_sweeper, sweeper_role) = env_as(&world, &env, "assay_sweeper").await;
    for arguments in [&["sweep", "--mark"][..], &["sweep", "--delete"]] {
        let mut process = AssayProcess::spawn(arguments, &as_sweeper);
        assert!(process.wait().await.success(), "{:?}", process.stderr());
    }
    let (as_releaser, releaser_role) = env_as(&world, &env, "assay_releaser").await;
    let (as_operator, operator_role) = env_as(&world, &env, "assay_operator").await;
    publish(&world, &as_releaser, "stable", &WatGuest::new("stable")).await;
    publish(&world, &as_releaser, "other", &WatGuest::new("other")).await;
    publish(&world, &as_releaser, "trap", &hostile::rejects().prompt_version("trap").advance("(unreachable)")).await;
    done(&as_releaser, &["activate", "stable"]).await;
    done(&as_releaser, &["shadow", "other"]).await;
    let as_worker = with(
        as_worker,
        &[
            ("CANARY_CHECK_MS", "100"),
            ("RETAIN_ANSWERS", "on_failure"),
            ("RETENTION_EVERY_MS", "50"),
            ("SWEEP", "delete"),
            ("SWEEP_EVERY_MS", "50"),
        ],
    );
    let running = worker(&as_worker).await;
    operate(&as_operator, &["queue", "pause"]).await;
    let id = world.enqueue(TRANSCRIPT).await;
    let cancelled = world.enqueue(TRANSCRIPT).await;
    operate(&as_operator, &["jobs", "cancel", &cancelled.to_string()]).await;
    operate(&as_operator, &["jobs", "retry", &cancelled.to_string()]).await;
    operate(&as_operator, &["jobs", "list", "--since", "1h"]).await;
    operate(&as_operator, &["jobs", "show", &cancelled.to_string()]).await;
    operate(&as_operator, &["queue", "resume"]).await;
    world.wait_for_status(id, "succeeded").await;
    world
        .wait_until("the shadow", async || {
            done(&as_releaser, &["show", "other"]).await.lines().any(|line| line.starts_with("same "))
        })
        .await;
    running.wait_for_line("answers pruned").await;
    running.wait_for_line("bucket swept").await;
    done(&as_releaser, &["canary", "trap", "--percent", "99"]).await;
    world
        .wait_until("the halt", async || {
            for _ in 0..8 {
                world.enqueue(TRANSCRIPT).await;
            }
            done(&as_releaser, &["show", "trap"]).await.contains("  halt  ")
        })
        .await;
    done(&as_releaser, &["shadow", "--off"]).await;
    done(&as_releaser, &["retire", "trap"]).await;
    done(&as_releaser, &["list"]).await;
    let out = world.folder().join("replay").display().to_string();
    let mut replay = AssayProcess::spawn(&["replay", "--guest", "other", "--out", &out], &as_replayer);
    assert!(replay.wait().await.success(), "{:?}", replay.stderr());
    // Nothing that it tried was refused.
    assert!(
        !running.stderr().iter().any(|line| line.contains("permission denied") || line.contains("42501")),
        "{:?}",
        running.stderr()
    );
    drop(running);
    for role in [worker_role, releaser_role, replayer_role, sweeper_role, operator_role] {
        let sql = format!("drop owned by {role}; drop role {role}");
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(world.database.pool()).await.expect("the role goes");
    }
}
