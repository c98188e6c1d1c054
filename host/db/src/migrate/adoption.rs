//! Whether Assay can serve the tables of another program: every obstacle, by column.

use std::collections::BTreeMap;

use sqlx::{AssertSqlSafe, PgConnection};

use super::shape::{self, Column, Nulls};

/// The tables and the columns that they must have.
const TABLES: [(&str, &[Column]); 2] = [("files", &shape::FILES), ("processing_jobs", &shape::JOBS)];

/// The statuses that Assay knows, by table.
const STATUSES: [(&str, &[&str]); 2] = [
    ("files", &["uploaded", "queued", "processing", "succeeded", "failed"]),
    ("processing_jobs", &["queued", "processing", "succeeded", "failed"]),
];

/// A column of the other program's table.
struct FoundColumn {
    type_name: String,
    not_null: bool,
    has_default: bool,
    generated: bool,
}

/// Returns whether one of the two tables exists, in the schema where Assay would create its own.
pub(super) async fn tables_exist(db: &mut PgConnection) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"
        select exists (select from pg_class
                        where relnamespace = quote_ident(current_schema())::regnamespace
                          and relname in ('files', 'processing_jobs')) as "exist!"
        "#
    )
    .fetch_one(db)
    .await
}

/// Returns every obstacle to serving the tables; none if Assay can.
pub(super) async fn obstacles(db: &mut PgConnection) -> sqlx::Result<Vec<String>> {
    let mut obstacles = Vec::new();
    for (table, columns) in TABLES {
        match is_ordinary(db, table).await? {
            Some(true) => obstacles.extend(column_obstacles(table, columns, &columns_of(db, table).await?)),
            Some(false) => obstacles.push(format!("{table}: is not an ordinary logged table")),
            None => obstacles.push(format!("{table}: is missing, but the other table exists")),
        }
    }
    if !obstacles.is_empty() {
        // The checks below read these columns.
        return Ok(obstacles);
    }
    for (table, column) in [("files", "id"), ("processing_jobs", "id"), ("processing_jobs", "file_id")] {
        if !is_unique(db, table, column).await? {
            obstacles.push(format!("{table}.{column}: is not unique by itself"));
        }
    }
    for (table, known) in STATUSES {
        for status in other_statuses(db, table, known).await? {
            obstacles.push(format!("{table}.status: a row says {status:?}, which Assay does not know"));
        }
    }
    if has_infinite_runs(db).await? {
        obstacles.push("processing_jobs.next_run_at: a row says infinity, and must be a time".to_owned());
    }
    for (table, written) in shape::WRITTEN {
        obstacles.extend(constraints_on(db, table, written).await?);
    }
    obstacles.extend(refusing_checks(db).await?);
    Ok(obstacles)
}

async fn is_ordinary(db: &mut PgConnection, table: &str) -> sqlx::Result<Option<bool>> {
    sqlx::query_scalar!(
        r#"
        select relkind = 'r' and relpersistence = 'p' as "ordinary!"
          from pg_class where relnamespace = quote_ident(current_schema())::regnamespace and relname = $1
        "#,
        table
    )
    .fetch_optional(db)
    .await
}

async fn columns_of(db: &mut PgConnection, table: &str) -> sqlx::Result<BTreeMap<String, FoundColumn>> {
    let rows = sqlx::query!(
        r#"
        select attname::text as "name!", format_type(atttypid, atttypmod) as "type_name!", attnotnull as not_null,
               atthasdef or attidentity <> '' as "has_default!", attgenerated <> '' or attidentity = 'a' as "generated!"
          from pg_attribute
         where attrelid = $1::text::regclass and attnum > 0 and not attisdropped
        "#,
        table
    )
    .fetch_all(db)
    .await?;
    let found = rows.into_iter().map(|row| {
        let found = FoundColumn {
            type_name: row.type_name,
            not_null: row.not_null,
            has_default: row.has_default,
            generated: row.generated,
        };
        (row.name, found)
    });
    Ok(found.collect())
}

fn column_obstacles(table: &str, columns: &[Column], found: &BTreeMap<String, FoundColumn>) -> Vec<String> {
    let mut obstacles = Vec::new();
    let mut add = |column: &str, what: &str| obstacles.push(format!("{table}.{column}: {what}"));
    for column in columns.iter().chain([&shape::UPDATED_AT]) {
        let Some(there) = found.get(column.name) else {
            add(column.name, "is missing");
            continue;
        };
        if !column.kind.accepts(&there.type_name) {
            add(column.name, &format!("is {}, and must be {}", there.type_name, column.kind.expected()));
        }
        if there.generated {
            add(column.name, "is generated, and Assay writes it");
        }
        match column.nulls {
            Nulls::Needed if there.not_null => add(column.name, "is NOT NULL, and Assay writes NULL"),
            Nulls::Refused if !there.not_null => add(column.name, "may be NULL, and must be NOT NULL"),
            _ => {}
        }
    }
    for column in shape::ADDED.iter().filter(|(of, _)| *of == table).flat_map(|(_, added)| *added) {
        if found.contains_key(*column) {
            add(column, "is there already, and Assay would add it");
        }
    }
    if table == "processing_jobs" {
        if found.get("lock_ttl_seconds").is_some_and(|there| !there.has_default) {
            add("lock_ttl_seconds", "has no default, and must have one: the other program's lease in seconds");
        }
        // Assay inserts rows only here: `assay_enqueue` creates jobs, but the application inserts its files.
        for (column, there) in found {
            let unknown = columns.iter().all(|known| known.name != column) && !shape::FILLED.contains(&column.as_str());
            if unknown && there.not_null && !there.has_default {
                add(column, "is NOT NULL without a default, and Assay does not know it");
            }
        }
    }
    obstacles
}

