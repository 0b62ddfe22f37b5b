//! Converts errors of the runtime into failures of a command.

use ipclusterz_host::exit_code::Exit;
use ipclusterz_host::failure::Failure;
use ipclusterz_runtime::client::ClientError;
use ipclusterz_runtime::controller::ControllerError;
use ipclusterz_runtime::transport::dial::DialError;

/// A client could not connect, or was refused.
pub fn of_client(error: ClientError) -> Failure {
    let hint = match &error {
        ClientError::Dial(DialError::Place(place)) => place.hint(),
        ClientError::OtherVersion { hint, .. } => hint.clone(),
        _ => String::new(),
    };
    Failure::new(Exit::Unreachable, error.to_string()).with_hint(hint)
}

/// A controller could not start.
pub fn of_controller(error: ControllerError) -> Failure {
    let hint = match &error {
        ControllerError::Bind { .. } => {
            "listen on an address of this host (0.0.0.0 is all of them) and a port that is free (0 is any)".to_owned()
        }
        ControllerError::ConnectionFile(error) => error.hint(),
        ControllerError::Places(error) => error.hint(),
        _ => String::new(),
    };
    Failure::new(Exit::StartFailed, error.to_string()).with_hint(hint)
}
