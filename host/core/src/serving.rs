//! What a worker can run.

/// What a worker can run. A claim takes only such jobs and pins the digest of each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Serving {
    /// Prompt version and the digest that serves it now.
    pub versions: Vec<(String, String)>,
    /// The digest for jobs that name no prompt version, in channels without a release of their own.
    pub default: Option<String>,
    /// Channels that have releases of their own.
    pub channels: Vec<ServedChannel>,
    /// Every loaded digest, including those that only pinned jobs still need.
    pub digests: Vec<String>,
}

/// A channel with an active release.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServedChannel {
    pub name: String,
    /// The digest for new jobs. `None`: this worker can run no release of the channel, so the jobs wait for another worker.
    pub active: Option<String>,
    /// The prompt version of the active release. A job that names it gets this digest, not another one of that version.
    pub version: Option<String>,
    /// A digest and its share of new jobs that name no prompt version, in percent.
    pub canary: Option<(String, i32)>,
}
