//! The extension module `ipclusterz._core`: translates between Python objects and the runtime crate.
//!
//! Documentation, defaults and types for users are in the Python package; its `_core.pyi` describes this module.
//!
//! 1. [`errors`]: the runtime's errors, and its bugs, as classes of `ipclusterz.error`.
//! 2. [`buffers`]: frames as Python buffers, and the other way round.
//! 3. [`waiting`]: waits that release the GIL and honour Ctrl-C.
//! 4. [`process`]: what a fork must not touch.
//! 5. [`pending`], [`following`], [`client`]: the client.
//! 6. [`engine`]: the engine; [`handover`]: what goes straight from one to another.

mod buffers;
mod client;
mod engine;
mod errors;
mod following;
mod handover;
mod pending;
mod process;
mod waiting;

use ipclusterz_base::release;
use ipclusterz_guard::guarded;
use pyo3::exceptions::PyImportError;
use pyo3::prelude::*;

/// Path of the connection file for clients of a cluster.
#[guarded]
#[pyfunction]
#[pyo3(signature = (cluster))]
fn find_connection_file(py: Python<'_>, cluster: Option<&str>) -> PyResult<String> {
    match ipclusterz_base::connection::find_client_file(cluster) {
        Ok(path) => Ok(path.display().to_string()),
        Err(error) => Err(errors::raise(py, "ConnectionFileError", &error.to_string(), error.hint())),
    }
}

/// How many cores this process may use; with `bound_as`, if it were bound as the process of that pid is, and `None` if
/// that cannot be told.
#[guarded]
#[pyfunction]
#[pyo3(signature = (bound_as=None))]
fn cores(bound_as: Option<u32>) -> PyResult<Option<usize>> {
    Ok(match bound_as {
        Some(pid) => ipclusterz_base::cores::available_as(pid),
        None => Some(ipclusterz_base::cores::available()),
    })
}

/// Has this process take memory of a NUMA node while there is some. False: that cannot be done.
#[guarded]
#[pyfunction]
fn prefer_memory_of(node: u32) -> PyResult<bool> {
    Ok(ipclusterz_base::cores::prefer_memory_of(node))
}

/// Makes a folder and those missing above it, and refuses one that is not this user's alone.
#[pyfunction]
fn make_private(py: Python<'_>, path: std::path::PathBuf) -> PyResult<()> {
    let made = ipclusterz_base::private::make_private_dir(&path);
    made.map_err(|error| errors::raise(py, "IpclusterzError", &error.to_string(), &error.hint()))
}

/// Refuses Python files of another release: one side would miss names of the other, or take them for something else.
fn check_files(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let package = module.py().import("ipclusterz")?;
    let files: String = package.getattr("__version__")?.extract()?;
    if files == release::number() {
        return Ok(());
    }
    let folder = package.filename()?;
    Err(PyImportError::new_err(format!(
        "this ipclusterz is half of one release and half of another: the Python files are {files}, and the extension module \
         is {} ({folder}); reinstall it in this Python",
        release::number()
    )))
}

#[pymodule]
mod _core {
    use pyo3::prelude::*;

    #[pymodule_export]
    use super::buffers::Buffer;
    #[pymodule_export]
    use super::client::Client;
    #[pymodule_export]
    use super::cores;
    #[pymodule_export]
    use super::engine::{Engine, Task, end_with_parent};
    #[pymodule_export]
    use super::find_connection_file;
    #[pymodule_export]
    use super::following::Follower;
    #[pymodule_export]
    use super::handover::{give, take};
    #[pymodule_export]
    use super::make_private;
    #[pymodule_export]
    use super::pending::{Pending, Reply};
    #[pymodule_export]
    use super::prefer_memory_of;

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("VERSION", super::release::number())?;
        module.add("WIRE_VERSION", super::release::wire_version())?;
        super::check_files(module)
    }
}
