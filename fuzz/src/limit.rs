//! An allocator with an end.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

/// What a target may have reserved at one time: several times the largest limit of a decoder,
/// and less than a length that lies would reserve.
pub const MEMORY_MAX: usize = 384 << 20;

/// The system's allocator, counted.
pub struct Limited;

static RESERVED: AtomicUsize = AtomicUsize::new(0);

fn reserve(bytes: usize) {
    let before = RESERVED.fetch_add(bytes, Ordering::Relaxed);
    if before.saturating_add(bytes) > MEMORY_MAX {
        // Unwinding would allocate; libFuzzer keeps the input of an abort.
        const MESSAGE: &[u8] = b"fuzz: more memory is reserved than any input may need\n";
        let _ = std::io::Write::write_all(&mut std::io::stderr(), MESSAGE);
        std::process::abort();
    }
}

fn free(bytes: usize) {
    RESERVED.fetch_sub(bytes, Ordering::Relaxed);
}

// SAFETY: every call goes to the system's allocator as it came.
unsafe impl GlobalAlloc for Limited {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        reserve(layout.size());
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        reserve(layout.size());
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        free(layout.size());
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        reserve(size);
        free(layout.size());
        unsafe { System.realloc(pointer, layout, size) }
    }
}
