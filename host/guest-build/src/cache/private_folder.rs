//! Opens the folder of images, so that only this user or root decides what is in it.
//!
//! It belongs to this user or to root, and is used in one of three ways. A *private* one, which no other user may enter, is read and
//! written. A *given* one, which no other user writes to, is only read: images that came with the program are as good as the program.
//! In a *shared* one, which others write to as to a volume of a pod, the images lie in a private folder, which is held open, so that
//! another folder under its name changes nothing.
//!
//! A user who may write to a folder above could exchange it. So the check covers every folder up to the root, on the real path
//! without links. In a sticky folder (`/tmp`) others may write, but not rename what is not theirs.

use std::{
    fs::{self, DirBuilder, Metadata},
    io,
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt},
    },
    path::{Path, PathBuf},
};

use rustix::fs::{Access, Mode, OFlags};

use crate::cache::cache_error::CacheError;

const STICKY_BIT: u32 = 0o1000;
const OTHERS_WRITE_BIT: u32 = 0o002;
const GROUP_WRITE_BIT: u32 = 0o020;
/// What a private folder denies to everybody else.
const OTHERS_BITS: u32 = 0o077;
const ROOT: u32 = 0;
/// The attribute with the access list. With a list, the group's bits of the mode stand for all users in it.
const ACCESS_LIST_ATTRIBUTE: &str = "system.posix_acl_access";

/// The folder of images.
#[derive(Debug)]
pub(super) struct CacheFolder {
    /// The path by which it is used.
    pub(super) path: PathBuf,
    /// Whether images can only be read.
    pub(super) read_only: bool,
    /// Who writes its images: this user or root.
    owner: u32,
    /// Keeps the folder of `path`, which names the descriptor.
    _held: Option<OwnedFd>,
}

/// How a folder is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FolderKind {
    Private,
    Given,
    Shared,
}

impl FolderKind {
    /// Returns `None` for a folder that is not to be used.
    fn of(owner: u32, mode: u32, own: u32) -> Option<Self> {
        let others_write = mode & (GROUP_WRITE_BIT | OTHERS_WRITE_BIT) != 0;
        match owner {
            _ if owner != own && owner != ROOT => None,
            _ if others_write => Some(Self::Shared),
            _ if owner == own && mode & OTHERS_BITS == 0 => Some(Self::Private),
            _ => Some(Self::Given),
        }
    }
}

impl CacheFolder {
    /// Makes the folder if it is missing, and checks it.
    ///
    /// # Errors
    /// [`CacheError`].
    pub(super) fn open(folder: &Path) -> Result<Self, CacheError> {
        let unusable = |source| CacheError::Unusable { folder: folder.to_owned(), source };
        let made = std::path::absolute(folder).map_err(unusable)?;
        DirBuilder::new().recursive(true).mode(0o700).create(&made).map_err(unusable)?;
        // A link is refused: its owner chose the folder.
        let metadata = fs::symlink_metadata(&made).map_err(unusable)?;
        let owner = metadata.uid();
        let kind = FolderKind::of(owner, metadata.mode(), own_id()).filter(|_| metadata.is_dir());
        let Some(kind) = kind else { return Err(CacheError::NotOwn { folder: made }) };
        let real = fs::canonicalize(&made).map_err(unusable)?;
        check_parents(&made, &real)?;
        match kind {
            FolderKind::Private => {
                let read_only = rustix::fs::access(&real, Access::WRITE_OK).is_err();
                Ok(Self { path: real, read_only, owner: own_id(), _held: None })
            }
            FolderKind::Given => {
                // Root may have made it for itself.
                fs::read_dir(&real).map_err(unusable)?;
                Ok(Self { path: real, read_only: true, owner, _held: None })
            }
            FolderKind::Shared => Self::inside(&real),
        }
    }

    /// Opens the private folder of this user inside of a shared one.
    fn inside(shared: &Path) -> Result<Self, CacheError> {
        let name = shared.join(format!("assay-{}", own_id()));
        let unusable = |source| CacheError::Unusable { folder: name.clone(), source };
        let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::RDONLY;
        // It may be there already.
        let made = DirBuilder::new().mode(0o700).create(&name);
        let held = rustix::fs::open(&name, flags, Mode::empty())
            .map_err(|error| unusable(made.err().unwrap_or_else(|| error.into())))?;
        let path = PathBuf::from(format!("/proc/self/fd/{}", held.as_raw_fd()));
        let metadata = fs::metadata(&path).map_err(unusable)?;
        if metadata.uid() != own_id() {
            return Err(CacheError::NotOwn { folder: name });
        }
        if metadata.mode() & OTHERS_BITS != 0 {
            // A mount may open the folders of a volume to a group. Since then, others may have written here.
            fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).map_err(unusable)?;
            clear(&path).map_err(unusable)?;
        }
        Ok(Self { path, read_only: false, owner: own_id(), _held: Some(held) })
    }

    /// Returns whether only who fills this folder can have written a file.
    pub(super) fn trusts(&self, metadata: &Metadata) -> bool {
        let others_write = metadata.mode() & (GROUP_WRITE_BIT | OTHERS_WRITE_BIT) != 0;
        metadata.uid() == self.owner && !(self.read_only && others_write)
    }
}

/// Deletes the files of a folder.
fn clear(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if !fs::symlink_metadata(&path)?.is_dir() {
            fs::remove_file(path)?;
        }
    }
    Ok(())
}

/// Checks that no other user can exchange the folder at its real path.
fn check_parents(made: &Path, real: &Path) -> Result<(), CacheError> {
    for parent in real.ancestors().skip(1) {
        let unusable = |source| CacheError::Unusable { folder: made.to_owned(), source };
        let found = Parent::read(parent).map_err(unusable)?;
        let (folder, parent) = (made.to_owned(), parent.to_owned());
        if found.belongs_to_another(own_id()) {
            return Err(CacheError::ParentOfAnother { folder, parent, owner: found.owner });
        }
        if found.others_may_rename_in_it(|group| is_group_of_one(group, own_id())) {
            return Err(CacheError::ParentWritable { folder, parent });
        }
    }
    Ok(())
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
    fn a_folder_is_private_given_shared_or_not_used() {
        let of = FolderKind::of;
        assert_eq!([of(1000, 0o700, 1000), of(0, 0o700, 0)], [Some(FolderKind::Private); 2]);
        let given =
            [of(0, 0o755, 1000), of(0, 0o555, 1000), of(0, 0o700, 1000), of(1000, 0o750, 1000), of(0, 0o755, 0)];
        assert_eq!(given, [Some(FolderKind::Given); 5]);
        let shared =
            [of(0, 0o777, 1000), of(0, 0o2775, 1000), of(0, 0o1777, 1000), of(1000, 0o770, 1000), of(0, 0o2777, 0)];
        assert_eq!(shared, [Some(FolderKind::Shared); 5]);
        assert_eq!(
            [of(1001, 0o700, 1000), of(1001, 0o777, 1000), of(1001, 0o755, 1000), of(1000, 0o755, 0)],
            [None; 4]
        );
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
