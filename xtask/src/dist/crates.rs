//! The crates whose code is in the package, as cargo resolves them.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};
use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, Package, PackageId};

use crate::paths;

/// The workspaces, and the packages of each that are in the package.
const ROOTS: [(&str, &[&str]); 2] = [("Cargo.toml", &["assay"]), ("guest/Cargo.toml", &["generic", "meeting-v2"])];
const TARGETS: [&str; 2] = ["x86_64-unknown-linux-gnu", "wasm32-unknown-unknown"];

/// A crate and what it uses.
#[derive(Debug)]
pub struct Crate {
    pub package: Package,
    /// Names and versions.
    pub uses: BTreeSet<(String, String)>,
}

/// The crates by name and version, ours among them.
pub type Crates = BTreeMap<(String, String), Crate>;

/// Returns each crate that is linked into the binary or a guest. Crates that only a build or a test needs are left out.
///
/// # Errors
/// Cargo does not resolve a workspace.
pub fn of_the_binary_and_its_guests() -> Result<Crates> {
    let mut crates = Crates::new();
    for ((manifest, roots), target) in ROOTS.into_iter().zip(TARGETS) {
        let mut command = MetadataCommand::new();
        command.manifest_path(paths::root().join(manifest));
        command.other_options(["--locked", "--filter-platform", target].map(str::to_owned));
        let metadata = command.exec().with_context(|| format!("resolve {manifest}"))?;
        add_linked(&metadata, roots, &mut crates)?;
    }
    Ok(crates)
}

fn add_linked(metadata: &Metadata, roots: &[&str], crates: &mut Crates) -> Result<()> {
    let resolve = metadata.resolve.as_ref().context("cargo has resolved nothing")?;
    let edges: BTreeMap<_, _> = resolve.nodes.iter().map(|node| (&node.id, &node.deps)).collect();
    let package = |id: &PackageId| metadata.packages.iter().find(|package| package.id == *id);
    let key = |package: &Package| (package.name.to_string(), package.version.to_string());
    let is_root = |package: &&Package| roots.contains(&package.name.as_str());
    let mut open: Vec<_> = metadata.packages.iter().filter(is_root).map(|package| &package.id).collect();
    let mut seen = BTreeSet::new();
    while let Some(id) = open.pop() {
        if !seen.insert(id) {
            continue;
        }
        let linked = edges
            .get(id)
            .into_iter()
            .copied()
            .flatten()
            .filter(|dependency| dependency.dep_kinds.iter().any(|kind| kind.kind == DependencyKind::Normal));
        let linked: Vec<_> = linked.map(|dependency| &dependency.pkg).collect();
        let found = package(id).with_context(|| format!("cargo names {id} and does not describe it"))?;
        let uses = linked.iter().copied().filter_map(package).map(key).collect();
        crates.entry(key(found)).or_insert_with(|| Crate { package: found.clone(), uses });
        open.extend(linked);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_linked_is_there_and_what_tests_and_builds_need_is_not() {
        let crates = of_the_binary_and_its_guests().unwrap();
        let has = |name: &str| crates.keys().any(|(found, _)| found == name);
        for name in ["assay", "assay-runtime", "wasmtime", "sqlx-postgres", "jsonschema", "assay-guest"] {
            assert!(has(name), "{name} is linked");
        }
        for name in ["insta", "proptest", "xtask", "assay-tests", "cc"] {
            assert!(!has(name), "{name} is not linked");
        }
    }
}
