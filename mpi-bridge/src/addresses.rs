//! Functions for the engine's own threads, which have no GIL: their addresses as numbers. The engine knows their
//! arguments (`runtime/src/engine/mpi.rs`).

use crate::{calls, state, turns};
use pyo3::prelude::*;
use std::borrow::Cow;

/// # Safety
///
/// There are so many bytes, which live until the caller returns.
unsafe fn text<'a>(from: *const u8, length: usize) -> Cow<'a, str> {
    // SAFETY: as the caller promises; an empty slice needs an address that is not null.
    let bytes = if length == 0 { &[] } else { unsafe { std::slice::from_raw_parts(from, length) } };
    String::from_utf8_lossy(bytes)
}

extern "C" fn end_epoch(epoch: u64, why: *const u8, length: usize) {
    // SAFETY: the engine's text is that long.
    state::end_epoch(epoch, &unsafe { text(why, length) });
}

extern "C" fn break_off(name: *const u8, length: usize, epoch: u64, why: *const u8, why_length: usize, at_once: bool) {
    // SAFETY: the engine's texts are that long.
    let (name, why) = unsafe { (text(name, length), text(why, why_length)) };
    calls::break_off(&name, epoch, &why, at_once);
}

extern "C" fn begin_turn(epoch: u64, renewal: u64, ranks: *const u32, count: usize) {
    // SAFETY: there are so many ranks; an empty slice needs an address that is not null.
    turns::begin(epoch, renewal, if count == 0 { &[] } else { unsafe { std::slice::from_raw_parts(ranks, count) } });
}

extern "C" fn leave(
    rank: u32,
    engine: u32,
    why: *const u8,
    why_length: usize,
    entered: *const u8,
    entered_length: usize,
) {
    // SAFETY: the engine's texts are that long.
    let (why, entered) = unsafe { (text(why, why_length), text(entered, entered_length)) };
    turns::leave(rank, engine, &why, &entered);
}

/// Writes a text where there is room for all of it; how long it is.
extern "C" fn tell(buffer: *mut u8, room: usize, what: u8) -> usize {
    let text = match what {
        0 => calls::told(),
        1 => turns::standing(),
        _ => turns::entered(),
    };
    if text.len() <= room {
        // SAFETY: the engine's buffer has that room.
        unsafe { std::ptr::copy_nonoverlapping(text.as_ptr(), buffer, text.len()) };
    }
    text.len()
}

/// The addresses, in the order in which the engine takes them.
#[pyfunction]
pub fn addresses() -> [usize; 5] {
    [
        end_epoch as extern "C" fn(u64, *const u8, usize) as usize,
        break_off as extern "C" fn(*const u8, usize, u64, *const u8, usize, bool) as usize,
        begin_turn as extern "C" fn(u64, u64, *const u32, usize) as usize,
        leave as extern "C" fn(u32, u32, *const u8, usize, *const u8, usize) as usize,
        tell as extern "C" fn(*mut u8, usize, u8) -> usize as usize,
    ]
}
