//! Why the folder of compiled guests is not used.

use std::{io, path::PathBuf};

/// Why the folder is not used.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    /// The folder cannot be made or read.
    #[error("open the guest cache {folder}: {source}")]
    Unusable { folder: PathBuf, source: io::Error },
    /// The folder belongs to another user than this one or root, or it is a link.
    #[error("open the guest cache {folder}: it must be a folder of this user's or root's, and no link; chown it")]
    NotOwn { folder: PathBuf },
    /// A folder above belongs to a user who is neither root nor this user.
    #[error(
        "open the guest cache {folder}: {parent} above it belongs to the user with the id {owner}, who could exchange it; choose a folder below those of this user or of root"
    )]
    ParentOfAnother { folder: PathBuf, parent: PathBuf, owner: u32 },
    /// Other users may write to a folder above.
    #[error(
        "open the guest cache {folder}: others may write to {parent} above it and could exchange it; chmod go-w {parent}, or make it sticky (chmod +t), or choose another folder"
    )]
    ParentWritable { folder: PathBuf, parent: PathBuf },
}
