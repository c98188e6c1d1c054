//! The memory of one call: taken from an untouched stretch, piece after piece, and given back with the instance.
//!
//! An instance lives for one call. Building it left holes all over the heap, and a common allocator fills those first: each
//! piece touches a page of its own, which the system must then copy and the host clean up again, call for call. Pieces that
//! lie one behind the other touch few pages, and always the same ones. What does not fit comes from the standard allocator,
//! so that a call can use as much memory as it could without this.
#![expect(unsafe_code, reason = "an allocator hands out raw memory; the proofs stand where it does")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering::Relaxed};

/// Length of the stretch in bytes: all that the work on a report of 200 KB takes.
const STRETCH_BYTES: usize = 1 << 20;

/// The allocator of a guest. Guests have one thread; the atomics are there because a static needs them, and cost nothing.
pub struct CallMemory {
    start: AtomicPtr<u8>,
    /// Where the next piece may begin.
    next: AtomicPtr<u8>,
    end: AtomicPtr<u8>,
}

impl CallMemory {
    /// Hands out what the standard allocator gives, until [`Self::begin`].
    pub const fn new() -> Self {
        const NONE: *mut u8 = ptr::null_mut();
        Self { start: AtomicPtr::new(NONE), next: AtomicPtr::new(NONE), end: AtomicPtr::new(NONE) }
    }

    /// From here on calls are served. Runs once, when everything that all calls share was made.
    pub fn begin(&self) {
        let start = stretch();
        if start.is_null() {
            return;
        }
        self.start.store(start, Relaxed);
        self.next.store(start, Relaxed);
        self.end.store(start.wrapping_add(STRETCH_BYTES), Relaxed);
    }

    /// A piece of the stretch; null where it does not fit.
    fn take(&self, layout: Layout) -> *mut u8 {
        let (next, end) = (self.next.load(Relaxed), self.end.load(Relaxed));
        let padding = next.addr().wrapping_neg() & (layout.align() - 1);
        // Both are below 2^31, a layout's own bound, so that the sum is right.
        let needed = padding + layout.size();
        if needed > end.addr() - next.addr() {
            return ptr::null_mut();
        }
        self.next.store(next.wrapping_add(needed), Relaxed);
        next.wrapping_add(padding)
    }

    fn is_mine(&self, piece: *mut u8) -> bool {
        self.start.load(Relaxed) <= piece && piece < self.end.load(Relaxed)
    }

    /// Whether a piece of this length is the last that was taken.
    fn is_last(&self, piece: *mut u8, len: usize) -> bool {
        piece.wrapping_add(len) == self.next.load(Relaxed)
    }
}

/// Memory that nobody has touched; null where there is none.
///
/// It lies behind all that is part of the guest's image, so that the host makes and clears its pages without a look at the
/// image. The standard allocator leaves it alone, as any memory that it did not ask for itself.
#[cfg(target_arch = "wasm32")]
fn stretch() -> *mut u8 {
    const PAGE_BYTES: usize = 64 << 10;
    match std::arch::wasm32::memory_grow(0, STRETCH_BYTES / PAGE_BYTES) {
        usize::MAX => ptr::null_mut(),
        page => ptr::with_exposed_provenance_mut(page * PAGE_BYTES),
    }
}

/// The same for tests on other machines.
#[cfg(not(target_arch = "wasm32"))]
fn stretch() -> *mut u8 {
    // SAFETY: the layout is not empty.
    unsafe { System.alloc(Layout::new::<[u64; STRETCH_BYTES / 8]>()) }
}

impl Default for CallMemory {
    fn default() -> Self {
        Self::new()
    }
}

