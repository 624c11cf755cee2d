//! What the running thread holds of the heap, counted by the allocator.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// The system's allocator, which counts.
struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

thread_local! {
    /// Bytes that are held, and the most that were. Others free what this thread made, so it may be less than nothing.
    static HELD: Cell<(isize, isize)> = const { Cell::new((0, 0)) };
}

fn note(bytes: isize) {
    // A thread that ends frees things when its counters are gone.
    let _ = HELD.try_with(|held| {
        let (now, peak) = held.get();
        let now = now.wrapping_add(bytes);
        held.set((now, peak.max(now)));
    });
}

// An allocator cannot be written without; each call goes on to the system's as it came.
#[allow(unsafe_code)]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note(layout.size().cast_signed());
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        note(layout.size().cast_signed());
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        note(-layout.size().cast_signed());
        unsafe { System.dealloc(place, layout) }
    }

    unsafe fn realloc(&self, place: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        note(size.cast_signed().wrapping_sub(layout.size().cast_signed()));
        unsafe { System.realloc(place, layout, size) }
    }
}

/// The most bytes that the running thread held at once during `work`, beyond what it held before.
pub fn peak_bytes(work: impl FnOnce()) -> usize {
    let before = HELD.with(|held| {
        let (now, _) = held.get();
        held.set((now, now));
        now
    });
    work();
    let (_, peak) = HELD.with(Cell::get);
    usize::try_from(peak.wrapping_sub(before)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::hint::black_box;

    use super::*;

    #[test]
    fn the_most_that_is_held_at_once_counts() {
        let one_by_one = || (0..10).for_each(|_| drop(black_box(vec![0_u8; 1_000])));
        let all = || drop(black_box((0..10).map(|_| black_box(vec![0_u8; 1_000])).collect::<Vec<_>>()));
        let (few, many) = (peak_bytes(one_by_one), peak_bytes(all));
        assert!((1_000..2_000).contains(&few), "{few}");
        assert!((10_000..12_000).contains(&many), "{many}");
    }
}
