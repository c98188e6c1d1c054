//! A component's name, version and origin, for people and for `assay release show`. No decision depends on it.

use std::path::Path;

use sha2::{Digest, Sha256};
use wasm_metadata::{AddMetadata, AddMetadataField, Description, Payload, Producers, Revision, Version};

use crate::{
    error::{BuildError, BuildStep},
    sections,
};

/// Name, version and origin, in the custom sections that `wasm-tools metadata show` reads.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Stamp {
    /// Prompt version, or the crate's name.
    pub name: String,
    /// Schema version, or the crate's version.
    pub version: String,
    pub description: String,
    /// [`SourceHash`] of its sources.
    pub revision: String,
}

/// Hashes a tree of sources, names and contents in the order of the names, with sha256.
#[derive(Default)]
pub struct SourceHash(Sha256);

impl SourceHash {
    /// Adds a file under its name relative to the tree. The caller sorts by name.
    pub fn add(&mut self, name: &Path, content: &[u8]) {
        for part in [name.as_os_str().as_encoded_bytes(), content] {
            self.0.update((part.len() as u64).to_le_bytes());
            self.0.update(part);
        }
    }

    /// Returns `sha256:` and the digest in hex.
    pub fn finish(self) -> String {
        format!("sha256:{}", hex::encode(self.0.finalize()))
    }
}

impl Stamp {
    /// Returns the component with this stamp.
    ///
    /// # Errors
    ///
    /// [`BuildStep::Stamp`] if the bytes are not a component.
    pub fn put_on(&self, component: &[u8]) -> Result<Vec<u8>, BuildError> {
        let mut metadata = AddMetadata::default();
        metadata.name = AddMetadataField::Set(self.name.clone());
        if !self.version.is_empty() {
            metadata.version = AddMetadataField::Set(Version::new(self.version.clone()));
        }
        if !self.description.is_empty() {
            metadata.description = AddMetadataField::Set(Description::new(self.description.clone()));
        }
        if !self.revision.is_empty() {
            metadata.revision = AddMetadataField::Set(Revision::new(self.revision.clone()));
        }
        metadata.to_wasm(component).map_err(|error| BuildError::invalid(BuildStep::Stamp, error.root_cause()))
    }

    /// Reads a component's stamp. Missing fields are empty.
    pub fn of(component: &[u8]) -> Self {
        let Ok(payload) = Payload::from_binary(component) else { return Self::default() };
        let metadata = payload.metadata();
        let text = |value: Option<String>| value.unwrap_or_default();
        Self {
            name: text(metadata.name.clone()),
            version: text(metadata.version.as_ref().map(ToString::to_string)),
            description: text(metadata.description.as_ref().map(ToString::to_string)),
            revision: text(metadata.revision.as_ref().map(ToString::to_string)),
        }
    }
}

/// Returns the compiler of a component's code, such as "rustc 1.95.0", if the component names it.
pub fn toolchain(component: &[u8]) -> Option<String> {
    fn find(payload: &Payload) -> Option<String> {
        let of = |producers: &Producers| {
            let tools = producers.get("processed-by")?;
            let version = tools.iter().find(|(tool, _)| tool.as_str() == "rustc")?.1;
            Some(format!("rustc {}", version.split_whitespace().next().unwrap_or(version)))
        };
        let own = payload.metadata().producers.as_ref().and_then(of);
        let children = match payload {
            Payload::Component { children, .. } => children.as_slice(),
            Payload::Module(_) => &[],
        };
        own.or_else(|| children.iter().find_map(find))
    }
    find(&Payload::from_binary(component).ok()?)
}

/// Returns the component with a custom section at its end, in place of an earlier one of that name.
///
/// # Errors
///
/// [`BuildStep::Stamp`] if the bytes are not a component.
pub fn with_section(component: &[u8], name: &str, content: &[u8]) -> Result<Vec<u8>, BuildError> {
    sections::with_custom(component, name, content)
}

/// Returns the content of a component's own custom section.
pub fn section(component: &[u8], name: &str) -> Option<Vec<u8>> {
    sections::custom(component, name)
}
