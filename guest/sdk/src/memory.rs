//! The memory of one call: a bump allocator over one fresh stretch, which is freed with the instance.
//!
//! An instance lives for one call. Initialization leaves holes all over the heap, and the standard allocator fills those
//! first. Each allocation then touches another page, which the system copies and the host restores, in every call.
//! Adjacent allocations touch few pages, and always the same ones. What does not fit into the stretch comes from the
//! standard allocator, so a call can use as much memory as without this one.
#![expect(unsafe_code, reason = "an allocator returns raw memory; each use has its proof")]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    ptr,
    sync::atomic::{AtomicPtr, Ordering::Relaxed},
};

/// Enough for the work on a report of 200 KB.
const STRETCH_BYTES: usize = 1 << 20;

/// Allocates the memory of a guest. Guests have one thread; a static needs the atomics, and they cost nothing.
pub struct CallMemory {
    start: AtomicPtr<u8>,
    /// The end of the last allocation in the stretch.
    next: AtomicPtr<u8>,
    end: AtomicPtr<u8>,
}

impl CallMemory {
    /// Makes an allocator that uses the standard one until [`Self::begin`].
    pub const fn new() -> Self {
        const NONE: *mut u8 = ptr::null_mut();
        Self { start: AtomicPtr::new(NONE), next: AtomicPtr::new(NONE), end: AtomicPtr::new(NONE) }
    }

    /// Reserves the stretch for the call. Runs once, after everything that all calls share is made.
    pub fn begin(&self) {
        let start = reserve_stretch();
        if start.is_null() {
            return;
        }
        self.start.store(start, Relaxed);
        self.next.store(start, Relaxed);
        self.end.store(start.wrapping_add(STRETCH_BYTES), Relaxed);
    }

    /// Allocates in the stretch; returns null when it does not fit.
    fn allocate(&self, layout: Layout) -> *mut u8 {
        let (next, end) = (self.next.load(Relaxed), self.end.load(Relaxed));
        let padding = next.addr().wrapping_neg() & (layout.align() - 1);
        // Both are below 2^31, the limit of a layout, so the sum cannot overflow.
        let needed = padding + layout.size();
        if needed > end.addr() - next.addr() {
            return ptr::null_mut();
        }
        self.next.store(next.wrapping_add(needed), Relaxed);
        next.wrapping_add(padding)
    }

    fn owns(&self, piece: *mut u8) -> bool {
        self.start.load(Relaxed) <= piece && piece < self.end.load(Relaxed)
    }

    /// Returns whether a piece of `len` bytes is the last allocation in the stretch.
    fn is_last(&self, piece: *mut u8, len: usize) -> bool {
        piece.wrapping_add(len) == self.next.load(Relaxed)
    }
}

/// Grows the memory by one stretch; returns null when that fails.
///
/// The stretch lies behind the guest's image, so the host makes and clears its pages without reading the image. The
/// standard allocator only uses memory that it has grown itself.
#[cfg(target_arch = "wasm32")]
fn reserve_stretch() -> *mut u8 {
    const PAGE_BYTES: usize = 64 << 10;
    match std::arch::wasm32::memory_grow(0, STRETCH_BYTES / PAGE_BYTES) {
        usize::MAX => ptr::null_mut(),
        page => ptr::with_exposed_provenance_mut(page * PAGE_BYTES),
    }
}

/// Allocates a stretch for native tests.
#[cfg(not(target_arch = "wasm32"))]
fn reserve_stretch() -> *mut u8 {
    // SAFETY: the layout is not empty.
    unsafe { System.alloc(Layout::new::<[u64; STRETCH_BYTES / 8]>()) }
}

impl Default for CallMemory {
    fn default() -> Self {
        Self::new()
    }
}

