//! An allocator of one's own: a fixed arena, given out from its beginning, with a list of free blocks for each size.

use core::alloc::{GlobalAlloc, Layout};
use core::cell::UnsafeCell;
use core::ptr;

/// Blocks are powers of two, from 16 bytes on.
const SMALLEST: usize = 4;
const CLASSES: usize = 32;

/// So many bytes, for a program with one thread.
pub(crate) struct Arena<const BYTES: usize> {
    bytes: UnsafeCell<Bytes<BYTES>>,
    state: UnsafeCell<State>,
}

#[repr(align(4096))]
struct Bytes<const BYTES: usize>([u8; BYTES]);

struct State {
    used: usize,
    /// The first free block of each size; each holds a pointer to the next.
    free: [*mut u8; CLASSES],
}

// SAFETY: the program has one thread and no signal handlers.
unsafe impl<const BYTES: usize> Sync for Arena<BYTES> {}

impl<const BYTES: usize> Arena<BYTES> {
    pub(crate) const fn new() -> Self {
        Self {
            bytes: UnsafeCell::new(Bytes([0; BYTES])),
            state: UnsafeCell::new(State { used: 0, free: [ptr::null_mut(); CLASSES] }),
        }
    }
}

/// The exponent of the block that such a value is put in: aligned to its own size, so to any alignment up to that.
fn class(layout: Layout) -> usize {
    let bytes = layout.size().max(layout.align()).max(1 << SMALLEST);
    bytes.next_power_of_two().trailing_zeros() as usize
}

// SAFETY: each block is given out once until it is given back, lies within the arena, which is never moved, and is
// aligned to its size (up to a page), which is at least the layout's alignment.
unsafe impl<const BYTES: usize> GlobalAlloc for Arena<BYTES> {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let class = class(layout);
        if class >= CLASSES || layout.align() > 4096 {
            return ptr::null_mut();
        }
        // SAFETY: one thread, and no reference outlives this call; a free block holds the pointer that `dealloc` put there.
        unsafe {
            let state = &mut *self.state.get();
            let block = state.free[class];
            if !block.is_null() {
                state.free[class] = block.cast::<*mut u8>().read();
                return block;
            }
            let begin = state.used.next_multiple_of((1 << class).min(4096));
            if begin + (1 << class) > BYTES {
                return ptr::null_mut();
            }
            state.used = begin + (1 << class);
            self.bytes.get().cast::<u8>().add(begin)
        }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: as above; the block is of this class and has room for a pointer.
        unsafe {
            let state = &mut *self.state.get();
            block.cast::<*mut u8>().write(state.free[class(layout)]);
            state.free[class(layout)] = block;
        }
    }
}
