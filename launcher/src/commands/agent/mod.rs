//! `ipclusterz agent`, hidden: the process that what starts engines on a host starts beside them, if the controller is elsewhere.
//!
//! Standard output is one line of JSON: the runtime's `Ready`, an empty table where no agent is needed, or an error as `--json`
//! prints it. Where another process of the host is the agent already, it is that one's line, and this one ends. Else it ends when
//! standard input does, which is the leash of whoever has started it, and no engine is connected.

mod meeting;

use self::meeting::{Meeting, meet};
use crate::arguments::AgentArguments;
use crate::cleanup::folders;
use crate::output::{print_line, versioned};
use crate::service_log;
use ipclusterz_base::connection::ConnectionFile;
use ipclusterz_base::logs::LogLimit;
use ipclusterz_base::private::{self, How};
use ipclusterz_host::exit_code::Exit;
use ipclusterz_host::failure::Failure;
use ipclusterz_host::owned::OwnedFolder;
use ipclusterz_host::spawn::spawn_alone;
use ipclusterz_profile::environment::Variables;
use ipclusterz_profile::settings::seconds;
use ipclusterz_runtime::agent::{self, AgentConfig, AgentError, Ready};
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

/// Runs an agent until nobody needs it.
pub fn run(arguments: &AgentArguments, variables: &Variables) -> Result<(), Failure> {
    let result = match &arguments.log {
        Some(log) => run_alone(arguments, log),
        None => service_log::start(variables, LogLimit::default()).and_then(|log| {
            let result = be_the_agent(arguments);
            log.flush(service_log::LAST_LINES);
            result
        }),
    };
    if let Err(failure) = &result {
        print_line(&versioned(failure.to_json()));
    }
    result
}

/// Has another process be the agent: nobody's child, in a session of its own, that has nothing open of what started this one.
fn run_alone(arguments: &AgentArguments, log: &Path) -> Result<(), Failure> {
    // Where the cluster's folder is not to be had, it goes without.
    let log = private::open_to_write(log, How::Appending).map_or_else(|_| Stdio::null(), Stdio::from);
    let mut command = Command::new("/proc/self/exe");
    command.arg0("ipclusterz").args(["agent", "--timeout", &arguments.timeout.to_string(), "--connection-file"]);
    command.arg(&arguments.connection_file).stderr(log);
    spawn_alone(command).map(drop).map_err(Failure::io("starting the agent"))
}

fn be_the_agent(arguments: &AgentArguments) -> Result<(), Failure> {
    let file = ConnectionFile::read(&arguments.connection_file).map_err(AgentError::from).map_err(failed)?;
    let deadline = Instant::now() + seconds("--timeout", arguments.timeout)?;
    let met = meet(&meeting_of(&file), deadline).map_err(Failure::io("asking for the agent of this host"))?;
    let listener = match met {
        Meeting::Ours(listener) => listener,
        Meeting::Theirs(line) => {
            print_line(&line);
            return Ok(());
        }
    };
    let result = serve(arguments, &listener);
    if let Err(failure) = &result {
        // A log is kept of what cannot be told.
        let _ = meeting::tell_those_who_wait(&listener, &versioned(failure.to_json()));
    }
    result
}

/// Engines that reach a controller through the same forwards, or directly, share an agent.
fn meeting_of(file: &ConnectionFile) -> String {
    let way = file.addresses.iter().filter(|_| file.forwarded).filter_map(|address| address.rsplit(':').next()).next();
    format!("ipclusterz-agent/{}/{}/{}", file.cluster, file.run_id, way.unwrap_or_default())
}

fn serve(arguments: &AgentArguments, meeting: &UnixListener) -> Result<(), Failure> {
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
    match agent::run(&config, |ready| announce(ready, meeting)) {
        Err(AgentError::NotNeeded) => {
            print_line("{}\n");
            meeting::tell_those_who_wait(meeting, "{}\n").map_err(Failure::io("telling where the agent is"))
        }
        result => result.map_err(failed),
    }
}

/// Tells whoever has started this process, and all that ask, where the agent is.
fn announce(ready: &Ready, meeting: &UnixListener) {
    let line = match serde_json::to_string(ready) {
        Ok(line) => format!("{line}\n"),
        Err(error) => return tracing::error!(%error, "where the agent is cannot be encoded"),
    };
    print_line(&line);
    if let Err(error) = meeting.try_clone().and_then(|meeting| meeting::tell_all(meeting, line)) {
        tracing::warn!("other engines of this host have connections of their own: {error}");
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
