//! `cargo xtask sqlx`: compiles the queries against a migrated Postgres and writes their metadata into `.sqlx/`, or
//! compares it with what is committed.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, Result, bail};
use assay_dev::{Postgres, PostgresOptions};
use sqlx::{Connection, PgConnection, migrate::Migrator};

use crate::{guests::spinner, paths, run};

/// Options of `cargo xtask sqlx`.
#[derive(clap::Args)]
pub struct Args {
    /// Change nothing; fail if the committed metadata is out of date
    #[arg(long)]
    check: bool,
}

/// Runs the command.
///
/// # Errors
/// A query does not fit the schema, or with `--check` the metadata is out of date.
pub fn run(args: &Args) -> Result<()> {
    if args.check { check() } else { write() }
}

/// Compares the committed metadata with what the queries need.
///
/// # Errors
/// Names each file that differs, and the command that updates it.
pub fn check() -> Result<()> {
    let (committed, needed) = (data(&folder())?, describe()?);
    let mut faults = Vec::new();
    for (name, text) in &needed {
        match committed.get(name) {
            None => faults.push(format!("{name} is missing")),
            Some(other) if other != text => faults.push(format!("{name} differs")),
            Some(_) => {}
        }
    }
    let unused = committed.keys().filter(|name| !needed.contains_key(*name));
    faults.extend(unused.map(|name| format!("{name} belongs to no query")));
    if faults.is_empty() {
        println!("All {} queries match .sqlx.", needed.len());
        return Ok(());
    }
    bail!(".sqlx is out of date; `cargo xtask sqlx` updates it:\n  {}", faults.join("\n  "))
}

fn write() -> Result<()> {
    let folder = folder();
    let needed = describe()?;
    let committed = data(&folder)?;
    fs::create_dir_all(&folder).with_context(|| format!("make {}", folder.display()))?;
    for name in committed.keys().filter(|name| !needed.contains_key(*name)) {
        fs::remove_file(folder.join(name)).with_context(|| format!("remove .sqlx/{name}"))?;
        println!("removed {name}");
    }
    for (name, text) in needed.iter().filter(|(name, text)| committed.get(*name) != Some(*text)) {
        fs::write(folder.join(name), text).with_context(|| format!("write .sqlx/{name}"))?;
        println!("wrote {name}");
    }
    println!("All {} queries are in .sqlx.", needed.len());
    Ok(())
}

/// Compiles the queries against a migrated database and returns what sqlx writes about them, by file name.
fn describe() -> Result<BTreeMap<String, String>> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let progress = spinner("start a throwaway Postgres and migrate it");
    let postgres = runtime.block_on(migrated())?;
    progress.finish_and_clear();
    let written = tempfile::Builder::new().prefix("assay-sqlx-").tempdir().context("make a folder for sqlx")?;
    // A new flag makes cargo compile this one crate again, and no other.
    let unique = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    let flag = format!("assay_sqlx=\"{unique}\"");
    let mut cargo =
        run::cargo(&["rustc", "--package", "assay-db", "--lib", "--profile", "check", "--", "--cfg", &flag]);
    cargo
        .env("SQLX_OFFLINE", "false")
        .env("SQLX_OFFLINE_DIR", written.path())
        .env("DATABASE_URL", postgres.url("assay"));
    println!("compiling the queries of assay-db against Postgres");
    let status = cargo.status().context("run cargo")?;
    runtime.block_on(postgres.stop())?;
    if !status.success() {
        bail!("the queries do not compile against migrations/; to run it again: cargo xtask sqlx");
    }
    data(written.path())
}

async fn migrated() -> Result<Postgres> {
    let postgres = Postgres::start(PostgresOptions::throwaway()).await?;
    postgres.ensure_database("assay").await?;
    let migrator = Migrator::new(paths::root().join("migrations")).await.context("read migrations/")?;
    let mut connection = PgConnection::connect(&postgres.url("assay")).await.context("connect to Postgres")?;
    migrator.run(&mut connection).await.context("migrate")?;
    connection.close().await.context("close the connection")?;
    Ok(postgres)
}

fn folder() -> PathBuf {
    paths::root().join(".sqlx")
}

/// Reads the `query-*.json` of a folder.
fn data(folder: &Path) -> Result<BTreeMap<String, String>> {
    let mut files = BTreeMap::new();
    if !folder.exists() {
        return Ok(files);
    }
    for entry in fs::read_dir(folder).with_context(|| format!("list {}", folder.display()))? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.starts_with("query-") && name.ends_with(".json") {
            let text = fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
            files.insert(name, text);
        }
    }
    Ok(files)
}
