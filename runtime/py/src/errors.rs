//! The runtime's errors as classes of `ipclusterz.error`, which are written in Python.

use ipclusterz_base::connection::ConnectionError;
use ipclusterz_base::error::PlacesError;
use ipclusterz_base::words::{printable_lines, without_codes};
use ipclusterz_runtime::client::ClientError;
use ipclusterz_runtime::engine::EngineError;
use ipclusterz_runtime::transport::context::Shortage;
use ipclusterz_runtime::transport::dial::DialError;
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// An instance of `ipclusterz.error.<class>`.
pub fn raise(py: Python<'_>, class: &str, message: &str, hint: &str) -> PyErr {
    let message = without_codes(&printable_lines(message));
    let make = || py.import("ipclusterz.error")?.getattr(class)?.call1((&message, hint));
    match make() {
        Ok(error) => PyErr::from_value(error),
        Err(_) => PyRuntimeError::new_err(message),
    }
}

/// What `call` gives; a bug in it is an error like others for Python. See `#[guarded]`.
pub fn guarded<T>(call: impl FnOnce() -> PyResult<T>) -> PyResult<T> {
    catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(|panic| Err(Python::attach(|py| of_bug(py, &*panic))))
}

fn of_bug(py: Python<'_>, panic: &(dyn Any + Send)) -> PyErr {
    let text = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
    let message = format!("this is a bug in ipclusterz: {}", text.unwrap_or("it says no more"));
    let place = concat!("please report it with the line that was printed: ", env!("CARGO_PKG_REPOSITORY"), "/issues");
    raise(py, "InternalError", &message, place)
}

/// A connection file that cannot be used.
pub fn of_connection(py: Python<'_>, error: &ConnectionError) -> PyErr {
    let short = match error {
        ConnectionError::Unreadable { source, .. } | ConnectionError::Place(PlacesError::Io { source, .. }) => {
            Shortage::of_io(source)
        }
        _ => None,
    };
    match short {
        Some(short) => raise(py, "ControllerUnreachable", &format!("{error}: {short}"), SHORT),
        None => raise(py, "ConnectionFileError", &error.to_string(), &error.hint()),
    }
}

/// A call of a client that failed.
pub fn of_client(py: Python<'_>, error: &ClientError) -> PyErr {
    let (class, hint) = match error {
        ClientError::Dial(DialError::Short(_)) | ClientError::System(..) => ("ControllerUnreachable", SHORT),
        ClientError::Crowded(_) => (
            "ControllerUnreachable",
            "close clients that are not needed, or start the cluster where `ulimit -n` is higher",
        ),
        ClientError::Dial(DialError::Place(place)) => {
            return raise(py, "ConnectionFileError", &place.to_string(), &place.hint());
        }
        ClientError::Dial(_) => ("ControllerUnreachable", "is the cluster running? see `ipclusterz list`"),
        ClientError::WrongRole(_) => ("AuthenticationError", "use client.json, which lies beside it"),
        ClientError::Refused(_) => {
            ("AuthenticationError", "keys change with every start of a cluster: copy its connection file again")
        }
        ClientError::OtherVersion { message, hint } => return raise(py, "VersionError", message, hint),
        ClientError::Unreachable(..) | ClientError::Timeout(_) => {
            ("ControllerUnreachable", "is the cluster running? see `ipclusterz status`")
        }
        ClientError::Silent(_) => ("ControllerUnreachable", "see `ipclusterz status`, and the controller's log"),
        ClientError::Disconnected(_) => {
            ("ControllerUnreachable", "see `ipclusterz status`; a new Client() connects again")
        }
        ClientError::Taken(_) => {
            ("SessionTaken", "two clients cannot have one session at a time: give each a name of its own")
        }
        ClientError::NoHistory(_) => ("HistoryError", "see `ipclusterz tasks`, and controller.journal of the profile"),
        ClientError::Closed | ClientError::Forked(_) => ("ClientClosed", "make a new Client()"),
        ClientError::TooLarge { .. } | ClientError::NoMemory(_) => {
            ("PayloadTooLarge", "send it in parts, or let the engines load or make the data themselves")
        }
    };
    raise(py, class, &error.to_string(), hint)
}

const SHORT: &str = "close what is not needed, or raise the limit: see `ulimit -a`";

const NOT_REACHED: &str = "is the cluster running (`ipclusterz list`), and can this host reach it? see controller.listen and \
                           controller.advertise of its profile";

/// An engine that could not register.
pub fn of_engine(py: Python<'_>, error: &EngineError) -> PyErr {
    match error {
        EngineError::ConnectionFile(error) => of_connection(py, error),
        EngineError::WrongRole(..) => {
            raise(py, "AuthenticationError", &error.to_string(), "use engine.json, which lies beside it")
        }
        EngineError::Dial(DialError::Short(_)) | EngineError::System(..) => {
            raise(py, "ControllerUnreachable", &error.to_string(), SHORT)
        }
        EngineError::Dial(DialError::Place(place)) => {
            raise(py, "ConnectionFileError", &place.to_string(), &place.hint())
        }
        EngineError::OtherVersion { message, hint } => raise(py, "VersionError", message, hint),
        EngineError::Refused(_) | EngineError::Dial(_) => {
            raise(py, "ControllerUnreachable", &error.to_string(), NOT_REACHED)
        }
    }
}
