//! Extension module `ipclusterz_mpi`: MPI for the engines of ipclusterz, by rsmpi's binding of the site's own library.
//!
//! It translates; what users see is `ipclusterz.mpi`, written in Python. In reading order:
//!
//! - [`names`], [`library`], [`failure`]: MPI's macros, the library itself, return codes as exceptions
//! - [`buffers`], [`layout`]: Python's buffers as MPI sees them
//! - [`calls`], [`state`]: which call each communicator is in; a communicator that may break
//! - [`status`], [`pending`], [`waiting`]: an operation that goes on, and a wait that can be given up
//! - [`environment`]: MPI's beginning and end, shared with mpi4py
//! - [`request`], [`handle`], [`comm`]: a request and a communicator, as Python has them
//! - [`making`], [`groups`]: communicators made of others
//! - [`parts`], [`collective`], [`varying`], [`reduction`], [`allreduce`], [`slots`]: collective calls
//! - [`point`], [`message`]: messages from one rank to another

mod allreduce;
mod buffers;
mod calls;
mod collective;
mod comm;
mod environment;
mod failure;
mod groups;
mod handle;
mod layout;
mod library;
mod making;
mod message;
mod names;
mod parts;
mod pending;
mod point;
mod reduction;
mod request;
mod slots;
mod state;
mod status;
mod varying;
mod waiting;

use pyo3::prelude::*;

/// Says that an epoch, and those before it, are over, and why.
#[pyfunction]
fn end_epoch(epoch: u64, why: &str) {
    state::end_epoch(epoch, why);
}

/// The same for the engine's own thread, which has no GIL: the function's address as a number.
#[pyfunction]
fn end_epoch_address() -> usize {
    extern "C" fn end(epoch: u64, why: *const u8, length: usize) {
        // SAFETY: the caller's text is that long, and lives until this returns.
        let why = unsafe { std::slice::from_raw_parts(why, length) };
        state::end_epoch(epoch, &String::from_utf8_lossy(why));
    }
    end as extern "C" fn(u64, *const u8, usize) as usize
}

/// For a thread without the GIL, to say that another rank has given up a communicator: the address of
/// `fn(name, length, epoch, why, length, at_once)`.
#[pyfunction]
fn break_off_address() -> usize {
    extern "C" fn give_up(
        name: *const u8,
        length: usize,
        epoch: u64,
        why: *const u8,
        why_length: usize,
        at_once: bool,
    ) {
        // SAFETY: the caller's texts are that long, and live until this returns.
        let (name, why) =
            unsafe { (std::slice::from_raw_parts(name, length), std::slice::from_raw_parts(why, why_length)) };
        calls::break_off(&String::from_utf8_lossy(name), epoch, &String::from_utf8_lossy(why), at_once);
    }
    give_up as extern "C" fn(*const u8, usize, u64, *const u8, usize, bool) as usize
}

/// Which collective call each communicator is in, as JSON; see `calls.rs`.
#[pyfunction]
#[pyo3(name = "calls")]
fn told_calls() -> String {
    calls::told()
}

/// The same for a thread without the GIL: the address of `fn(buffer, room) -> length`. The text is written where there is
/// room for all of it.
#[pyfunction]
fn calls_address() -> usize {
    extern "C" fn tell(buffer: *mut u8, room: usize) -> usize {
        let text = calls::told();
        if text.len() <= room {
            // SAFETY: the caller's buffer has that room.
            unsafe { std::ptr::copy_nonoverlapping(text.as_ptr(), buffer, text.len()) };
        }
        text.len()
    }
    tell as extern "C" fn(*mut u8, usize) -> usize as usize
}

/// Sets the largest count that MPI is given in one call; for tests.
#[pyfunction]
fn set_largest_count(count: usize) {
    layout::set_largest(count);
}

/// Whether a count has to be split.
#[pyfunction]
fn is_large(count: usize) -> bool {
    layout::is_large(count)
}

#[pymodule]
fn ipclusterz_mpi(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("VERSION", env!("CARGO_PKG_VERSION"))?;
    module.add("OPERATORS", buffers::OPERATORS)?;
    module.add_class::<comm::Comm>()?;
    module.add_class::<making::Making>()?;
    module.add_class::<request::Request>()?;
    module.add_function(wrap_pyfunction!(environment::initialize, module)?)?;
    module.add_function(wrap_pyfunction!(environment::finalize, module)?)?;
    module.add_function(wrap_pyfunction!(library::is_initialized, module)?)?;
    module.add_function(wrap_pyfunction!(library::library_version, module)?)?;
    module.add_function(wrap_pyfunction!(comm::world, module)?)?;
    module.add_function(wrap_pyfunction!(comm::whole_world, module)?)?;
    module.add_function(wrap_pyfunction!(comm::of_handle, module)?)?;
    module.add_function(wrap_pyfunction!(end_epoch, module)?)?;
    module.add_function(wrap_pyfunction!(end_epoch_address, module)?)?;
    module.add_function(wrap_pyfunction!(told_calls, module)?)?;
    module.add_function(wrap_pyfunction!(calls_address, module)?)?;
    module.add_function(wrap_pyfunction!(break_off_address, module)?)?;
    module.add_function(wrap_pyfunction!(set_largest_count, module)?)?;
    module.add_function(wrap_pyfunction!(is_large, module)?)?;
    Ok(())
}
