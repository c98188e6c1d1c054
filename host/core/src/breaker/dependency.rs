//! What a job depends on.

use std::fmt;

/// A model as a prompt names it, in the operator's words only.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Alias {
    /// The model of prompts that name none.
    Default,
    /// One that the operator has named.
    Named(String),
    /// A guest's word that the operator has not named. The word itself is content, so all of them are one.
    Unlisted,
}

/// What has a breaker.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Dependency {
    /// A model.
    Model(Alias),
    /// The bucket of this deployment.
    Bucket,
    /// The database of files and jobs.
    Database,
}

impl fmt::Display for Dependency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Model(Alias::Default) => f.write_str("model"),
            Self::Model(Alias::Named(alias)) => write!(f, "model:{alias}"),
            Self::Model(Alias::Unlisted) => f.write_str("model:?"),
            Self::Bucket => f.write_str("bucket"),
            Self::Database => f.write_str("database"),
        }
    }
}
