//! `ipclusterz agent`, hidden: the process that what starts engines on a host starts beside them, if the controller is elsewhere.
//!
//! Standard output is one line of JSON: the runtime's `Ready`, an empty table where no agent is needed, or an error as `--json`
//! prints it. It ends when standard input does,
//! which is the leash of whoever has started it, and no engine is connected.

use crate::arguments::AgentArguments;
use crate::cleanup::folders;
use crate::output::{announce, print_line, versioned};
use crate::service_log;
use ipclusterz_base::logs::LogLimit;
use ipclusterz_host::exit_code::Exit;
use ipclusterz_host::failure::Failure;
use ipclusterz_host::owned::OwnedFolder;
use ipclusterz_profile::environment::Variables;
use ipclusterz_profile::settings::seconds;
use ipclusterz_runtime::agent::{self, AgentConfig, AgentError};

/// Runs an agent until nobody needs it.
pub fn run(arguments: &AgentArguments, variables: &Variables) -> Result<(), Failure> {
    let result = service_log::start(variables, LogLimit::default()).and_then(|log| {
        let result = serve(arguments);
        log.flush(service_log::LAST_LINES);
        result
    });
    if let Err(failure) = &result {
        print_line(&versioned(failure.to_json()));
    }
    result
}

fn serve(arguments: &AgentArguments) -> Result<(), Failure> {
    // Those of agents that were killed: nobody else comes by here.
    for error in folders::remove_left(None) {
        tracing::warn!("{error}");
    }
    let (folder, segments) = OwnedFolder::with_segments("agent", "an agent")?;
    let config = AgentConfig {
        connection_file: arguments.connection_file.clone(),
        timeout: seconds("--timeout", arguments.timeout)?,
        sockets: folder.path().to_owned(),
        segments,
        leash: libc::STDIN_FILENO,
    };
    match agent::run(&config, announce) {
        Err(AgentError::NotNeeded) => {
            announce(&serde_json::json!({}));
            Ok(())
        }
        result => result.map_err(failed),
    }
}

fn failed(error: AgentError) -> Failure {
    let hint = match &error {
        AgentError::ConnectionFile(error) => error.hint(),
        AgentError::Places(error) => error.hint(),
        _ => String::new(),
    };
    Failure::new(Exit::Unreachable, error.to_string()).with_hint(hint)
}
