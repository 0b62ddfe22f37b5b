//! Converts errors of the runtime into failures of a command.

use ipclusterz_host::exit_code::Exit;
use ipclusterz_host::failure::Failure;
use ipclusterz_runtime::client::ClientError;
use ipclusterz_runtime::controller::ControllerError;
use ipclusterz_runtime::journal::JournalError;
use ipclusterz_runtime::transport::dial::DialError;
use std::path::Path;

/// A client could not connect, or was refused.
pub fn of_client(error: ClientError) -> Failure {
    let hint = match &error {
        ClientError::Dial(DialError::Place(place)) => place.hint(),
        ClientError::OtherVersion { hint, .. } => hint.clone(),
        _ => String::new(),
    };
    Failure::new(Exit::Unreachable, error.to_string()).with_hint(hint)
}

/// What to do about a journal that cannot be read.
fn of_journal(error: &JournalError) -> String {
    match error {
        JournalError::Place(error) => error.hint(),
        JournalError::Damaged { path, .. } if is_log(path) => {
            "`ipclusterz start --resume --salvage` cuts it there, keeps a copy, and goes on with what came before"
                .to_owned()
        }
        JournalError::Damaged { .. } => "nothing can be gone on from: the state itself is damaged".to_owned(),
        JournalError::Version { .. } => "take it up with the release of ipclusterz that has written it".to_owned(),
        JournalError::File { .. } => String::new(),
    }
}

fn is_log(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("log-"))
}

/// A controller could not start.
pub fn of_controller(error: ControllerError) -> Failure {
    let hint = match &error {
        ControllerError::Bind { .. } => {
            "listen on an address of this host (0.0.0.0 is all of them) and a port that is free (0 is any)".to_owned()
        }
        ControllerError::ConnectionFile(error) => error.hint(),
        ControllerError::Places(error) => error.hint(),
        ControllerError::Journal(error) => of_journal(error),
        _ => String::new(),
    };
    Failure::new(Exit::StartFailed, error.to_string()).with_hint(hint)
}
