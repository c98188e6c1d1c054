//! `assay migrate`.

use std::process::ExitCode;

use assay_core::env::Variables;
use assay_db::{
    Database, DatabaseConfig,
    migrate::{Target, plan},
};

use super::exit::Failure;

/// Bring the database's schema up, or down.
///
/// Each step runs in a transaction of its own, and only one migration runs at a time. A database whose `files` and
/// `processing_jobs` another program made is adopted: its columns, constraints and rows stay as they are.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  assay migrate                 bring the database up to this version of Assay
  assay migrate --to 2          up or down to version 2
  assay migrate --down          undo everything; the tables and their rows are gone
  assay migrate --print-sql     show what would be run, and run nothing")]
pub struct Arguments {
    /// The version to migrate to, up or down
    #[arg(long, value_name = "N", conflicts_with = "down")]
    to: Option<i64>,
    /// Undo every migration: tables and rows are gone, but for those that another program had made
    #[arg(long)]
    down: bool,
    /// Print the SQL that would be run, and run nothing
    #[arg(long)]
    print_sql: bool,
}

/// Migrates, or prints how.
pub async fn run(arguments: Arguments, mut vars: Variables) -> Result<ExitCode, Failure> {
    let config = DatabaseConfig::load(&mut vars);
    vars.finish()?;
    let database = Database::new(config);
    let target = match arguments {
        Arguments { down: true, .. } => Target::Nothing,
        Arguments { to: Some(version), .. } => Target::Version(version),
        Arguments { to: None, .. } => Target::Latest,
    };
    if arguments.print_sql {
        let state = database.check().await?;
        database.adoptable(&state, target).await?;
        for step in plan(state.origin, &state.applied, target) {
            let direction = if step.down { "down" } else { "up" };
            println!("-- {:04} {} ({direction})\n{}", step.version, step.name, step.sql);
        }
        return Ok(ExitCode::SUCCESS);
    }
    let steps = database.migrate(target).await?;
    for step in &steps {
        println!("{} {:04} {}", if step.down { "undid" } else { "applied" }, step.version, step.name);
    }
    if steps.is_empty() {
        println!("nothing to do: the database is where it should be");
    }
    Ok(ExitCode::SUCCESS)
}
