//! The memory into which the builder writes the parts.

use std::{mem, sync::Mutex};

/// More than any prompt and schema need.
#[cfg(target_arch = "wasm32")]
const MAX_PARTS_BYTES: usize = 4 << 20;

static INJECTED: Mutex<Vec<u8>> = Mutex::new(Vec::new());

/// Reserves `len` bytes and returns their address, or null for 0 or too many bytes. The builder writes there before it runs
/// `wizer-initialize`.
#[cfg(target_arch = "wasm32")]
#[expect(unsafe_code, reason = "an export under a fixed name; the builder calls it by that name")]
#[unsafe(no_mangle)]
extern "C" fn reserve(len: usize) -> *mut u8 {
    let Ok(mut injected) = INJECTED.lock() else {
        return std::ptr::null_mut();
    };
    if len == 0 || len > MAX_PARTS_BYTES {
        return std::ptr::null_mut();
    }
    *injected = vec![0; len];
    // The buffer does not move until `take`.
    injected.as_mut_ptr()
}

/// Takes the bytes that the builder wrote; empty when it wrote nothing.
pub(crate) fn take() -> Vec<u8> {
    INJECTED.lock().map(|mut injected| mem::take(&mut *injected)).unwrap_or_default()
}
