//! Names that the migrations would create, and that a database of another program already has.

use sqlx::PgConnection;

use super::plan::Script;

/// Beginnings of statements that create a named object.
const CREATE_STATEMENTS: [&str; 5] =
    ["create table ", "create index ", "create function ", "create trigger ", "create constraint trigger "];

/// Returns an obstacle for each table, index, function and trigger that the scripts create and the database already
/// has.
pub(super) async fn taken(db: &mut PgConnection, scripts: &[Script]) -> sqlx::Result<Vec<String>> {
    let names: Vec<_> = scripts.iter().filter(|script| !script.down).flat_map(|script| created(&script.sql)).collect();
    let taken = sqlx::query_scalar!(
        r#"
        select name as "name!"
          from unnest($1::text[]) as name
         where exists (select from pg_class where relname = name and relnamespace = quote_ident(current_schema())::regnamespace)
            or exists (select from pg_type where typname = name and typnamespace = quote_ident(current_schema())::regnamespace)
            or exists (select from pg_proc where proname = name and pronamespace = quote_ident(current_schema())::regnamespace)
            or exists (select from pg_trigger t join pg_class c on c.oid = t.tgrelid
                        where t.tgname = name and c.relnamespace = quote_ident(current_schema())::regnamespace)
         order by name
        "#,
        &names
    )
    .fetch_all(db)
    .await?;
    Ok(taken.into_iter().map(|name| format!("{name}: is there already, and Assay would create it")).collect())
}

/// Returns the names that a script creates. Each statement begins a line.
fn created(sql: &str) -> Vec<String> {
    let of_line = |line: &str| {
        let rest = CREATE_STATEMENTS.iter().find_map(|start| line.strip_prefix(start))?;
        let name = rest.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').next()?;
        Some(name.to_owned())
    };
    sql.lines().filter_map(of_line).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::migrate::plan::{Origin, Target, plan};

    #[test]
    fn names_are_read_from_a_script() {
        let sql = "create table files (\n);\ncreate index files_user on files (user_id);\nselect 'create table no';\ncreate function f() returns";
        assert_eq!(created(sql), ["files", "files_user", "f"]);
    }

    #[test]
    fn adopting_creates_every_table_but_the_two_that_exist() {
        let of = |origin| -> BTreeSet<String> {
            plan(origin, &BTreeSet::new(), Target::Latest).iter().flat_map(|script| created(&script.sql)).collect()
        };
        let (own, adopted) = (of(Origin::Own), of(Origin::Adopted));
        let missing: Vec<_> = own.difference(&adopted).collect();
        assert_eq!(missing, ["files", "files_user", "processing_jobs"]);
    }
}
