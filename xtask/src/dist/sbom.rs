//! The bill of materials, in the format CycloneDX 1.5.

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::{VERSION, crates::Crates};

/// Returns the document. It names no time and no random number: the same crates give the same bytes.
///
/// # Errors
/// None of its own.
pub fn document(crates: &Crates) -> Result<Vec<u8>> {
    let reference = |name: &str, version: &str| format!("pkg:cargo/{name}@{version}");
    let components: Vec<Value> = crates
        .iter()
        .map(|((name, version), found)| {
            let mut component = json!({
                "type": "library",
                "bom-ref": reference(name, version),
                "name": name,
                "version": version,
                "purl": reference(name, version),
            });
            if let Some(licence) = &found.package.license {
                component["licenses"] = json!([{"expression": expression(licence)}]);
            }
            if let Some(repository) = &found.package.repository {
                component["externalReferences"] = json!([{"type": "vcs", "url": repository}]);
            }
            component
        })
        .collect();
    let dependencies: Vec<Value> = crates
        .iter()
        .map(|((name, version), found)| {
            let uses: Vec<_> = found.uses.iter().map(|(name, version)| reference(name, version)).collect();
            json!({"ref": reference(name, version), "dependsOn": uses})
        })
        .collect();
    let document = json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {
            "component": {"type": "application", "bom-ref": "assay", "name": "assay", "version": VERSION},
        },
        "components": components,
        "dependencies": dependencies,
    });
    let mut text = serde_json::to_vec_pretty(&document).context("write the bill of materials")?;
    text.push(b'\n');
    Ok(text)
}

/// Returns an expression of SPDX. Cargo once took a slash for OR.
fn expression(licence: &str) -> String {
    licence.replace('/', " OR ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slash_of_old_manifests_is_an_or() {
        assert_eq!(expression("MIT/Apache-2.0"), "MIT OR Apache-2.0");
        assert_eq!(expression("MIT OR Apache-2.0"), "MIT OR Apache-2.0");
    }
}
