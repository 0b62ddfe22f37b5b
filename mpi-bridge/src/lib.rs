//! Extension module `ipclusterz_mpi._native`: MPI for the engines of ipclusterz, by rsmpi's binding of one library.
//!
//! It translates; what users see is `ipclusterz.mpi`, written in Python. Which library it is loaded with is decided by the
//! package around it, in `python/ipclusterz_mpi/`. In reading order:
//!
//! - [`names`], [`library`], [`failure`]: MPI's macros, the library itself, return codes as exceptions
//! - [`buffers`], [`layout`]: Python's buffers as MPI sees them
//! - [`calls`], [`turns`], [`state`]: which call each communicator is in; who has left what a group does together; a
//!   communicator that may break
//! - [`status`], [`pending`], [`waiting`]: an operation that goes on, and a wait that can be given up
//! - [`environment`]: MPI's beginning and end, shared with mpi4py
//! - [`request`], [`handle`], [`comm`]: a request and a communicator, as Python has them
//! - [`making`], [`groups`]: communicators made of others
//! - [`parts`], [`collective`], [`varying`], [`reduction`], [`allreduce`], [`slots`]: collective calls
//! - [`addresses`]: what the engine's I/O thread may call without the GIL
//! - [`point`], [`message`]: messages from one rank to another

mod addresses;
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
mod turns;
mod varying;
mod waiting;

use pyo3::prelude::*;

/// Says that an epoch, and those before it, are over, and why.
#[pyfunction]
fn end_epoch(epoch: u64, why: &str) {
    state::end_epoch(epoch, why);
}

/// Which collective call each communicator is in, as JSON; see `calls.rs`.
#[pyfunction]
#[pyo3(name = "calls")]
fn told_calls() -> String {
    calls::told()
}

/// The group's communicator of this name was freed: the next one is another.
#[pyfunction]
fn forget(name: &str) {
    calls::forget(name);
}

/// An epoch has these members, ranks of MPI_COMM_WORLD.
#[pyfunction]
fn set_members(ranks: Vec<u32>) {
    turns::set_members(ranks);
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

/// The version of what ipclusterz uses of this module: its functions and the arguments of `addresses`. `bridge.py` of
/// ipclusterz refuses another one, which may have been installed apart.
const INTERFACE: u32 = 2;

#[pymodule]
fn _native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("VERSION", env!("CARGO_PKG_VERSION"))?;
    module.add("INTERFACE", INTERFACE)?;
    module.add("FAMILY", names::family())?;
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
    module.add_function(wrap_pyfunction!(told_calls, module)?)?;
    module.add_function(wrap_pyfunction!(forget, module)?)?;
    module.add_function(wrap_pyfunction!(set_members, module)?)?;
    module.add_function(wrap_pyfunction!(addresses::addresses, module)?)?;
    module.add_function(wrap_pyfunction!(set_largest_count, module)?)?;
    module.add_function(wrap_pyfunction!(is_large, module)?)?;
    Ok(())
}
