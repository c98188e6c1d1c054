//! Looks for markers in lines and in rows, whatever their case.

use assay_tests::{AssayProcess, World};
use uuid::Uuid;

use crate::{fixtures::env, privacy::MARKERS};

/// The columns that hold a file's own words.
const CONTENT_COLUMNS: [&str; 2] = ["original_filename", "attributes"];

/// No marker in the lines, nor in a row of any table.
pub async fn assert_clean(world: &World, lines: &[String], place: &str) {
    let tables = "SELECT table_name FROM information_schema.tables WHERE table_schema = current_schema()";
    let tables: Vec<String> = sqlx::query_scalar(tables).fetch_all(world.database.pool()).await.expect("the tables");
    assert!(tables.len() > 5, "{tables:?}");
    for marker in MARKERS {
        let has_marker = |line: &&String| line.to_lowercase().contains(&marker.to_lowercase());
        assert_eq!(lines.iter().find(has_marker), None, "{place}");
        for table in &tables {
            let sql = format!("SELECT count(*) FROM {table} t WHERE (to_jsonb(t) - $2)::text ILIKE '%' || $1 || '%'");
            let rows = sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).bind(marker).bind(CONTENT_COLUMNS);
            let rows: i64 = rows.fetch_one(world.database.pool()).await.expect("a count");
            assert_eq!(rows, 0, "{marker} is in a row of {table}: {place}");
        }
    }
}

/// Returns what `assay status` and `assay jobs show` print, without the line with the file's own name.
pub async fn shown_by_commands(world: &World, files: &[Uuid]) -> Vec<String> {
    let mut commands = vec![vec!["status".to_owned()], vec!["status".to_owned(), "--json".to_owned()]];
    commands.push(["jobs", "list", "--json"].map(str::to_owned).to_vec());
    for file in files {
        commands.push(vec!["status".to_owned(), file.to_string()]);
        commands.push(["jobs", "show", &file.to_string(), "--json"].map(str::to_owned).to_vec());
    }
    let mut lines = Vec::new();
    for command in commands {
        let arguments: Vec<_> = command.iter().map(String::as_str).collect();
        let mut process = AssayProcess::spawn(&arguments, &env(world));
        assert!(process.wait().await.success(), "{command:?}: {:?}", process.stderr());
        lines.extend(process.stdout().into_iter().chain(process.stderr()));
    }
    assert!(lines.len() > files.len());
    lines.retain(|line| !line.starts_with("name "));
    lines
}
