//! Other revisions of this repository: what git calls them, and their guests and binaries, built from their own sources.

mod build;
pub mod built_revision;
pub mod git;
