//! Compiling a guest that has code.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Stdio,
};

use anyhow::{Context, anyhow, bail, ensure};
use assay_guest_build::{SourceHash, Stamp};
use serde::Deserialize;
use tokio::process::Command;

/// What guests are compiled for: no WASI, no operating system.
const TARGET: &str = "wasm32-unknown-unknown";
/// What guests are compiled with: `jsonschema` wants random numbers, and the SDK gives it fixed ones.
const FLAGS: [&str; 4] = ["--cfg", "getrandom_backend=\"custom\"", "-C", "target-feature=+simd128,+bulk-memory"];
/// Files that decide what comes of the sources, where they are there, from the workspace's root.
const SETTINGS: [&str; 4] = ["Cargo.toml", "Cargo.lock", ".cargo/config.toml", "rust-toolchain.toml"];

/// A compiled crate.
pub(super) struct Compiled {
    /// The core module.
    pub(super) core: Vec<u8>,
    /// Name, version and hash of the sources.
    pub(super) stamp: Stamp,
    /// The sources.
    pub(super) files: Vec<PathBuf>,
}

/// What `cargo metadata` says, as far as it matters.
#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    target_directory: PathBuf,
    workspace_root: PathBuf,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    version: String,
    description: Option<String>,
    manifest_path: PathBuf,
    targets: Vec<Target>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
    crate_types: Vec<String>,
}

/// Runs cargo on the crate.
///
/// # Errors
/// There is no cargo, no compiler for the target, or the crate does not compile.
pub(super) async fn compile(folder: &Path) -> anyhow::Result<Compiled> {
    let folder = folder.canonicalize().with_context(|| format!("read {}", folder.display()))?;
    let toolchain = Toolchain::find(&folder).await?;
    let (package, workspace) = package(&folder, &toolchain).await?;
    let library = package.targets.iter().find(|target| target.crate_types.iter().any(|kind| kind == "cdylib"));
    let library = library.with_context(|| {
        format!("{} makes no cdylib; add `[lib] crate-type = [\"cdylib\", \"rlib\"]` to its Cargo.toml", package.name)
    })?;
    let mut cargo = toolchain.cargo(&folder);
    cargo.args(["build", "--release", "--target", TARGET, "--package", &package.name]);
    // On the command line the list is joined with that of the crate's own configuration.
    cargo.arg("--config").arg(format!("target.{TARGET}.rustflags={}", flags(&workspace.root)?));
    cargo.env_remove("RUSTFLAGS").env_remove("CARGO_ENCODED_RUSTFLAGS");
    let status = cargo.status().await.context("run cargo")?;
    ensure!(
        status.success(),
        "compile the guest: cargo's reason is above\n  cure: `cargo check` in its folder shows the same"
    );
    let artifact = workspace.target.join(TARGET).join("release").join(library.name.replace('-', "_"));
    let file = artifact.with_extension("wasm");
    let core = fs::read(&file).with_context(|| format!("read {}", file.display()))?;
    let files = sources(&folder, &workspace.root, &artifact.with_extension("d"))?;
    let stamp = Stamp {
        name: package.name,
        version: package.version,
        description: package.description.unwrap_or_default(),
        revision: hash(&workspace.root, &files)?,
    };
    Ok(Compiled { core, stamp, files })
}

/// Where a package's workspace is, and where it puts what it compiles.
struct Workspace {
    root: PathBuf,
    target: PathBuf,
}

/// The package of the folder, and its workspace.
async fn package(folder: &Path, toolchain: &Toolchain) -> anyhow::Result<(Package, Workspace)> {
    let mut cargo = toolchain.cargo(folder);
    cargo.args(["metadata", "--no-deps", "--format-version", "1"]);
    let output = cargo.output().await.context("run cargo metadata")?;
    ensure!(output.status.success(), "read the crate: {}", String::from_utf8_lossy(&output.stderr).trim());
    let metadata: Metadata = serde_json::from_slice(&output.stdout).context("read what cargo metadata says")?;
    let manifest = folder.join("Cargo.toml");
    let package = metadata.packages.into_iter().find(|package| package.manifest_path == manifest);
    let package =
        package.with_context(|| format!("{} is a workspace; name the folder of a package", folder.display()))?;
    Ok((package, Workspace { root: metadata.workspace_root, target: metadata.target_directory }))
}

/// The flags, and what makes paths the same on every machine: they reach a binary through its panics.
fn flags(root: &Path) -> anyhow::Result<String> {
    let home = env::home_dir().map(|home| home.join(".cargo"));
    let cargo_home =
        env::var_os("CARGO_HOME").map(PathBuf::from).or(home).context("neither CARGO_HOME nor HOME is set")?;
    let remap = |from: &Path, to: &str| format!("--remap-path-prefix={}={to}", from.display());
    let mut flags: Vec<String> = FLAGS.map(str::to_owned).into();
    flags.extend([remap(root, "/guest"), remap(&cargo_home, "/cargo")]);
    serde_json::to_string(&flags).context("write the flags down")
}

