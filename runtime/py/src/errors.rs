//! The runtime's errors as classes of `ipclusterz.error`, which are written in Python.

use ipclusterz_base::connection::ConnectionError;
use ipclusterz_base::words::without_codes;
use ipclusterz_runtime::client::ClientError;
use ipclusterz_runtime::engine::EngineError;
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;

/// An instance of `ipclusterz.error.<class>`.
pub fn raise(py: Python<'_>, class: &str, message: &str, hint: &str) -> PyErr {
    let message = without_codes(message);
    let make = || py.import("ipclusterz.error")?.getattr(class)?.call1((&message, hint));
    match make() {
        Ok(error) => PyErr::from_value(error),
        Err(_) => PyRuntimeError::new_err(message),
    }
}

/// A connection file that cannot be used.
pub fn of_connection(py: Python<'_>, error: &ConnectionError) -> PyErr {
    raise(py, "ConnectionFileError", &error.to_string(), error.hint())
}

/// A call of a client that failed.
pub fn of_client(py: Python<'_>, error: &ClientError) -> PyErr {
    let (class, hint) = match error {
        ClientError::Dial(_) => ("ControllerUnreachable", "is the cluster running? see `ipclusterz list`"),
        ClientError::WrongRole(_) => ("AuthenticationError", "use client.json, which lies beside it"),
        ClientError::Refused(_) => {
            ("AuthenticationError", "keys change with every start of a cluster: copy its connection file again")
        }
        ClientError::Unreachable(..) | ClientError::Timeout(_) => {
            ("ControllerUnreachable", "is the cluster running? see `ipclusterz status`")
        }
        ClientError::Silent(_) => ("ControllerUnreachable", "see `ipclusterz status`, and the controller's log"),
        ClientError::Disconnected(_) => {
            ("ControllerUnreachable", "see `ipclusterz status`; a new Client() connects again")
        }
        ClientError::Closed | ClientError::Forked(_) => ("ClientClosed", "make a new Client()"),
        ClientError::TooLarge { .. } | ClientError::NoMemory(_) => {
            ("PayloadTooLarge", "send it in parts, or let the engines load or make the data themselves")
        }
        ClientError::System(..) => ("IpclusterzError", "see `ulimit -a`"),
    };
    raise(py, class, &error.to_string(), hint)
}

/// An engine that could not register.
pub fn of_engine(py: Python<'_>, error: &EngineError) -> PyErr {
    match error {
        EngineError::ConnectionFile(error) => of_connection(py, error),
        EngineError::WrongRole(..) => {
            raise(py, "AuthenticationError", &error.to_string(), "use engine.json, which lies beside it")
        }
        EngineError::Refused(_) | EngineError::Dial(_) => {
            raise(py, "ControllerUnreachable", &error.to_string(), "is the cluster running? see `ipclusterz list`")
        }
        EngineError::System(..) => raise(py, "IpclusterzError", &error.to_string(), "see `ulimit -a`"),
    }
}