// SAFETY: a piece of the stretch lies between `start` and `end`, which is memory that nobody else has and that is
// never given back; `next` only passes over a piece when it is handed out, and goes back only over the last one, so that no two pieces
// overlap. Everything else is `System`'s, which gets back exactly what it gave: no piece of the stretch is in its hands.
unsafe impl GlobalAlloc for CallMemory {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let piece = self.take(layout);
        if !piece.is_null() {
            return piece;
        }
        // SAFETY: the caller's promise about the layout is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        let piece = self.take(layout);
        if piece.is_null() {
            // SAFETY: as above.
            return unsafe { System.alloc_zeroed(layout) };
        }
        // SAFETY: the piece is this long. It need not be zero: the last piece can be given back and taken again.
        unsafe { piece.write_bytes(0, layout.size()) };
        piece
    }

    unsafe fn dealloc(&self, piece: *mut u8, layout: Layout) {
        if !self.is_mine(piece) {
            // SAFETY: it is not of the stretch, so `System` gave it.
            return unsafe { System.dealloc(piece, layout) };
        }
        if self.is_last(piece, layout.size()) {
            self.next.store(piece, Relaxed);
        }
    }

    unsafe fn realloc(&self, piece: *mut u8, layout: Layout, len: usize) -> *mut u8 {
        if !self.is_mine(piece) {
            // SAFETY: it is not of the stretch, so `System` gave it.
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
            // SAFETY: the old piece is as long as its layout says, the new one longer, and they do not overlap.
            unsafe { larger.copy_from_nonoverlapping(piece, layout.size()) };
        }
        larger
    }
}

#[cfg(test)]
mod tests {
    use super::{CallMemory, STRETCH_BYTES};
    use std::alloc::{GlobalAlloc, Layout};

    fn layout(len: usize, align: usize) -> Layout {
        Layout::from_size_align(len, align).expect("is one")
    }

    /// Memory that serves a call, with one piece in it.
    fn begun() -> (CallMemory, *mut u8) {
        let memory = CallMemory::new();
        memory.begin();
        // SAFETY: the layout is not empty.
        let first = unsafe { memory.alloc(layout(3, 1)) };
        (memory, first)
    }

    #[test]
    fn pieces_lie_one_behind_the_other_aligned_as_asked() {
        let (memory, first) = begun();
        // SAFETY: the layouts are not empty.
        let (second, third) = unsafe { (memory.alloc(layout(8, 8)), memory.alloc(layout(1, 1))) };
        assert_eq!(second.addr() - first.addr(), 8);
        assert_eq!(third.addr() - second.addr(), 8);
    }

    #[test]
    fn the_last_piece_grows_where_it_lies_and_another_one_moves_with_what_it_holds() {
        let (memory, first) = begun();
        // SAFETY: the layouts are those of the pieces, and what is read was written.
        unsafe {
            first.write_bytes(7, 3);
            assert_eq!(memory.realloc(first, layout(3, 1), 10), first);
            let second = memory.alloc(layout(1, 1));
            assert_eq!(second.addr() - first.addr(), 10);
            let moved = memory.realloc(first, layout(10, 1), 20);
            assert_eq!(moved.addr() - second.addr(), 1);
            assert_eq!(std::slice::from_raw_parts(moved, 3), [7; 3]);
            assert_eq!(memory.realloc(first, layout(10, 1), 5), first, "it shrinks where it lies");
        }
    }

    #[test]
    fn the_last_piece_that_was_given_back_is_taken_again_and_can_be_had_zeroed() {
        let (memory, _) = begun();
        // SAFETY: the layouts are those of the pieces, and zeroed memory may be read.
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
    fn what_does_not_fit_comes_from_the_standard_allocator_and_goes_back_there() {
        let (memory, first) = begun();
        let large = layout(STRETCH_BYTES, 8);
        // SAFETY: the layouts are those of the pieces, and what is read was written.
        unsafe {
            let elsewhere = memory.alloc(large);
            assert!(!memory.is_mine(elsewhere));
            memory.dealloc(elsewhere, large);
            first.write_bytes(7, 3);
            let moved = memory.realloc(first, layout(3, 1), STRETCH_BYTES + 1);
            assert!(!memory.is_mine(moved));
            assert_eq!(std::slice::from_raw_parts(moved, 3), [7; 3]);
            let moved = memory.realloc(moved, layout(STRETCH_BYTES + 1, 1), 3);
            memory.dealloc(moved, layout(3, 1));
        }
    }

    #[test]
    fn before_it_begins_everything_comes_from_the_standard_allocator() {
        let memory = CallMemory::new();
        // SAFETY: the layout is that of the piece.
        unsafe {
            let piece = memory.alloc(layout(8, 8));
            assert!(!piece.is_null() && !memory.is_mine(piece));
            memory.dealloc(piece, layout(8, 8));
        }
    }
}
