//! The variables of `assay dev`, for its own worker and for the file `env`.

use std::{
    collections::BTreeMap,
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use anyhow::Context;

use crate::{
    dev::services::{BUCKET, DATABASE, Services},
    env_file,
};

/// Variables for other commands. It never holds the key of a real model.
pub struct Environment(BTreeMap<&'static str, String>);

impl Environment {
    /// Takes the variables from the services, and those of a configured model from `configured`.
    pub fn new(services: &Services, configured: &BTreeMap<String, String>) -> Self {
        let keys = services.objects.keys();
        let mut environment = Self(BTreeMap::new());
        environment.set("DATABASE_URL", services.postgres.url(DATABASE));
        environment.set("S3_ENDPOINT", services.objects.endpoint());
        environment.set("S3_REGION", "us-east-1");
        environment.set("S3_BUCKET", BUCKET);
        environment.set("S3_ACCESS_KEY_ID", &keys.access);
        environment.set("S3_SECRET_ACCESS_KEY", &keys.secret);
        match &services.model {
            Some(stand_in) => {
                environment.set("LLM_PROVIDER", "openai");
                environment.set("LLM_BASE_URL", stand_in.base_url());
                environment.set("LLM_MODEL", assay_dev::MODEL);
                // The stand-in must not get the key of a real model.
                environment.set("LLM_API_KEY", "");
                environment.set("LLM_MODELS", "");
            }
            None => {
                for name in ["LLM_PROVIDER", "LLM_BASE_URL", "LLM_MODEL", "LLM_MODELS"] {
                    if let Some(value) = configured.get(name) {
                        environment.set(name, value);
                    }
                }
            }
        }
        environment
    }

    pub fn set(&mut self, name: &'static str, value: impl Into<String>) {
        self.0.insert(name, value.into());
    }

    pub fn variables(&self) -> impl Iterator<Item = (String, String)> {
        self.0.iter().map(|(name, value)| ((*name).to_owned(), value.clone()))
    }

    /// Writes the file, readable only by its owner. A reader sees the old or the new file, never a part.
    pub fn write(&self, path: &Path) -> anyhow::Result<()> {
        let mut text = "\
# Written by `assay dev` at each start. For a shell: set -a; . this-file; set +a
# For one command: assay --env-file this-file …
"
        .to_owned();
        for (name, value) in &self.0 {
            text.push_str(&env_file::line(name, value));
        }
        // A second worker beside the embedded one takes any free port.
        text.push_str(&env_file::line("ADMIN_ADDR", "127.0.0.1:0"));
        let unfinished = path.with_extension("new");
        let write = || -> std::io::Result<()> {
            let _left_by_a_crash = std::fs::remove_file(&unfinished);
            let mut file = std::fs::OpenOptions::new().create_new(true).write(true).mode(0o600).open(&unfinished)?;
            file.write_all(text.as_bytes())?;
            std::fs::rename(&unfinished, path)
        };
        write().with_context(|| format!("write {}", path.display()))
    }
}

/// Creates the folder of the state. Returns its absolute path.
pub fn folder(data: &Path) -> anyhow::Result<PathBuf> {
    std::fs::create_dir_all(data).with_context(|| format!("create {}", data.display()))?;
    data.canonicalize().with_context(|| format!("open {}", data.display()))
}

/// Returns the variables of an earlier run, or none if the file cannot be read.
pub fn earlier(file: &Path) -> BTreeMap<String, String> {
    env_file::read(file).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn the_file_is_private_and_reads_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("env");
        let mut environment = Environment(BTreeMap::new());
        environment.set("DATABASE_URL", "postgres://assay:p'w@127.0.0.1:5432/assay");
        environment.set("GUEST_DIR", "/a folder/guests");
        environment.write(&path).unwrap();
        environment.write(&path).unwrap();
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let mut expected: BTreeMap<_, _> = environment.variables().collect();
        expected.insert("ADMIN_ADDR".to_owned(), "127.0.0.1:0".to_owned());
        assert_eq!(earlier(&path), expected);
        assert!(earlier(&folder.path().join("none")).is_empty());
    }
}
