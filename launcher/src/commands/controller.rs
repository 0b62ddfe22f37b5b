//! `ipclusterz controller`, hidden: the process that a launcher starts by running its own binary again.
//!
//! Standard output is one line of JSON: the runtime's `Ready`, or an error as `--json` prints it.

use crate::arguments::ControllerArguments;
use crate::failures;
use crate::output::{announce, print_line, versioned};
use crate::service_log;
use ipclusterz_base::connection::ControllerProcess;
use ipclusterz_host::exit_code::Exit;
use ipclusterz_host::failure::Failure;
use ipclusterz_profile::environment::Variables;
use ipclusterz_profile::settings::seconds;
use ipclusterz_runtime::controller::{self, ControllerConfig};
use ipclusterz_runtime::transport::bulk::driver::Manner;
use ipclusterz_runtime::transport::bulk::payload::Payload;
use std::os::unix::process::parent_id;
use std::time::Duration;

/// Runs a controller until it is told to stop.
pub fn run(arguments: ControllerArguments, variables: &Variables) -> Result<(), Failure> {
    let mut full = false;
    let mut limits = controller::Limits::default();
    limits.log.bytes = arguments.log_size.unwrap_or(limits.log.bytes);
    limits.log.files = arguments.log_files.unwrap_or(limits.log.files);
    let result = service_log::start(variables, limits.log).and_then(|log| {
        if let Some(seconds) = arguments.no_engine_grace {
            limits.no_engine_grace = Duration::from_secs(seconds);
        }
        if let Some(grace) = arguments.session_grace {
            limits.session_grace = seconds("--session-grace", grace)?;
        }
        if let Some(grace) = arguments.engine_grace {
            limits.engine_grace = seconds("--engine-grace", grace)?;
        }
        if let Some(wait) = arguments.wait_for_engines {
            limits.wait_for_engines = seconds("--wait-for-engines", wait)?;
        }
        limits.crash_limit = arguments.crash_limit.unwrap_or(limits.crash_limit);
        (limits.scheme, limits.prefetch) = (arguments.scheme.unwrap_or_default(), arguments.prefetch);
        if let Some(grace) = arguments.kill_grace {
            limits.kill_grace = seconds("--kill-grace", grace)?;
        }
        if let Some(time) = arguments.keep_results {
            limits.keep.time = kept_for("--keep-results", time)?;
        }
        if let Some(time) = arguments.keep_events {
            limits.events.time = kept_for("--keep-events", time)?;
        }
        limits.events.bytes = arguments.keep_events_bytes.unwrap_or(limits.events.bytes);
        limits.keep.bytes = arguments.keep_results_bytes.unwrap_or(limits.keep.bytes);
        let manner = Manner { payload: payload(&arguments), compress: arguments.compress };
        let config = ControllerConfig {
            cluster: arguments.cluster,
            run_id: arguments.run_id,
            directory: arguments.directory,
            local: !arguments.no_local,
            listen: arguments.listen,
            manner,
            advertise: arguments.advertise,
            limits,
            journal: arguments.journal,
            resume: arguments.resume,
            keeper: arguments.restart.then(|| ControllerProcess::of(parent_id())).flatten(),
        };
        if config.directory.to_str().is_none() {
            let message = format!("--directory: {:?} is not UTF-8 text, as connection files are", config.directory);
            return Err(Failure::new(Exit::Usage, message));
        }
        let result = controller::run(config, announce).map_err(|error| {
            full = error.is_full_disk();
            failures::of_controller(error)
        });
        log.flush(service_log::LAST_LINES);
        result
    });
    if let Err(failure) = &result {
        let mut said = failure.to_json();
        said["error"]["disk_is_full"] = full.into();
        print_line(&versioned(said));
    }
    result
}

/// A length of time, which may be none.
fn kept_for(option: &str, time: f64) -> Result<Duration, Failure> {
    Duration::try_from_secs_f64(time).map_err(|_| {
        Failure::new(Exit::Usage, format!("{option}: {time} is not a number of seconds")).with_hint("give 0 or more")
    })
}

/// What protects large payloads on TCP.
fn payload(arguments: &ControllerArguments) -> Payload {
    match (arguments.plain, arguments.encrypt_tunnels) {
        (true, _) => Payload::Plain,
        (false, true) => Payload::Sealed,
        (false, false) => Payload::ThroughSsh,
    }
}
