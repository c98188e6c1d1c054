//! The embedded scripts, and which of them lead from one version to another.

use std::collections::{BTreeMap, BTreeSet};

use sqlx::{
    AssertSqlSafe, SqlSafeStr,
    migrate::{Migration, MigrationType, Migrator},
};

/// Not sqlx's usual table, because an adopted database may keep another program's migrations there.
pub(super) const TABLE: &str = "_assay_migrations";

/// Which program made the tables of files and jobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    Own,
    /// Another program, which may serve the same queue.
    Adopted,
}

/// Where to migrate to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// Up to the newest version of this binary.
    Latest,
    /// Up or down to this version.
    Version(i64),
    /// Down to no version.
    Nothing,
}

/// One script of a migration.
#[derive(Clone, Debug)]
pub struct Script {
    pub version: i64,
    pub name: String,
    /// Whether it undoes.
    pub down: bool,
    pub sql: String,
}

/// Returns the scripts for a database of this origin. A script for adopted databases replaces ours of the same version,
/// or has a version that ours leave out.
pub(super) fn migrator(origin: Origin) -> Migrator {
    let mut steps = BTreeMap::new();
    let adopted = match origin {
        Origin::Own => None,
        Origin::Adopted => Some(sqlx::migrate!("../../migrations/adopted")),
    };
    for migrator in [Some(sqlx::migrate!("../../migrations")), adopted].into_iter().flatten() {
        for step in migrator.iter() {
            steps.insert((step.version, is_down(step.migration_type)), in_ascii(step.clone()));
        }
    }
    let mut migrator = Migrator::with_migrations(steps.into_values().collect());
    migrator.dangerous_set_table_name(TABLE);
    migrator
}

/// Replaces characters outside ASCII, which a database in LATIN1 or SQL_ASCII may refuse. A published script has one in
/// a comment; its checksum is that of its file and stays.
fn in_ascii(step: Migration) -> Migration {
    let text = step.sql.as_str();
    if text.is_ascii() {
        return step;
    }
    let text: String = text.chars().map(|c| if c.is_ascii() { c } else { '?' }).collect();
    Migration { sql: AssertSqlSafe(text).into_sql_str(), ..step }
}

fn is_down(kind: MigrationType) -> bool {
    matches!(kind, MigrationType::ReversibleDown)
}

/// Returns the scripts that lead from `applied` to `target`, in order.
pub fn plan(origin: Origin, applied: &BTreeSet<i64>, target: Target) -> Vec<Script> {
    let goal = match target {
        Target::Latest => i64::MAX,
        Target::Version(version) => version,
        Target::Nothing => 0,
    };
    let scripts = |down: bool| -> Vec<Script> {
        migrator(origin)
            .iter()
            .filter(|step| is_down(step.migration_type) == down)
            .map(|step| Script {
                version: step.version,
                name: step.description.to_string(),
                down,
                sql: step.sql.as_str().to_owned(),
            })
            .collect()
    };
    let mut undo: Vec<_> =
        scripts(true).into_iter().filter(|step| step.version > goal && applied.contains(&step.version)).collect();
    undo.sort_by_key(|step| std::cmp::Reverse(step.version));
    let apply = scripts(false).into_iter().filter(|step| step.version <= goal && !applied.contains(&step.version));
    undo.into_iter().chain(apply).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ORIGINS: [Origin; 2] = [Origin::Own, Origin::Adopted];

    #[test]
    fn every_script_is_sent_in_ascii() {
        for origin in ORIGINS {
            for script in migrator(origin).iter() {
                assert!(script.sql.as_str().is_ascii(), "{} {}", script.version, script.description);
            }
        }
    }

    #[test]
    fn a_script_in_ascii_keeps_the_checksum_of_its_file() {
        let script =
            |sql: &'static str| Migration::new(1, "a".into(), MigrationType::ReversibleUp, sql.into_sql_str(), false);
        for (sql, sent) in [("-- a \u{2026}\nselect 1", "-- a ?\nselect 1"), ("select 2", "select 2")] {
            let (file, ascii) = (script(sql), in_ascii(script(sql)));
            assert_eq!((ascii.sql.as_str(), &ascii.checksum), (sent, &file.checksum));
        }
    }

    /// Published before the rule, with the character in a comment.
    const NOT_ASCII: &str = "0002_history.up.sql";

    #[test]
    fn migrations_are_written_in_ascii() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../migrations");
        let mut files = 0;
        for folder in [folder.clone(), folder.join("adopted")] {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.extension().is_none_or(|extension| extension != "sql") {
                    continue;
                }
                files += 1;
                let text = std::fs::read_to_string(&path).unwrap();
                let outside = text.lines().filter(|line| !line.is_ascii());
                if path.ends_with(NOT_ASCII) {
                    assert!(outside.into_iter().all(|line| line.trim_start().starts_with("--")), "{}", path.display());
                } else {
                    assert_eq!(outside.collect::<Vec<_>>(), [""; 0], "{}", path.display());
                }
            }
        }
        assert!(files >= 20, "only {files} scripts were found");
    }
}
