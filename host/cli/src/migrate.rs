//! `assay migrate`.

use std::process::ExitCode;

use assay_core::env::Variables;
use assay_db::{
    Database, DatabaseConfig,
    migrate::{Target, plan},
};

use crate::exit::Failure;

/// Migrate the schema of the database, up or down.
///
/// Each step runs in its own transaction, and only one `assay migrate` runs at a time. If another program made the tables
/// `files` and `processing_jobs`, they are adopted: their columns, constraints and rows stay.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  assay migrate                 migrate to the schema of this version of Assay
  assay migrate --to 2          up or down to version 2
  assay migrate --down          undo everything: this drops the tables with their rows
  assay migrate --print-sql     print the SQL, and run nothing")]
pub struct Arguments {
    /// Schema version to migrate to
    #[arg(long, value_name = "N", conflicts_with = "down")]
    to: Option<i64>,
    /// Undo every migration: this drops the tables with their rows, except adopted tables
    #[arg(long)]
    down: bool,
    /// Print the SQL, and run nothing
    #[arg(long)]
    print_sql: bool,
}

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
        println!("nothing to do: the schema already has this version");
    }
    Ok(ExitCode::SUCCESS)
}
