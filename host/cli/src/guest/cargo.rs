//! Compiles a guest that has code.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Stdio,
};

use anyhow::{Context, anyhow, bail, ensure};
use assay_guest_build::{SourceHash, Stamp, read_file, utf8};
use serde::Deserialize;
use tokio::process::Command;

/// Without WASI and without an operating system.
const TARGET: &str = "wasm32-unknown-unknown";
/// `jsonschema` needs random numbers; the SDK gives it fixed ones.
const FLAGS: [&str; 4] = ["--cfg", "getrandom_backend=\"custom\"", "-C", "target-feature=+simd128,+bulk-memory"];
/// Files in the root of the workspace that change the build, if they exist.
const SETTINGS: [&str; 4] = ["Cargo.toml", "Cargo.lock", ".cargo/config.toml", "rust-toolchain.toml"];

/// With debug information, which the build strips: several times what a component may have.
const MAX_CORE_BYTES: u64 = 128 << 20;
/// A source may embed data.
const MAX_SOURCE_BYTES: u64 = 64 << 20;

pub struct Compiled {
    pub core: Vec<u8>,
    pub stamp: Stamp,
    pub files: Vec<PathBuf>,
}

/// The used part of the output of `cargo metadata`.
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
/// Cargo or the target is not installed, or the crate does not compile.
pub async fn compile(folder: &Path) -> anyhow::Result<Compiled> {
    let folder = folder.canonicalize().with_context(|| format!("read {}", folder.display()))?;
    let toolchain = Toolchain::find(&folder).await?;
    let (package, workspace) = package(&folder, &toolchain).await?;
    let library = package.targets.iter().find(|target| target.crate_types.iter().any(|kind| kind == "cdylib"));
    let library = library.with_context(|| {
        format!("{} makes no cdylib; add `[lib] crate-type = [\"cdylib\", \"rlib\"]` to its Cargo.toml", package.name)
    })?;
    let mut cargo = toolchain.cargo(&folder);
    cargo.args(["build", "--release", "--target", TARGET, "--package", &package.name]);
    // On the command line, cargo joins this list with the one in the crate's own configuration.
    cargo.arg("--config").arg(format!("target.{TARGET}.rustflags={}", flags(&workspace.root)?));
    cargo.env_remove("RUSTFLAGS").env_remove("CARGO_ENCODED_RUSTFLAGS");
    let status = cargo.status().await.context("run cargo")?;
    ensure!(
        status.success(),
        "compile the guest: see cargo's error above\n  fix: `cargo check` in its folder shows the same error"
    );
    let artifact = workspace.target.join(TARGET).join("release").join(library.name.replace('-', "_"));
    let file = artifact.with_extension("wasm");
    let core = read_file(&file, MAX_CORE_BYTES).with_context(|| format!("read {}", file.display()))?;
    let files = sources(&folder, &workspace.root, &artifact.with_extension("d"))?;
    let stamp = Stamp {
        name: package.name,
        version: package.version,
        description: package.description.unwrap_or_default(),
        revision: hash(&workspace.root, &files)?,
    };
    Ok(Compiled { core, stamp, files })
}

struct Workspace {
    root: PathBuf,
    target: PathBuf,
}

/// Returns the package in the folder, and its workspace.
async fn package(folder: &Path, toolchain: &Toolchain) -> anyhow::Result<(Package, Workspace)> {
    let mut cargo = toolchain.cargo(folder);
    cargo.args(["metadata", "--no-deps", "--format-version", "1"]);
    let output = cargo.output().await.context("run cargo metadata")?;
    ensure!(output.status.success(), "read the crate: {}", String::from_utf8_lossy(&output.stderr).trim());
    let metadata: Metadata = serde_json::from_slice(&output.stdout).context("read the output of cargo metadata")?;
    let manifest = folder.join("Cargo.toml");
    let package = metadata.packages.into_iter().find(|package| package.manifest_path == manifest);
    let package =
        package.with_context(|| format!("{} is a workspace; name the folder of a package", folder.display()))?;
    Ok((package, Workspace { root: metadata.workspace_root, target: metadata.target_directory }))
}

/// Returns the compiler flags. They also make paths the same on every machine, because panics put paths into the binary.
#[expect(clippy::disallowed_methods, reason = "cargo's own home, which cargo reads from the environment as well")]
fn flags(root: &Path) -> anyhow::Result<String> {
    let home = env::home_dir().map(|home| home.join(".cargo"));
    let cargo_home =
        env::var_os("CARGO_HOME").map(PathBuf::from).or(home).context("neither CARGO_HOME nor HOME is set")?;
    let remap = |from: &Path, to: &str| format!("--remap-path-prefix={}={to}", from.display());
    let mut flags: Vec<String> = FLAGS.map(str::to_owned).into();
    flags.extend([remap(root, "/guest"), remap(&cargo_home, "/cargo")]);
    serde_json::to_string(&flags).context("write the flags")
}

/// Returns every file that cargo used, from its own list, and the files that change the build; sorted.
fn sources(folder: &Path, root: &Path, list: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let text = read_file(list, MAX_SOURCE_BYTES).and_then(utf8).with_context(|| format!("read {}", list.display()))?;
    let (_, files) = text.lines().next().and_then(|line| line.split_once(": ")).unwrap_or_default();
    // As in a makefile: blanks separate names, and a blank inside a name has a backslash before it.
    let files = files.replace("\\ ", "\0");
    let mut files: Vec<PathBuf> =
        files.split(' ').filter(|file| !file.is_empty()).map(|file| PathBuf::from(file.replace('\0', " "))).collect();
    files.extend(SETTINGS.iter().map(|name| root.join(name)));
    files.push(folder.join("Cargo.toml"));
    // The manifest of each package in the folder also changes the build.
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
        let content = read_file(file, MAX_SOURCE_BYTES).with_context(|| format!("read {}", file.display()))?;
        // Outside the workspace, only the file name is the same on every machine.
        let outside = || Path::new(file.file_name().unwrap_or_default());
        hash.add(file.strip_prefix(root).unwrap_or_else(|_| outside()), &content);
    }
    Ok(hash.finish())
}

enum Toolchain {
    /// The one that rustup uses in the folder.
    Usual,
    /// By its name in rustup.
    Named(&'static str),
}

/// The toolchain that `cargo xtask guests` links if rustup's server cannot be reached.
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
            bail!("compile the guest: cargo is not installed; install Rust from https://rustup.rs");
        }
        Err(anyhow!(
            "compile the guest: the target {TARGET} is not installed; `rustup target add {TARGET}` installs it"
        ))
    }

    /// Returns whether the standard library of the target is installed.
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
