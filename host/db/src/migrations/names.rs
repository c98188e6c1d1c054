//! Names that the migrations would give, and that are taken in a database that other programs use too.

use sqlx::PgConnection;

use super::Script;

/// What is created by a statement that begins so.
const CREATED: [&str; 5] =
    ["create table ", "create index ", "create function ", "create trigger ", "create constraint trigger "];

/// Names of tables, indexes, functions and triggers that the scripts create and that are there already.
pub(super) async fn taken(db: &mut PgConnection, scripts: &[Script]) -> sqlx::Result<Vec<String>> {
    let names: Vec<_> = scripts.iter().filter(|script| !script.down).flat_map(|script| created(&script.sql)).collect();
    let taken = sqlx::query_scalar!(
        r#"
        select name as "name!"
          from unnest($1::text[]) as name
         where exists (select from pg_class where relname = name and relnamespace = current_schema()::regnamespace)
            or exists (select from pg_type where typname = name and typnamespace = current_schema()::regnamespace)
            or exists (select from pg_proc where proname = name and pronamespace = current_schema()::regnamespace)
            or exists (select from pg_trigger t join pg_class c on c.oid = t.tgrelid
                        where t.tgname = name and c.relnamespace = current_schema()::regnamespace)
         order by name
        "#,
        &names
    )
    .fetch_all(db)
    .await?;
    Ok(taken.into_iter().map(|name| format!("{name}: is there already, and Assay would create it")).collect())
}

/// The names in a script's own statements, each of which begins a line.
fn created(sql: &str) -> Vec<String> {
    let of_line = |line: &str| {
        let rest = CREATED.iter().find_map(|start| line.strip_prefix(start))?;
        let name = rest.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').next()?;
        Some(name.to_owned())
    };
    sql.lines().filter_map(of_line).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::migrations::{Origin, Target, plan};

    #[test]
    fn what_a_script_creates_is_read_from_it() {
        let sql = "create table files (\n);\ncreate index files_user on files (user_id);\nselect 'create table no';\ncreate function f() returns";
        assert_eq!(created(sql), ["files", "files_user", "f"]);
    }

    #[test]
    fn an_adopted_database_gets_every_table_but_the_two_that_it_has() {
        let of = |origin| -> BTreeSet<String> {
            plan(origin, &BTreeSet::new(), Target::Latest).iter().flat_map(|script| created(&script.sql)).collect()
        };
        let (own, adopted) = (of(Origin::Own), of(Origin::Adopted));
        let missing: Vec<_> = own.difference(&adopted).collect();
        assert_eq!(missing, ["files", "files_user", "processing_jobs"]);
    }
}
