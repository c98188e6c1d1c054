//! Where the objects of a file live.

use crate::{
    file_info::FileInfo,
    ids::{FileId, UserId},
    lease::Lease,
};

/// Where the objects of a file live. A zombie can only write where nobody points, because the token is in each key.
impl FileInfo {
    fn folder(&self) -> String {
        folder(self.user, self.id)
    }

    /// The key of an artifact of one run.
    pub fn run_key(&self, lease: Lease, name: &str) -> String {
        format!("{}{name}", run_folder(self.user, self.id, lease))
    }

    /// The key of a received answer.
    pub fn answer_key(&self, lease: Lease, ordinal: i32) -> String {
        format!("{}/answers/{}/{ordinal}-{}.json", self.folder(), lease.job, lease.token)
    }
}

fn folder(user: UserId, file: FileId) -> String {
    format!("users/{user}/files/{file}")
}

/// What the keys of all artifacts of one run begin with, the slash included.
pub fn run_folder(user: UserId, file: FileId, lease: Lease) -> String {
    format!("{}/runs/{}-{}/", folder(user, file), lease.job, lease.token)
}

/// The key of an original that Assay uploads itself.
pub fn original_key(user: UserId, file: FileId, extension: &str) -> String {
    format!("users/{user}/files/{file}/original.{extension}")
}
