//! Limits of a guest's manifest, shared by the builder and by the worker's admission.

/// Longest version name in a manifest, in bytes.
const MAX_VERSION_BYTES: usize = 64;
/// Longest description in a manifest, in bytes.
pub const MAX_DESCRIPTION_BYTES: usize = 4 << 10;
/// Longest schema in a manifest, in bytes.
pub const MAX_SCHEMA_BYTES: usize = 1 << 20;

/// Returns whether a text can name a version: letters, digits, and `.`, `_`, `-` between them.
pub fn is_version(text: &str) -> bool {
    let is_inner = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    text.len() <= MAX_VERSION_BYTES
        && text.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric())
        && text.bytes().all(is_inner)
}
