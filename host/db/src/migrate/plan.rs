//! The embedded scripts, and which of them lead from one version to another.

use std::collections::{BTreeMap, BTreeSet};

use sqlx::migrate::{MigrationType, Migrator};

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
            steps.insert((step.version, is_down(step.migration_type)), step.clone());
        }
    }
    let mut migrator = Migrator::with_migrations(steps.into_values().collect());
    migrator.dangerous_set_table_name(TABLE);
    migrator
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
