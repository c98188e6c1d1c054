//! Checks that only this user can enter the cache's folder or put another folder in its place.
//!
//! A user who may write to a folder above could exchange it. So the check covers every folder up to the root, on the real path
//! without links. In a sticky folder (`/tmp`) others may write, but not rename what is not theirs.

use std::{
    fs::{self, DirBuilder, Metadata},
    io,
    os::unix::fs::{DirBuilderExt, MetadataExt},
    path::{Path, PathBuf},
};

use crate::cache::cache_error::CacheError;

const STICKY_BIT: u32 = 0o1000;
const OTHERS_WRITE_BIT: u32 = 0o002;
const GROUP_WRITE_BIT: u32 = 0o020;
/// The attribute with the access list. With a list, the group's bits of the mode stand for all users in it.
const ACCESS_LIST_ATTRIBUTE: &str = "system.posix_acl_access";

/// Makes the folder if it is missing, checks it, and returns its real path.
///
/// # Errors
/// [`CacheError`].
pub(super) fn open(folder: &Path) -> Result<PathBuf, CacheError> {
    let unusable = |source| CacheError::Unusable { folder: folder.to_owned(), source };
    let made = std::path::absolute(folder).map_err(unusable)?;
    DirBuilder::new().recursive(true).mode(0o700).create(&made).map_err(unusable)?;
    // A link is refused: its owner chose the folder.
    let metadata = fs::symlink_metadata(&made).map_err(unusable)?;
    if !metadata.is_dir() || !is_own(&metadata) || metadata.mode() & 0o077 != 0 {
        return Err(CacheError::NotPrivate { folder: made });
    }
    let real = fs::canonicalize(&made).map_err(unusable)?;
    for parent in real.ancestors().skip(1) {
        let found = Parent::read(parent).map_err(unusable)?;
        if found.belongs_to_another(own_id()) {
            return Err(CacheError::ParentOfAnother { folder: made, parent: parent.to_owned(), owner: found.owner });
        }
        if found.others_may_rename_in_it(|group| is_group_of_one(group, own_id())) {
            return Err(CacheError::ParentWritable { folder: made, parent: parent.to_owned() });
        }
    }
    Ok(real)
}

/// Returns whether a file or folder belongs to this user.
pub(super) fn is_own(metadata: &Metadata) -> bool {
    metadata.uid() == own_id()
}

fn own_id() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// Owner and rights of a folder above: they decide who may exchange its entries.
#[derive(Debug, Clone, Copy)]
struct Parent {
    owner: u32,
    group: u32,
    mode: u32,
    has_access_list: bool,
}

impl Parent {
    fn read(folder: &Path) -> io::Result<Self> {
        let metadata = fs::symlink_metadata(folder)?;
        // An error means: no list on this folder, or none on this file system.
        let has_access_list = rustix::fs::lgetxattr(folder, ACCESS_LIST_ATTRIBUTE, &mut [0_u8; 0]).is_ok();
        Ok(Self { owner: metadata.uid(), group: metadata.gid(), mode: metadata.mode(), has_access_list })
    }

    // Root may do everything anyway.
    fn belongs_to_another(self, own: u32) -> bool {
        self.owner != own && self.owner != 0
    }

    fn others_may_rename_in_it(self, is_group_of_one: impl FnOnce(u32) -> bool) -> bool {
        let group = self.mode & GROUP_WRITE_BIT != 0 && (self.has_access_list || !is_group_of_one(self.group));
        self.mode & STICKY_BIT == 0 && (self.mode & OTHERS_WRITE_BIT != 0 || group)
    }
}

/// Returns whether this user is alone in a group, by the machine's own files. Many distributions give each user such a group and
/// let it write by default.
fn is_group_of_one(group: u32, user: u32) -> bool {
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    is_alone(group, user, &read("/etc/passwd"), &read("/etc/group"))
}

/// Reads the texts of passwd(5) and group(5). A group or user that they do not list counts as shared.
fn is_alone(group: u32, user: u32, users: &str, groups: &str) -> bool {
    let number = |field: Option<&str>| field.and_then(|field| field.parse::<u32>().ok());
    let mut name = None;
    for line in users.lines() {
        let mut fields = line.split(':');
        let (found, id, primary) = (fields.next(), number(fields.nth(1)), number(fields.next()));
        if id == Some(user) {
            name = found;
        } else if primary == Some(group) {
            return false;
        }
    }
    let mut members = None;
    for line in groups.lines() {
        let mut fields = line.split(':').skip(2);
        if number(fields.next()) == Some(group) {
            members = Some(fields.next().unwrap_or_default());
        }
    }
    let (Some(name), Some(members)) = (name, members) else { return false };
    members.split(',').all(|member| member.is_empty() || member == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    const USERS: &str =
        "root:x:0:0:root:/root:/bin/sh\nana:x:1000:1000::/home/ana:/bin/sh\nben:x:1001:1001::/home/ben:\n";
    const GROUPS: &str = "root:x:0:\nana:x:1000:\nben:x:1001:ana\nown:x:1002:ana\n";

    fn parent(owner: u32, mode: u32) -> Parent {
        Parent { owner, group: 1000, mode: 0o040_000 | mode, has_access_list: false }
    }

    #[test]
    fn a_parent_of_another_user_lets_that_user_exchange_the_folder() {
        assert!(parent(1001, 0o755).belongs_to_another(1000));
        assert!(parent(1001, 0o1777).belongs_to_another(1000), "a sticky folder's owner may rename all in it");
        assert!(!parent(1000, 0o755).belongs_to_another(1000));
        assert!(!parent(0, 0o755).belongs_to_another(1000), "root");
        assert!(parent(1000, 0o755).belongs_to_another(0), "a worker that runs as root under another's home");
    }

    #[test]
    fn a_parent_that_others_write_to_is_safe_only_when_sticky() {
        let safe = |parent: Parent, group_of_one: bool| !parent.others_may_rename_in_it(|_| group_of_one);
        assert!(safe(parent(0, 0o755), false) && safe(parent(0, 0o1777), false) && safe(parent(1000, 0o775), true));
        assert!(!safe(parent(0, 0o777), true) && !safe(parent(1000, 0o775), false));
        let listed = Parent { has_access_list: true, ..parent(1000, 0o775) };
        assert!(!safe(listed, true), "the group's bits stand for all users in the list");
    }

    #[test]
    fn a_group_of_one_is_one_that_no_other_user_is_in() {
        assert!(is_alone(1000, 1000, USERS, GROUPS), "the user's own group");
        assert!(is_alone(1002, 1000, USERS, GROUPS), "its only member");
        assert!(!is_alone(1001, 1000, USERS, GROUPS), "another's group");
        assert!(!is_alone(1000, 1001, USERS, GROUPS), "the same, seen by the other");
        assert!(!is_alone(4000, 1000, USERS, GROUPS), "a group from elsewhere");
        assert!(!is_alone(1000, 4000, USERS, GROUPS), "a user from elsewhere");
        assert!(!is_alone(1000, 1000, "", ""));
    }
}
