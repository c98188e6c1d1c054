//! The load: an application that hands transcripts in at a steady rate, and operators who cancel, retry and rerun.

use std::{
    collections::BTreeSet,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use anyhow::ensure;
use assay_tests::AssayProcess;
use rand::{Rng, rngs::StdRng, seq::IndexedRandom};
use sqlx::PgPool;
use tokio::{task::JoinSet, time::MissedTickBehavior};
use uuid::Uuid;

use crate::{old, stage::Stage, talk::Kind};

/// How often each kind occurs, of a hundred.
pub type Mix = [(Kind, u32); 8];

pub const MIX: Mix = [
    (Kind::Accepted, 52),
    (Kind::Repaired, 10),
    (Kind::Parts, 8),
    (Kind::Rejected, 10),
    (Kind::Hopeless, 5),
    (Kind::Empty, 5),
    (Kind::Garbled, 5),
    (Kind::Missing, 5),
];

/// More of those that ask more than once, so that a job in flight often has an answer already.
pub const OFTEN_ANSWERED: Mix = [
    (Kind::Accepted, 22),
    (Kind::Repaired, 30),
    (Kind::Parts, 14),
    (Kind::Rejected, 10),
    (Kind::Hopeless, 12),
    (Kind::Empty, 4),
    (Kind::Garbled, 4),
    (Kind::Missing, 4),
];

const COMMANDS: [(&[&str], &str); 3] = [
    (&["rerun"], "select id from files where status = 'succeeded' order by id"),
    (&["jobs", "retry"], "select id from files where status = 'failed' order by id"),
    (&["jobs", "cancel"], "select id from files where status in ('queued', 'processing') order by id"),
];

/// Hands `rate` transcripts of a mix in a second until it is `over`; returns their files. Every kind comes once before chance decides.
///
/// # Errors
/// If the database stays away.
pub async fn produce(
    stage: &Stage,
    mut dice: StdRng,
    rate: f64,
    mix: &Mix,
    over: &AtomicBool,
) -> anyhow::Result<BTreeSet<Uuid>> {
    let mut late = JoinSet::new();
    let mut ticks = tokio::time::interval(Duration::from_secs_f64(1.0 / rate));
    // A steady rate is the load itself; what an outage has kept back comes all at once, as it would.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut produced = BTreeSet::new();
    while !over.load(Ordering::Relaxed) {
        ticks.tick().await;
        let kind = match Kind::ALL.get(produced.len()) {
            Some(kind) => *kind,
            None => mix.choose_weighted(&mut dice, |(_, weight)| *weight)?.0,
        };
        // The other program has producers of its own, which name no prompt version.
        let way = if stage.old.is_there() && kind.prompt_version().is_none() && dice.random_bool(0.5) {
            Way::JobFirst
        } else {
            Way::Enqueue
        };
        let file = submit(stage, kind, way).await?;
        if way == Way::JobFirst {
            let (pool, pause) =
                (stage.services.pool.clone(), stage.services.times.lease.mul_f64(dice.random_range(0.0..1.5)));
            late.spawn(async move {
                // How late it is, not a wait for anything.
                tokio::time::sleep(pause).await;
                old::say_queued(&pool, file).await
            });
        }
        produced.insert(file);
    }
    while let Some(said) = late.join_next().await {
        said??;
    }
    Ok(produced)
}

/// Hands one transcript in.
///
/// # Errors
/// If the database stays away.
pub async fn hand_in(stage: &Stage, kind: Kind) -> anyhow::Result<Uuid> {
    submit(stage, kind, Way::Enqueue).await
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// File and job in one transaction, by Assay's function.
    Enqueue,
    /// As the other program's producers do it: the job, and only afterwards the file's status.
    JobFirst,
}

/// Hands one transcript in: the object, then both rows in one transaction. An application whose commit was not answered tries again.
async fn submit(stage: &Stage, kind: Kind, way: Way) -> anyhow::Result<Uuid> {
    let (file, user) = (Uuid::new_v4(), Uuid::new_v4());
    let key = format!("users/{user}/files/{file}/original.txt");
    let transcript = kind.transcript(file);
    let size = transcript.as_ref().map_or(0, Vec::len) as i64;
    if let Some(transcript) = transcript {
        stage.services.objects.put(&key, transcript).await;
    }
    if stage.old.is_there() {
        stage.services.patiently("register a user", async |pool: &PgPool| old::register(pool, user).await).await?;
    }
    let enqueue = async |pool: &PgPool| {
        let mut transaction = pool.begin().await?;
        sqlx::query(
            "insert into files (id, user_id, storage_bucket, storage_key_original, original_filename, extension, mime_type, size_bytes)
             values ($1, $2, $3, $4, $5, 'txt', 'text/plain', $6) on conflict (id) do nothing",
        )
        .bind(file)
        .bind(user)
        .bind(stage.services.objects.bucket_name())
        .bind(&key)
        .bind(kind.filename())
        .bind(size)
        .execute(&mut *transaction)
        .await?;
        match way {
            Way::JobFirst => old::insert_job(&mut transaction, file).await?,
            Way::Enqueue => {
                sqlx::query("select assay_enqueue($1, $2)")
                    .bind(file)
                    .bind(kind.prompt_version())
                    .execute(&mut *transaction)
                    .await?;
            }
        }
        transaction.commit().await
    };
    stage.services.patiently("hand a transcript in", enqueue).await?;
    Ok(file)
}

/// Runs an operator's command every now and then until it is `over`; returns how many.
///
/// # Errors
/// If the database stays away, or a log cannot be kept.
pub async fn operate(stage: &Stage, mut dice: StdRng, over: &AtomicBool) -> anyhow::Result<usize> {
    let mut ran = 0;
    loop {
        // The operators' pace, not a wait for anything.
        tokio::time::sleep(stage.services.times.lease.mul_f64(dice.random_range(0.2..0.8))).await;
        if over.load(Ordering::Relaxed) {
            return Ok(ran);
        }
        let (command, choice) = COMMANDS[dice.random_range(0..COMMANDS.len())];
        let ask = async |pool: &PgPool| sqlx::query_scalar::<_, Uuid>(choice).fetch_all(pool).await;
        let files = stage.services.patiently("choose a file", ask).await?;
        if let Some(file) = files.choose(&mut dice) {
            let file = file.to_string();
            // It may come too late, or meet a database that is away: an operator sees that and tries again.
            let mut process = AssayProcess::spawn(&[command, &[&file]].concat(), &stage.services.operator());
            let status = process.wait().await;
            ran += 1;
            stage.fleet.keep(&format!("operator-{ran}"), &process)?;
            let ended = matches!(status.code(), Some(0 | 1));
            ensure!(ended, "assay {} {file} ended with {status}: {:?}", command.join(" "), process.stderr());
        }
    }
}
