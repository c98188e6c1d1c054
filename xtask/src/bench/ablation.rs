//! The generic guest without one of the measures that make it fast, for each of them.

use std::{fs, path::PathBuf};

use anyhow::{Context, Result};
use assay_guest_build::strip;

use crate::{guest_toolchain, guests::compile, paths};

/// A build that differs from the shipped one: by settings of the release profile, or by flags of the compiler.
struct Variant {
    name: &'static str,
    profile: &'static [(&'static str, &'static str)],
    flags: &'static [&'static str],
}

const VARIANTS: [Variant; 5] = [
    Variant { name: "opt-level 2", profile: &[("OPT_LEVEL", "2")], flags: &[] },
    Variant { name: "opt-level s", profile: &[("OPT_LEVEL", "s")], flags: &[] },
    Variant { name: "no LTO", profile: &[("LTO", "off")], flags: &[] },
    Variant { name: "16 codegen units", profile: &[("CODEGEN_UNITS", "16"), ("LTO", "thin")], flags: &[] },
    Variant { name: "no SIMD", profile: &[], flags: &["-Ctarget-feature=-simd128"] },
];

/// Builds each variant in a folder of its own, and gives their core modules by name.
///
/// # Errors
/// A compile's.
pub fn build() -> Result<Vec<(String, PathBuf)>> {
    let toolchain = guest_toolchain::ensure(None)?;
    let mut built = Vec::new();
    for variant in &VARIANTS {
        let folder = paths::guest_target().join("ablation").join(variant.name.replace(' ', "-"));
        println!("{}", variant.name);
        let settings = compile::Settings { profile: variant.profile, flags: variant.flags };
        let core = compile::core("generic", paths::root(), &folder, &toolchain, &settings)?;
        let bytes = fs::read(&core).with_context(|| format!("read {}", core.display()))?;
        let stripped = folder.join("generic.wasm");
        fs::write(&stripped, strip(&bytes)?).with_context(|| format!("write {}", stripped.display()))?;
        built.push((variant.name.to_owned(), stripped));
    }
    Ok(built)
}
