//! The SDK's manifest for use outside its workspace.

use anyhow::Context;
use toml::{Table, Value};

/// Replaces inherited values by the values themselves, and removes what only the SDK's tests need.
///
/// # Errors
/// One of the manifests is invalid.
pub fn without_workspace(manifest: &str, workspace: &str) -> anyhow::Result<String> {
    let mut manifest: Table = toml::from_str(manifest).context("read the SDK's manifest")?;
    let workspace: Table = toml::from_str(workspace).context("read the workspace's manifest")?;
    let workspace = workspace.get("workspace").and_then(Value::as_table).context("the manifest has no workspace")?;
    manifest.remove("dev-dependencies");
    manifest.remove("lints");
    inherit(&mut manifest, "package", workspace);
    inherit(&mut manifest, "dependencies", workspace);
    if let Some(targets) = manifest.get_mut("target").and_then(Value::as_table_mut) {
        for (_, target) in targets.iter_mut() {
            if let Some(target) = target.as_table_mut() {
                inherit(target, "dependencies", workspace);
            }
        }
    }
    toml::to_string(&manifest).context("write the SDK's manifest")
}

/// Replaces every `x.workspace = true` of a table by the `x` of the workspace.
fn inherit(manifest: &mut Table, section: &str, workspace: &Table) {
    let Some(fields) = manifest.get_mut(section).and_then(Value::as_table_mut) else { return };
    for (name, value) in fields.iter_mut() {
        let inherited = value.get("workspace").and_then(Value::as_bool) == Some(true);
        let source = workspace.get(section).and_then(|section| section.get(name));
        if let Some(source) = source.filter(|_| inherited) {
            *value = with_own_features(source, value);
        }
    }
}

/// Returns a dependency of the workspace with added features.
fn with_own_features(source: &Value, user: &Value) -> Value {
    let Some(added) = user.get("features").and_then(Value::as_array) else { return source.clone() };
    let mut dependency = match source {
        Value::Table(table) => table.clone(),
        version => Table::from_iter([("version".to_owned(), version.clone())]),
    };
    let features = dependency.entry("features").or_insert_with(|| Value::Array(Vec::new()));
    if let Some(features) = features.as_array_mut() {
        features.extend(added.iter().cloned());
    }
    Value::Table(dependency)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inherited_values_are_written_out() {
        let manifest = "[package]\nname = 'sdk'\nversion.workspace = true\n[dependencies]\na.workspace = true\nb = '2'\nc = { workspace = true, features = ['own'] }\n[target.'cfg(x)'.dependencies]\na.workspace = true\n[dev-dependencies]\nc.workspace = true\n[lints]\nworkspace = true\n";
        let workspace = "[workspace.package]\nversion = '1.2.3'\n[workspace.dependencies]\na = { version = '1', features = ['f'] }\nc = '3'\n";
        let alone: Table = toml::from_str(&without_workspace(manifest, workspace).unwrap()).unwrap();
        let expected = "[package]\nname = 'sdk'\nversion = '1.2.3'\n[dependencies]\nb = '2'\nc = { version = '3', features = ['own'] }\na = { version = '1', features = ['f'] }\n[target.'cfg(x)'.dependencies]\na = { version = '1', features = ['f'] }\n";
        assert_eq!(alone, toml::from_str(expected).unwrap());
    }
}