async fn is_unique(db: &mut PgConnection, table: &str, column: &str) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"
        select exists (
            select from pg_index i
              join pg_attribute a on a.attrelid = i.indrelid and a.attname = $2
             where i.indrelid = $1::text::regclass and i.indisunique and i.indimmediate and i.indisvalid
               and i.indnkeyatts = 1 and i.indkey[0] = a.attnum and i.indpred is null
        ) as "unique!"
        "#,
        table,
        column
    )
    .fetch_one(db)
    .await
}

async fn other_statuses(db: &mut PgConnection, table: &str, known: &[&str]) -> sqlx::Result<Vec<String>> {
    // The name is one of the two constants above.
    let sql = format!("select distinct status::text from {table} where status <> all ($1) order by 1 limit 5");
    sqlx::query_scalar(AssertSqlSafe(sql)).bind(known).fetch_all(db).await
}

async fn has_infinite_runs(db: &mut PgConnection) -> sqlx::Result<bool> {
    let sql = "select exists (select from processing_jobs where not isfinite(next_run_at))";
    sqlx::query_scalar(sql).fetch_one(db).await
}

/// Finds foreign keys and unique indexes over columns that Assay writes: they could refuse a claim or a settlement.
async fn constraints_on(db: &mut PgConnection, table: &str, written: &[&str]) -> sqlx::Result<Vec<String>> {
    let written: Vec<_> = written.iter().map(|column| (*column).to_owned()).collect();
    let rows = sqlx::query!(
        r#"
        select a.attname::text as "column!", found.name::text as "constraint!"
          from (select conname as name, conkey as columns from pg_constraint
                 where conrelid = $1::text::regclass and contype = 'f'
                union all
                select indexrelid::regclass::text, indkey::int2[] from pg_index
                 where indrelid = $1::text::regclass and indisunique) as found
          join pg_attribute a on a.attrelid = $1::text::regclass and a.attnum = any (found.columns)
         where a.attname = any ($2::text[]::name[])
         order by 1, 2
        "#,
        table,
        &written
    )
    .fetch_all(db)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| format!("{table}.{}: {} constrains it, and Assay writes it", row.column, row.constraint))
        .collect())
}

/// Finds CHECKs that are false for a row as Assay leaves it. Postgres evaluates each on sample rows, where columns that
/// Assay does not know are NULL. CHECKs over unknown columns of `files` are left out: the application inserts those
/// rows.
async fn refusing_checks(db: &mut PgConnection) -> sqlx::Result<Vec<String>> {
    let known: Vec<_> = shape::FILES.iter().chain([&shape::UPDATED_AT]).map(|column| column.name.to_owned()).collect();
    let checks = sqlx::query!(
        r#"
        select conrelid = 'files'::text::regclass as "of_files!", conname::text as "name!",
               pg_get_expr(conbin, conrelid) as "expression!"
          from pg_constraint
         where conrelid in ('files'::text::regclass, 'processing_jobs'::text::regclass) and contype = 'c'
           and not (conrelid = 'files'::text::regclass
                    and exists (select from pg_attribute a where a.attrelid = conrelid and a.attnum = any (conkey)
                                                             and a.attname <> all ($1::text[]::name[])))
         order by conname
        "#,
        &known
    )
    .fetch_all(&mut *db)
    .await?;
    let mut refusing = Vec::new();
    for check in checks {
        let (table, always) = if check.of_files { ("files", shape::FILE) } else { ("processing_jobs", shape::JOB) };
        for (_, row) in shape::ROW_STATES.iter().filter(|(of, _)| *of == table) {
            // The expression is a constraint's text from the catalogue.
            let sql = format!(
                "select ({}) is not false from jsonb_populate_record(null::{table}, $1::text::jsonb || $2::text::jsonb) as {table}",
                check.expression
            );
            if !sqlx::query_scalar::<_, bool>(AssertSqlSafe(sql)).bind(always).bind(row).fetch_one(&mut *db).await? {
                let status: String = serde_json::from_str::<serde_json::Value>(row)
                    .ok()
                    .and_then(|row| row["status"].as_str().map(str::to_owned))
                    .unwrap_or_default();
                refusing.push(format!(
                    "{table}.status: the constraint {} refuses {status:?} as Assay writes it",
                    check.name
                ));
            }
        }
    }
    Ok(refusing)
}
