//! One loaded release: its guest and the verifier of its schema.

use std::fmt;

use assay_core::job_error::JobError;
use assay_runtime::{Call, Digest, Finding, Guest, LoadError, Manifest, Prompt, Runtime, Verifier};

use crate::guests::{findings::SchemaWords, shared_texts::SharedTexts};

/// A guest that is ready to run.
pub struct Release {
    digest: String,
    guest: Guest,
    verifier: Verifier,
    /// The only words of findings that may leave the run folder.
    words: SchemaWords,
    shared: SharedTexts,
}

impl fmt::Debug for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Release").field(&self.digest).finish()
    }
}

impl Release {
    /// Loads a guest and specializes the verifier for its schema.
    ///
    /// # Errors
    /// [`LoadError`], which names the rule of admission that the guest breaks.
    pub async fn load(runtime: &Runtime, bytes: &[u8]) -> Result<Self, LoadError> {
        Self::of(runtime, runtime.load(bytes).await?).await
    }

    /// Loads a guest, if this machine's cache has its image.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub async fn load_cached(runtime: &Runtime, digest: Digest) -> Result<Option<Self>, LoadError> {
        let Some(guest) = runtime.load_cached(digest).await? else { return Ok(None) };
        Self::of(runtime, guest).await.map(Some)
    }

    async fn of(runtime: &Runtime, guest: Guest) -> Result<Self, LoadError> {
        let verifier = runtime.verifier(&guest.manifest().schema).await?.beside(&guest);
        let words = SchemaWords::of(&guest.manifest().schema);
        Ok(Self { digest: guest.digest().to_string(), guest, verifier, words, shared: SharedTexts::default() })
    }

    /// Returns the sha256 of the component, lower hex.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    pub fn manifest(&self) -> &Manifest {
        self.guest.manifest()
    }

    pub fn guest(&self) -> &Guest {
        &self.guest
    }

    /// Copies questions that wait for the model out of the memory of the guest's thread. Equal texts are held once.
    pub fn share(&self, asked: &[Prompt]) -> Vec<Prompt> {
        self.shared.share(asked)
    }

    /// Validates a document against the schema, in a second sandbox. Returns what it finds.
    ///
    /// # Errors
    /// The fault of the verifier itself, with the same codes as a guest's.
    pub async fn verify(&self, document: &str) -> Result<Vec<Finding>, JobError> {
        let call: Call<_> = self.verifier.check(document).await;
        call.result.map_err(JobError::from)
    }

    /// Returns a pointer as it may leave the bucket: words of the schema, and `*` for every other segment.
    pub fn shown(&self, pointer: &str) -> String {
        self.words.pointer(pointer)
    }

    /// Returns findings as they may leave the run folder: codes and pointers, no content.
    pub fn summary(&self, found: &[Finding]) -> String {
        self.words.summary(found)
    }
}
