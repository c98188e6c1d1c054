//! Which engines can run each other's compiled code.

use std::hash::{Hash, Hasher};

use assay_core::digest::Digest;
use sha2::{Digest as _, Sha256};
use wasmtime::Engine;

/// Returns a digest of the engine's settings: engines with the same one can run each other's images.
pub fn compatibility(engine: &Engine) -> Digest {
    struct Sha(Sha256);
    impl Hasher for Sha {
        fn write(&mut self, bytes: &[u8]) {
            self.0.update(bytes);
        }
        fn finish(&self) -> u64 {
            0 // never called: the whole digest is used below
        }
    }
    let mut hasher = Sha(Sha256::new());
    engine.precompile_compatibility_hash().hash(&mut hasher);
    Digest::from_bytes(hasher.0.finalize().into())
}
