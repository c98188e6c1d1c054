//! Row security that hides rows of Assay's tables: nothing fails then, and jobs wait in silence.

use crate::{database::Database, error::DbError};

/// The tables that a worker reads.
const READ: [&str; 10] = [
    "processing_jobs",
    "files",
    "job_attempts",
    "job_answers",
    "workers",
    "queue_pauses",
    "guest_releases",
    "release_channels",
    "release_shadows",
    "installation",
];
/// Of those, the tables whose rows it changes: each must be visible to UPDATE too.
const UPDATED: [&str; 6] = ["processing_jobs", "files", "job_answers", "workers", "release_shadows", "installation"];

impl Database {
    /// Returns the tables of which row security may hide rows from this role.
    ///
    /// None if row security does not apply to the role (its owner, or BYPASSRLS), or if policies let it see and change every
    /// row. The condition of a policy is not evaluated: any other than `true` counts as one that hides.
    ///
    /// # Errors
    /// [`DbError`].
    pub async fn tables_with_hidden_rows(&self) -> Result<Vec<String>, DbError> {
        let tables = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        // On a new connection, because a command asks before it uses the pool.
        let mut connection = self.connect().await?;
        let hidden = sqlx::query_scalar!(
            r#"
            with policy as (
                select polrelid, polcmd, polpermissive, pg_get_expr(polqual, polrelid) as condition
                  from pg_policy
                 where exists (select from unnest(polroles) as role
                                where role = 0 or pg_has_role(current_user, role, 'usage'))
            )
            select t.name as "name!"
              from unnest($1::text[]) with ordinality as t (name, place)
             where row_security_active(to_regclass(t.name))
               and exists (select from unnest(array['r', 'w']) as command
                            where (command = 'r' or t.name = any ($2::text[]))
                              and (not exists (select from policy p
                                                where p.polrelid = to_regclass(t.name) and p.polcmd in (command, '*')
                                                  and p.polpermissive and p.condition = 'true')
                                   or exists (select from policy p
                                               where p.polrelid = to_regclass(t.name) and p.polcmd in (command, '*')
                                                 and not p.polpermissive and p.condition <> 'true')))
             order by t.place
            "#,
            &tables(&READ),
            &tables(&UPDATED),
        );
        self.run_on(&mut connection, async |db| hidden.fetch_all(db).await).await
    }
}
