//! Releases of guests: following what channels run, a dry run on stored answers, and candidates in the shadow.

pub mod dry_run;
pub mod follow;
pub mod shadow;