// SAFETY: a piece of the stretch lies between `start` and `end`. That memory has no other user and is never freed.
// `next` moves forward over each new piece and back only over the last one, so two pieces never overlap. Every other
// piece belongs to `System`, which gets back exactly what it returned and never a piece of the stretch.
unsafe impl GlobalAlloc for CallMemory {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let piece = self.allocate(layout);
        if !piece.is_null() {
            return piece;
        }
        // SAFETY: the caller promises a valid layout.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        let piece = self.allocate(layout);
        if piece.is_null() {
            // SAFETY: the caller promises a valid layout.
            return unsafe { System.alloc_zeroed(layout) };
        }
        // Not zero when the last piece was freed and its memory is used again.
        // SAFETY: the piece has this length.
        unsafe { piece.write_bytes(0, layout.size()) };
        piece
    }

    unsafe fn dealloc(&self, piece: *mut u8, layout: Layout) {
        if !self.owns(piece) {
            // SAFETY: the piece is not in the stretch, so `System` returned it.
            return unsafe { System.dealloc(piece, layout) };
        }
        if self.is_last(piece, layout.size()) {
            self.next.store(piece, Relaxed);
        }
    }

    unsafe fn realloc(&self, piece: *mut u8, layout: Layout, len: usize) -> *mut u8 {
        if !self.owns(piece) {
            // SAFETY: the piece is not in the stretch, so `System` returned it.
            return unsafe { System.realloc(piece, layout, len) };
        }
        let room = self.end.load(Relaxed).addr() - piece.addr();
        if self.is_last(piece, layout.size()) && len <= room {
            self.next.store(piece.wrapping_add(len), Relaxed);
            return piece;
        }
        if len <= layout.size() {
            return piece;
        }
        // SAFETY: the caller promises that `len` makes a layout with this alignment.
        let larger = unsafe { self.alloc(Layout::from_size_align_unchecked(len, layout.align())) };
        if !larger.is_null() {
            // SAFETY: the old piece has the layout's size, the new one is longer, and they do not overlap.
            unsafe { larger.copy_from_nonoverlapping(piece, layout.size()) };
        }
        larger
    }
}

#[cfg(test)]
mod tests {
    use std::alloc::{GlobalAlloc, Layout};

    use super::{CallMemory, STRETCH_BYTES};

    fn layout(len: usize, align: usize) -> Layout {
        Layout::from_size_align(len, align).expect("is a valid layout")
    }

    /// Returns an allocator after `begin`, with one piece of 3 bytes.
    fn begun() -> (CallMemory, *mut u8) {
        let memory = CallMemory::new();
        memory.begin();
        // SAFETY: the layout is not empty.
        let first = unsafe { memory.alloc(layout(3, 1)) };
        (memory, first)
    }

    #[test]
    fn pieces_are_adjacent_and_aligned() {
        let (memory, first) = begun();
        // SAFETY: the layouts are not empty.
        let (second, third) = unsafe { (memory.alloc(layout(8, 8)), memory.alloc(layout(1, 1))) };
        assert_eq!(second.addr() - first.addr(), 8);
        assert_eq!(third.addr() - second.addr(), 8);
    }

    #[test]
    fn the_last_piece_grows_in_place_and_others_move() {
        let (memory, first) = begun();
        // SAFETY: each piece has its layout, and only written memory is read.
        unsafe {
            first.write_bytes(7, 3);
            assert_eq!(memory.realloc(first, layout(3, 1), 10), first);
            let second = memory.alloc(layout(1, 1));
            assert_eq!(second.addr() - first.addr(), 10);
            let moved = memory.realloc(first, layout(10, 1), 20);
            assert_eq!(moved.addr() - second.addr(), 1);
            assert_eq!(std::slice::from_raw_parts(moved, 3), [7; 3]);
            assert_eq!(memory.realloc(first, layout(10, 1), 5), first, "it shrinks in place");
        }
    }

    #[test]
    fn the_last_piece_is_reused_after_it_was_freed() {
        let (memory, _) = begun();
        // SAFETY: each piece has its layout, and zeroed memory may be read.
        unsafe {
            let piece = memory.alloc(layout(64, 8));
            piece.write_bytes(7, 64);
            memory.dealloc(piece, layout(64, 8));
            let again = memory.alloc_zeroed(layout(64, 8));
            assert_eq!(again, piece);
            assert_eq!(std::slice::from_raw_parts(again, 64), [0; 64]);
        }
    }

    #[test]
    fn what_does_not_fit_comes_from_the_standard_allocator() {
        let (memory, first) = begun();
        let large = layout(STRETCH_BYTES, 8);
        // SAFETY: each piece has its layout, and only written memory is read.
        unsafe {
            let elsewhere = memory.alloc(large);
            assert!(!memory.owns(elsewhere));
            memory.dealloc(elsewhere, large);
            first.write_bytes(7, 3);
            let moved = memory.realloc(first, layout(3, 1), STRETCH_BYTES + 1);
            assert!(!memory.owns(moved));
            assert_eq!(std::slice::from_raw_parts(moved, 3), [7; 3]);
            let moved = memory.realloc(moved, layout(STRETCH_BYTES + 1, 1), 3);
            memory.dealloc(moved, layout(3, 1));
        }
    }

    #[test]
    fn before_begin_everything_comes_from_the_standard_allocator() {
        let memory = CallMemory::new();
        // SAFETY: the piece has this layout.
        unsafe {
            let piece = memory.alloc(layout(8, 8));
            assert!(!piece.is_null() && !memory.owns(piece));
            memory.dealloc(piece, layout(8, 8));
        }
    }
}
