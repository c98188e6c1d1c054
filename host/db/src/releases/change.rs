//! Changing a channel's releases: one change at a time, each with its line in the audit.

use assay_core::channel::{Canary, Change, Channel, Refusal};
use sqlx::{Connection, PgConnection, types::Json};

use crate::{database::Database, error::DbError};

/// Who changes something, and why: for the audit.
#[derive(Clone, Copy, Debug)]
pub struct By<'a> {
    pub actor: &'a str,
    /// May be empty.
    pub reason: &'a str,
}

/// A channel before and after a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changed {
    pub before: Channel,
    /// From the next job on.
    pub after: Channel,
}

impl Database {
    /// Changes a channel's releases, under a lock. Unless `schema_may_change`, new jobs' reports must keep their schema
    /// version.
    ///
    /// # Errors
    /// [`DbError`]; or, as the inner result, why the change was refused.
    pub async fn change_channel(
        &self,
        channel: &str,
        change: &Change,
        schema_may_change: bool,
        by: By<'_>,
    ) -> Result<Result<Changed, Refusal>, DbError> {
        self.repeat(async |db| {
            let mut transaction = db.begin().await?;
            let before = lock_channel(&mut transaction, channel).await?;
            let after = match before.changed(change) {
                Ok(after) => after,
                Err(refusal) => return Ok(Err(refusal)),
            };
            // Halting only removes a release, and the rest was checked before. Workers may halt, but have no right to
            // lock a release.
            let halts = matches!(change, Change::Halt(_));
            if !halts && let Err(refusal) = check(&mut transaction, &before, &after, schema_may_change).await? {
                return Ok(Err(refusal));
            }
            let changed = Changed { before, after };
            store(&mut transaction, channel, &changed, change.action(), None, by).await?;
            transaction.commit().await?;
            Ok(Ok(changed))
        })
        .await
    }

    /// Undoes the last change of a channel that was not undone yet. The shadow stays, because new jobs do not run on
    /// it.
    ///
    /// # Errors
    /// As [`Self::change_channel`].
    pub async fn roll_back(&self, channel: &str, by: By<'_>) -> Result<Result<Changed, Refusal>, DbError> {
        self.repeat(async |db| {
            let mut transaction = db.begin().await?;
            let before = lock_channel(&mut transaction, channel).await?;
            let last = sqlx::query!(
                r#"
                select c.id, c.action, c.before as "before!: Json<Channel>"
                  from release_changes c
                 where c.channel = $1 and c.action not in ('rollback', 'shadow') and c.before is not null
                   and not exists (select from release_changes u where u.undid = c.id)
                 order by c.id desc
                 limit 1
                "#,
                channel,
            )
            .fetch_optional(&mut *transaction)
            .await?;
            let Some(last) = last else { return Ok(Err(Refusal::NothingToUndo)) };
            if last.action == "halt" {
                return Ok(Err(Refusal::Halted));
            }
            let shadow =
                before.shadow.clone().filter(|shadow| last.before.active.as_ref().is_some_and(|it| it != shadow));
            let changed = Changed { after: Channel { shadow, ..last.before.0 }, before };
            // A rollback may change the schema version: earlier reports had the older one.
            if let Err(refusal) = check(&mut transaction, &changed.before, &changed.after, true).await? {
                return Ok(Err(refusal));
            }
            store(&mut transaction, channel, &changed, "rollback", Some(last.id), by).await?;
            transaction.commit().await?;
            Ok(Ok(changed))
        })
        .await
    }
}

/// Reads the channel and locks it until the end of the transaction.
async fn lock_channel(db: &mut PgConnection, channel: &str) -> sqlx::Result<Channel> {
    sqlx::query!("insert into release_channels (channel) values ($1) on conflict do nothing", channel)
        .execute(&mut *db)
        .await?;
    let row = sqlx::query!(
        "select active, canary, canary_percent, shadow from release_channels where channel = $1 for update",
        channel
    )
    .fetch_one(db)
    .await?;
    let canary = row.canary.zip(row.canary_percent).map(|(digest, percent)| Canary { digest, percent });
    Ok(Channel { active: row.active, canary, shadow: row.shadow })
}

/// Checks that the channel's releases are in service, and that the schema version may change if it does.
async fn check(
    db: &mut PgConnection,
    before: &Channel,
    after: &Channel,
    schema_may_change: bool,
) -> sqlx::Result<Result<(), Refusal>> {
    let named: Vec<String> = before.digests().chain(after.digests()).map(str::to_owned).collect();
    // Locked, so that no release is retired before the change is committed.
    let rows = sqlx::query!(
        r#"
        select digest, prompt_version || '@' || revision as "name!", schema_version, retired_at is not null as "retired!"
          from guest_releases where digest = any ($1) order by digest for share
        "#,
        &named
    )
    .fetch_all(db)
    .await?;
    let in_service = |digest: &str| rows.iter().any(|row| row.digest == digest && !row.retired);
    if let Some(gone) = after.digests().find(|digest| !in_service(digest)) {
        // Retired, or deleted meanwhile.
        let name = rows.iter().find(|row| row.digest == gone).map_or(gone, |row| row.name.as_str());
        return Ok(Err(Refusal::Retired(name.to_owned())));
    }
    let schema = |digest: &str| rows.iter().find(|row| row.digest == digest).map(|row| row.schema_version.as_str());
    let Some(active) = before.active.as_deref().and_then(schema) else { return Ok(Ok(())) };
    // A shadow's reports are not stored, so its schema version does not matter.
    match after.serving().filter_map(schema).find(|new| *new != active) {
        Some(new) if !schema_may_change => {
            Ok(Err(Refusal::SchemaChange { active: active.to_owned(), new: new.to_owned() }))
        }
        _ => Ok(Ok(())),
    }
}

async fn store(
    db: &mut PgConnection,
    channel: &str,
    changed: &Changed,
    action: &str,
    undid: Option<i64>,
    by: By<'_>,
) -> sqlx::Result<()> {
    let Changed { before, after } = changed;
    let canary = after.canary.as_ref();
    let same_canary = before.canary.as_ref().map(|canary| &canary.digest) == canary.map(|canary| &canary.digest);
    sqlx::query!(
        r#"
        update release_channels
           set active = $2, canary = $3, canary_percent = $4, shadow = $6,
               canary_since = case when $3::text is null then null when $5 then canary_since else now() end,
               changed_at = now()
         where channel = $1
        "#,
        channel,
        after.active,
        canary.map(|canary| canary.digest.as_str()),
        canary.map(|canary| canary.percent),
        same_canary,
        after.shadow,
    )
    .execute(&mut *db)
    .await?;
    // The audit names the active release if that changed, else the canary, else the shadow.
    let changed_digest = |of: &Channel| {
        if before.active != after.active {
            of.active.clone()
        } else if before.canary != after.canary {
            of.canary.as_ref().map(|canary| canary.digest.clone())
        } else {
            of.shadow.clone()
        }
    };
    sqlx::query!(
        r#"
        insert into release_changes (actor, action, channel, digest_from, digest_to, reason, before, after, undid)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
        "#,
        by.actor,
        action,
        channel,
        changed_digest(before),
        changed_digest(after),
        by.reason,
        Json(before) as _,
        Json(after) as _,
        undid,
    )
    .execute(db)
    .await?;
    Ok(())
}
