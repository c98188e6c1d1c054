//! Which packages: asked of apt, never written down.

use std::{
    fmt, fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, Result, bail};

use crate::{guest_toolchain::bounded::run, paths};

const UPDATE: Duration = Duration::from_secs(120);
const DOWNLOAD: Duration = Duration::from_secs(900);
const UNPACK: Duration = Duration::from_secs(300);
const ASK: Duration = Duration::from_secs(30);

/// A set of packages that fit together.
#[derive(Debug)]
pub struct Packages {
    pub host: String,
    /// "1.96.0".
    pub rust: String,
    /// "22".
    pub llvm: String,
    /// What apt calls them, with versions where they matter.
    names: Vec<String>,
}

impl fmt::Display for Packages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rustc {} with LLVM {} ({})", self.rust, self.llvm, self.names.join(", "))
    }
}

impl Packages {
    /// Takes the newest compiler that the guests' crates build with.
    pub fn discover(host: &str) -> Result<Self> {
        update();
        let listed = ask("apt-cache", &["madison", "rustc-web"]).context("this is no Debian with apt")?;
        let least = least_rust()?;
        let newest = newest(&listed).filter(|version| minor(version) >= minor(&least));
        let Some(version) = newest else {
            bail!(
                "apt offers no rustc-web of {least} or newer: run `apt-get update`, with bookworm-security or newer among the sources"
            );
        };
        let of_version = |name: &str| format!("{name}={version}");
        let library = depends(&of_version("libstd-rust-web-dev"), "libstd-rust-web-")?;
        let llvm_library = depends(&of_version(&library), "libllvm")?;
        let llvm = llvm_library.trim_start_matches("libllvm").to_owned();
        let mut names: Vec<String> =
            ["rustc-web", &library, "libstd-rust-web-dev", "rust-web-src"].into_iter().map(of_version).collect();
        names.extend(missing_libraries(&llvm_library)?);
        names.extend([llvm_library, format!("lld-{llvm}")]);
        let rust = version.split(['+', '-', '~']).next().unwrap_or_default().to_owned();
        Ok(Self { host: host.to_owned(), rust, llvm, names })
    }

    /// Downloads and unpacks them below `work`; needs no root.
    pub fn fetch(&self, work: &Path) -> Result<PathBuf> {
        let (archives, unpacked) = (work.join("archives"), work.join("unpacked"));
        fs::create_dir_all(&archives)?;
        let mut apt = Command::new("apt-get");
        apt.arg("download").args(&self.names).current_dir(&archives);
        run(&format!("download {} packages", self.names.len()), &mut apt, DOWNLOAD)?;
        for archive in fs::read_dir(&archives)? {
            let archive = archive?.path();
            let name = archive.file_name().unwrap_or_default().to_string_lossy().into_owned();
            run(&format!("unpack {name}"), Command::new("dpkg").arg("-x").args([&archive, &unpacked]), UNPACK)?;
        }
        Ok(unpacked)
    }
}

/// Renews apt's lists where that is allowed; old ones are good enough otherwise, and discovery says so if not.
fn update() {
    let updated = run("apt-get update", Command::new("apt-get").arg("update"), UPDATE);
    if updated.is_err() {
        let _ = run("sudo apt-get update", Command::new("sudo").args(["-n", "apt-get", "update"]), UPDATE);
    }
}

fn ask(program: &str, arguments: &[&str]) -> Result<String> {
    run(&format!("{program} {}", arguments.join(" ")), Command::new(program).args(arguments), ASK)
}

/// Returns the `rust-version` of the guests' workspace.
fn least_rust() -> Result<String> {
    let manifest = fs::read_to_string(paths::root().join("guest/Cargo.toml")).context("read guest/Cargo.toml")?;
    let line = manifest.lines().find_map(|line| line.strip_prefix("rust-version = \""));
    line.map(|rest| rest.trim_end_matches('"').to_owned()).context("guest/Cargo.toml has no rust-version")
}

/// Returns the newest version in the output of `apt-cache madison`: package | version | source.
fn newest(listed: &str) -> Option<String> {
    let versions = listed.lines().filter_map(|line| line.split('|').nth(1)).map(str::trim);
    versions.max_by_key(|version| (minor(version), version.to_owned())).map(str::to_owned)
}

/// Major and minor number of a version.
fn minor(version: &str) -> (u32, u32) {
    let mut numbers = version.split(|c: char| !c.is_ascii_digit()).map(|number| number.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

/// Returns the dependency of a package whose name begins with `prefix` and goes on with a number.
fn depends(package: &str, prefix: &str) -> Result<String> {
    let listed = ask("apt-cache", &["depends", package])?;
    dependencies(&listed)
        .find(|name| name.strip_prefix(prefix).is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit())))
        .map(str::to_owned)
        .with_context(|| format!("{package} depends on no {prefix}…"))
}

fn dependencies(listed: &str) -> impl Iterator<Item = &str> {
    listed.lines().filter_map(|line| line.trim().strip_prefix("Depends: "))
}

/// Returns what LLVM needs and this machine does not have.
fn missing_libraries(llvm: &str) -> Result<Vec<String>> {
    let listed = ask("apt-cache", &["depends", llvm])?;
    Ok(dependencies(&listed).filter(|name| !name.starts_with('<') && !is_installed(name)).map(str::to_owned).collect())
}

fn is_installed(package: &str) -> bool {
    ask("dpkg-query", &["-W", "-f", "${Status}", package]).is_ok_and(|status| status.contains("install ok installed"))
}

#[cfg(test)]
mod tests {
    use super::{dependencies, minor, newest};

    #[test]
    fn the_newest_version_is_found_whatever_the_order() {
        let listed = " rustc-web | 1.85.0+dfsg3-1~deb12u3 | http://mirror bookworm/main\n rustc-web | 1.100.0-1 | http://mirror sid/main\n rustc-web | 1.96.0+dfsg1-1~deb12u2 | http://mirror\n";
        assert_eq!(newest(listed).as_deref(), Some("1.100.0-1"));
        assert_eq!(newest(""), None);
    }

    #[test]
    fn versions_are_compared_as_numbers() {
        assert!(minor("1.96.0+dfsg1-1~deb12u2") > minor("1.85"));
        assert!(minor("1.9.0") < minor("1.85"));
    }

    #[test]
    fn dependencies_are_read_from_apts_words() {
        let listed = "libstd-rust-web-dev\n  Depends: libstd-rust-web-1.96\n  Recommends: x\n |Depends: <virtual>\n  Conflicts: y\n";
        assert_eq!(dependencies(listed).collect::<Vec<_>>(), ["libstd-rust-web-1.96"]);
    }
}
