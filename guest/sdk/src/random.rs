//! The source of randomness that the dependencies' hash maps ask for: fixed bytes.
//!
//! A guest is a pure function, so its hash maps must be too. The price: an attacker who knows these bytes can make keys
//! collide. The host's time limit per call bounds the damage.
#![expect(unsafe_code, reason = "getrandom's custom backend is an exported symbol that fills a raw buffer")]

use getrandom::Error;

/// Repeats to fill a buffer of any length.
const SEED: [u8; 16] = *b"assay-guest-seed";

/// Fills `len` bytes at `dest`. getrandom 0.3 prescribes the name.
///
/// # Safety
///
/// The caller passes a buffer that is valid for writes of `len` bytes; getrandom's own `fill` does.
#[unsafe(no_mangle)]
unsafe extern "Rust" fn __getrandom_v03_custom(dest: *mut u8, len: usize) -> Result<(), Error> {
    for offset in 0..len {
        // SAFETY: `offset < len`, and getrandom passes a buffer valid for writes of `len` bytes.
        unsafe { dest.add(offset).write(SEED[offset % SEED.len()]) };
    }
    Ok(())
}
