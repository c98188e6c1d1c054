//! The memory that the builder writes the parts into.

use std::sync::Mutex;

/// More than any prompt and schema need, in bytes; a larger wish gets a null pointer.
#[cfg(target_arch = "wasm32")]
const MAX_BYTES: usize = 4 << 20;

static INJECTED: Mutex<Vec<u8>> = Mutex::new(Vec::new());

/// Makes room for `len` bytes and says where; 0 is a refusal. The builder writes there before it runs `wizer-initialize`.
#[cfg(target_arch = "wasm32")]
#[expect(unsafe_code, reason = "an export under a fixed name; the builder calls it by that name")]
#[unsafe(no_mangle)]
extern "C" fn reserve(len: usize) -> *mut u8 {
    let Ok(mut injected) = INJECTED.lock() else {
        return std::ptr::null_mut();
    };
    if len == 0 || len > MAX_BYTES {
        return std::ptr::null_mut();
    }
    *injected = vec![0; len];
    // The allocation does not move until `take`, and `Vec` gives its pointer out for writing.
    injected.as_mut_ptr()
}

/// What was written; empty where nothing was injected.
pub(crate) fn take() -> Vec<u8> {
    INJECTED.lock().map(|mut injected| std::mem::take(&mut *injected)).unwrap_or_default()
}
