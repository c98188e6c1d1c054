//! The options that every requeue has.

use crate::rate::Rate;

#[derive(Debug, clap::Args)]
pub struct Options {
    /// Start so many per s, min or h, evenly spaced [default: all at once]
    #[arg(long, value_name = "N/min")]
    pub rate: Option<Rate>,
    /// Count the jobs and change nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Print one JSON document
    #[arg(long)]
    pub json: bool,
}
