//! What a component says about where it comes from, for people and for `assay release show`; nothing that decides anything.

use std::path::Path;

use sha2::{Digest, Sha256};
use wasm_metadata::{AddMetadata, AddMetadataField, Description, Payload, Producers, Revision, Version};

use super::{
    error::{BuildError, Step},
    sections,
};

/// Name, version and origin, in the custom sections that the field's tools read (`wasm-tools metadata show`).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Stamp {
    /// The prompt version, or the crate's name.
    pub name: String,
    /// The schema version, or the crate's version.
    pub version: String,
    /// One line for people.
    pub description: String,
    /// [`SourceHash`] of the tree that it was built from.
    pub revision: String,
}

/// A sha256 over a tree of sources: names and contents, in the order of the names.
#[derive(Default)]
pub struct SourceHash(Sha256);

impl SourceHash {
    /// Adds a file under its name relative to the tree. The caller sorts.
    pub fn add(&mut self, name: &Path, content: &[u8]) {
        for part in [name.as_os_str().as_encoded_bytes(), content] {
            self.0.update((part.len() as u64).to_le_bytes());
            self.0.update(part);
        }
    }

    /// `sha256:…`.
    pub fn finish(self) -> String {
        format!("sha256:{}", hex::encode(self.0.finalize()))
    }
}

impl Stamp {
    /// The component with this stamp.
    ///
    /// # Errors
    ///
    /// [`Step::Stamp`] where the bytes are no component.
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
        metadata.to_wasm(component).map_err(|error| BuildError::invalid(Step::Stamp, error.root_cause()))
    }

    /// The stamp that a component has; fields that it lacks are empty.
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

/// The compiler that made a component's code, such as "rustc 1.95.0"; none where it does not say.
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

/// The component with one more custom section at its end, or with that section's content exchanged.
///
/// # Errors
///
/// [`Step::Stamp`] where the bytes are no component.
pub fn with_section(component: &[u8], name: &str, content: &[u8]) -> Result<Vec<u8>, BuildError> {
    sections::with_custom(component, name, content)
}

/// The content of a component's own custom section.
pub fn section(component: &[u8], name: &str) -> Option<Vec<u8>> {
    sections::custom(component, name)
}
