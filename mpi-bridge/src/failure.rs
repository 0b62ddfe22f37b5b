//! Return codes of MPI as Python exceptions: every code is checked, and says its class, its text and the call.

use crate::names;
use mpi::ffi;
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use std::ffi::c_int;

/// What went wrong, without Python.
#[derive(Debug, Clone)]
pub enum Failure {
    /// MPI returned this code from that call.
    Code(c_int, &'static str),
    /// The communicator cannot be used any more; why.
    Broken(&'static str, String),
    /// The deadline passed; the call, the seconds, and which ranks are missing if that is known.
    TimedOut(&'static str, f64, String),
    /// A rank has ended its part of what the group does together, and nobody is to wait for it; which, with which
    /// exception if it was one, and what is said of that.
    Left(&'static str, Option<c_int>, String, String),
    /// A rank of the communicator is gone; why.
    Lost(&'static str, String),
}

/// The result of a call of MPI.
pub fn check(code: c_int, call: &'static str) -> Result<(), Failure> {
    if code == ffi::MPI_SUCCESS as c_int { Ok(()) } else { Err(Failure::Code(code, call)) }
}

/// Names of MPI's error classes, MPI 3.1 section 8.4.
const CLASSES: [(u32, &str); 20] = [
    (ffi::MPI_ERR_BUFFER, "MPI_ERR_BUFFER"),
    (ffi::MPI_ERR_COUNT, "MPI_ERR_COUNT"),
    (ffi::MPI_ERR_TYPE, "MPI_ERR_TYPE"),
    (ffi::MPI_ERR_TAG, "MPI_ERR_TAG"),
    (ffi::MPI_ERR_COMM, "MPI_ERR_COMM"),
    (ffi::MPI_ERR_RANK, "MPI_ERR_RANK"),
    (ffi::MPI_ERR_ROOT, "MPI_ERR_ROOT"),
    (ffi::MPI_ERR_GROUP, "MPI_ERR_GROUP"),
    (ffi::MPI_ERR_OP, "MPI_ERR_OP"),
    (ffi::MPI_ERR_TOPOLOGY, "MPI_ERR_TOPOLOGY"),
    (ffi::MPI_ERR_DIMS, "MPI_ERR_DIMS"),
    (ffi::MPI_ERR_ARG, "MPI_ERR_ARG"),
    (ffi::MPI_ERR_UNKNOWN, "MPI_ERR_UNKNOWN"),
    (ffi::MPI_ERR_TRUNCATE, "MPI_ERR_TRUNCATE"),
    (ffi::MPI_ERR_OTHER, "MPI_ERR_OTHER"),
    (ffi::MPI_ERR_INTERN, "MPI_ERR_INTERN"),
    (ffi::MPI_ERR_IN_STATUS, "MPI_ERR_IN_STATUS"),
    (ffi::MPI_ERR_PENDING, "MPI_ERR_PENDING"),
    (ffi::MPI_ERR_REQUEST, "MPI_ERR_REQUEST"),
    (ffi::MPI_ERR_NO_MEM, "MPI_ERR_NO_MEM"),
];

fn class_of(code: c_int) -> c_int {
    let mut class = code;
    // SAFETY: MPI is initialised where there is a code of its, and the class is ours to write to.
    unsafe { ffi::MPI_Error_class(code, &raw mut class) };
    class
}

fn class_name(class: c_int) -> String {
    // SAFETY: constants of the shim.
    let (failed, revoked) = unsafe { (names::IPZ_ERR_PROC_FAILED, names::IPZ_ERR_REVOKED) };
    let known = CLASSES.iter().find(|(number, _)| c_int::try_from(*number) == Ok(class));
    match known {
        Some((_, name)) => (*name).to_owned(),
        None if class == failed => "MPIX_ERR_PROC_FAILED".to_owned(),
        None if class == revoked => "MPIX_ERR_REVOKED".to_owned(),
        None => format!("class {class}"),
    }
}

fn text_of(code: c_int) -> String {
    let mut text = vec![0_u8; ffi::MPI_MAX_ERROR_STRING as usize + 1];
    let mut length = 0;
    // SAFETY: the buffer is as long as MPI asks for.
    let result = unsafe { ffi::MPI_Error_string(code, text.as_mut_ptr().cast(), &raw mut length) };
    if result != ffi::MPI_SUCCESS as c_int {
        return "no text".to_owned();
    }
    text.truncate(usize::try_from(length).unwrap_or(0));
    String::from_utf8_lossy(&text).trim_end_matches('\0').trim().to_owned()
}

impl Failure {
    /// The library says that a rank is gone, as those with ULFM do.
    pub fn tells_of_loss(&self) -> bool {
        let Failure::Code(code, _) = self else { return false };
        let class = class_of(*code);
        // SAFETY: constants of the shim.
        let losses =
            unsafe { [names::IPZ_ERR_PROC_FAILED, names::IPZ_ERR_PROC_FAILED_PENDING, names::IPZ_ERR_REVOKED] };
        class != -1 && losses.contains(&class)
    }

    /// The exception of `ipclusterz.error`.
    pub fn into_error(self, py: Python<'_>) -> PyErr {
        let made = match &self {
            Failure::Code(code, call) => {
                let class = class_of(*code);
                let text = format!("{call}: {} ({})", text_of(*code), class_name(class));
                raise(py, "MPIError", (text, *call, class_name(class)))
            }
            Failure::Broken(call, why) => {
                let text = format!("{call}: this communicator cannot be used any more: {why}");
                raise(py, "MPIError", (text, *call, "broken"))
            }
            Failure::TimedOut(call, seconds, missing) => {
                raise(py, "MPITimeout", (format!("{call} did not end within {seconds} s{missing}"), *call, "timeout"))
            }
            Failure::Left(call, rank, cause, why) => raised(py, call, *rank, cause, why),
            Failure::Lost(call, why) => raise(py, "RankLost", (format!("{call}: {why}"), *call, "rank lost")),
        };
        made.unwrap_or_else(|error| error)
    }
}

fn raise(py: Python<'_>, class: &str, arguments: (String, &str, impl AsRef<str>)) -> PyResult<PyErr> {
    let (text, call, kind) = arguments;
    let error = py.import("ipclusterz.error")?.getattr(class)?.call1((text, call, kind.as_ref()))?;
    Ok(PyErr::from_value(error))
}

fn raised(py: Python<'_>, call: &str, rank: Option<c_int>, cause: &str, why: &str) -> PyResult<PyErr> {
    let class = py.import("ipclusterz.error")?.getattr("RankRaised")?;
    Ok(PyErr::from_value(class.call1((format!("{call}: {why}"), call, "rank left", rank, cause))?))
}

/// A value that cannot be used.
pub fn bad_value(message: String) -> PyErr {
    PyValueError::new_err(message)
}

/// A type that cannot be used.
pub fn bad_type(message: String) -> PyErr {
    PyTypeError::new_err(message)
}
