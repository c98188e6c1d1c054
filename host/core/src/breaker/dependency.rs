//! What a job depends on.

use std::fmt;

/// A model as a prompt names it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Alias {
    /// The model of prompts that name none.
    Default,
    /// A model that `LLM_MODELS` names.
    Named(String),
    /// A name that `LLM_MODELS` does not have. The name comes from a guest, so it is content and not kept.
    Unlisted,
}

/// A dependency with a breaker.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Dependency {
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
