//! Where things are.

use std::{
    env,
    path::{Path, PathBuf},
    sync::OnceLock,
};

use crate::run;

/// Returns the repository's root.
///
/// As cargo says when it runs xtask: clones that share a target folder share the binary, too, and what it was compiled
/// with is the path of one of them.
pub fn root() -> &'static Path {
    static ROOT: OnceLock<PathBuf> = OnceLock::new();
    ROOT.get_or_init(|| {
        let package =
            env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| env!("CARGO_MANIFEST_DIR").into(), PathBuf::from);
        package.parent().expect("xtask lies in the root").to_owned()
    })
}

/// Returns where guests are compiled, apart from the host's own target folder: another toolchain, another workspace.
pub fn guest_target() -> PathBuf {
    run::target().join("guest")
}

/// Returns the user's cache folder for this project.
pub fn cache() -> Option<PathBuf> {
    let base = env::var_os("XDG_CACHE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let base = base.or_else(|| env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache")))?;
    Some(base.join("assay"))
}