/// Every file that cargo made the guest of, as its own list says, and what decides how; sorted.
fn sources(folder: &Path, root: &Path, list: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let text = fs::read_to_string(list).with_context(|| format!("read {}", list.display()))?;
    let (_, files) = text.lines().next().and_then(|line| line.split_once(": ")).unwrap_or_default();
    // In a makefile's manner: blanks divide, and one that belongs to a name has a backslash before it.
    let files = files.replace("\\ ", "\0");
    let mut files: Vec<PathBuf> =
        files.split(' ').filter(|file| !file.is_empty()).map(|file| PathBuf::from(file.replace('\0', " "))).collect();
    files.extend(SETTINGS.iter().map(|name| root.join(name)));
    files.push(folder.join("Cargo.toml"));
    // A package that lies in a folder decides by its manifest, too, what cargo makes of its files.
    let manifests: Vec<_> = files.iter().filter_map(|file| manifest_of(file)).collect();
    files.extend(manifests);
    files.retain(|file| file.is_file());
    files.sort();
    files.dedup();
    Ok(files)
}

/// The manifest of the package that a file belongs to.
fn manifest_of(file: &Path) -> Option<PathBuf> {
    file.ancestors().skip(1).map(|folder| folder.join("Cargo.toml")).find(|manifest| manifest.is_file())
}

fn hash(root: &Path, files: &[PathBuf]) -> anyhow::Result<String> {
    let mut hash = SourceHash::default();
    for file in files {
        let content = fs::read(file).with_context(|| format!("read {}", file.display()))?;
        // What lies outside of the workspace has no name that is the same everywhere but its last.
        let outside = || Path::new(file.file_name().unwrap_or_default());
        hash.add(file.strip_prefix(root).unwrap_or_else(|_| outside()), &content);
    }
    Ok(hash.finish())
}

/// A compiler that has the target.
enum Toolchain {
    /// The folder's usual one.
    Usual,
    /// One by its name in rustup.
    Named(&'static str),
}

/// What `cargo xtask guests` calls the toolchain that it puts together where rustup's server is out of reach.
const LINKED: &str = "assay-guest";

impl Toolchain {
    async fn find(folder: &Path) -> anyhow::Result<Self> {
        for candidate in [Self::Usual, Self::Named(LINKED)] {
            if candidate.has_target(folder).await {
                return Ok(candidate);
            }
        }
        let cargo = Command::new("cargo").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().await;
        if cargo.is_err() {
            bail!("compile the guest: there is no cargo; install Rust from https://rustup.rs");
        }
        Err(anyhow!("compile the guest: no compiler for {TARGET}; `rustup target add {TARGET}` adds it"))
    }

    /// Whether its standard library is there.
    async fn has_target(&self, folder: &Path) -> bool {
        let mut rustc = self.program("rustc", folder);
        rustc.args(["--print", "target-libdir", "--target", TARGET]).stderr(Stdio::null());
        let Ok(output) = rustc.output().await else { return false };
        let libraries = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
        let Ok(entries) = fs::read_dir(libraries) else { return false };
        output.status.success()
            && entries.flatten().any(|entry| entry.file_name().to_string_lossy().starts_with("libstd-"))
    }

    fn cargo(&self, folder: &Path) -> Command {
        self.program("cargo", folder)
    }

    fn program(&self, name: &str, folder: &Path) -> Command {
        let mut command = Command::new(name);
        command.current_dir(folder).stdin(Stdio::null()).kill_on_drop(true);
        if let Self::Named(toolchain) = self {
            command.env("RUSTUP_TOOLCHAIN", toolchain);
        }
        command
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manifest_of_every_package_in_a_folder_is_among_the_sources() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("a guest");
        let files = ["Cargo.toml", "Cargo.lock", "src/lib.rs", "vendor/sdk/Cargo.toml", "vendor/sdk/src/lib.rs"];
        for name in files {
            let path = root.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        let escaped = |name: &str| root.join(name).display().to_string().replace(' ', "\\ ");
        let list = folder.path().join("guest.d");
        let line = format!("guest.wasm: {} {}\n", escaped("src/lib.rs"), escaped("vendor/sdk/src/lib.rs"));
        fs::write(&list, line).unwrap();
        let mut expected = files.map(|name| root.join(name));
        expected.sort();
        assert_eq!(sources(&root, &root, &list).unwrap(), expected);
    }
}
