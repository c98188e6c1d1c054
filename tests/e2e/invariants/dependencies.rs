//! Each outside world has one crate: read from the manifests.

use super::sources::{assert_none, files};

/// A crate and the crates of this workspace whose code may use it. `tests` and `xtask` stand outside the product.
const OWNERS: [(&str, &[&str]); 4] =
    [("sqlx", &["db"]), ("aws-", &["objects"]), ("reqwest", &["llm"]), ("wasmtime", &["guest-build", "runtime"])];

#[test]
fn each_outside_crate_is_used_by_one_crate_of_the_host() {
    let mut users: Vec<(String, String)> = Vec::new();
    for manifest in files(&["host"], "toml").into_iter().filter(|file| file.path.ends_with("/Cargo.toml")) {
        let folder = manifest.path.split('/').nth(1).expect("a crate lies in host/").to_owned();
        let table: toml::Table = manifest.text.parse().expect("a manifest is TOML");
        let dependencies = table.get("dependencies").and_then(toml::Value::as_table).expect("it has dependencies");
        users.extend(dependencies.keys().map(|name| (name.clone(), folder.clone())));
    }
    let mut found = Vec::new();
    for (prefix, owners) in OWNERS {
        let of: Vec<_> = users.iter().filter(|(name, _)| name.starts_with(prefix)).collect();
        let strangers = of.iter().filter(|(_, folder)| !owners.contains(&folder.as_str()));
        found.extend(strangers.map(|(name, folder)| format!("host/{folder}/Cargo.toml depends on {name}")));
        let idle = owners.iter().filter(|owner| !of.iter().any(|(_, folder)| folder == **owner));
        found.extend(idle.map(|owner| format!("host/{owner}/Cargo.toml does not depend on {prefix}")));
    }
    assert_none(&found);
}

#[test]
fn features_of_outside_crates_stand_in_the_workspaces_manifest() {
    let mut found = Vec::new();
    for manifest in files(&["host", "tests", "xtask"], "toml").into_iter().filter(|it| it.path.ends_with("/Cargo.toml"))
    {
        let table: toml::Table = manifest.text.parse().expect("a manifest is TOML");
        for section in ["dependencies", "dev-dependencies", "build-dependencies"] {
            let Some(dependencies) = table.get(section).and_then(toml::Value::as_table) else { continue };
            let with_features = dependencies.iter().filter(|(name, it)| {
                !name.starts_with("assay") && (it.get("features").is_some() || it.get("version").is_some())
            });
            found.extend(with_features.map(|(name, _)| format!("{}: {name}", manifest.path)));
        }
    }
    assert_none(&found);
}
