//! `ipclusterz controller`, hidden: the process that a launcher starts by running its own binary again.
//!
//! Standard output is one line of JSON: the runtime's `Ready`, or an error as `--json` prints it.

use crate::arguments::ControllerArguments;
use crate::failures;
use crate::output::versioned;
use ipclusterz_host::exit_code::Exit;
use ipclusterz_host::failure::Failure;
use ipclusterz_profile::environment::{LOG, Variables};
use ipclusterz_profile::settings::seconds;
use ipclusterz_runtime::controller::{self, ControllerConfig, Ready};
use std::io::Write;
use std::time::Duration;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

/// Runs a controller until it is told to stop.
pub fn run(arguments: ControllerArguments, variables: &Variables) -> Result<(), Failure> {
    let result = filter(variables).and_then(|filter| {
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(false).init();
        let mut limits = controller::Limits::default();
        if let Some(seconds) = arguments.no_engine_grace {
            limits.no_engine_grace = Duration::from_secs(seconds);
        }
        if let Some(grace) = arguments.session_grace {
            limits.session_grace = seconds("--session-grace", grace)?;
        }
        let config = ControllerConfig {
            cluster: arguments.cluster,
            run_id: arguments.run_id,
            directory: arguments.directory,
            local: !arguments.no_local,
            listen: arguments.listen,
            advertise: arguments.advertise,
            limits,
        };
        if config.directory.to_str().is_none() {
            let message = format!("--directory: {:?} is not UTF-8 text, as connection files are", config.directory);
            return Err(Failure::new(Exit::Usage, message));
        }
        controller::run(config, announce).map_err(failures::of_controller)
    });
    if let Err(failure) = &result {
        print(&versioned(failure.to_json()));
    }
    result
}

/// What is logged.
fn filter(variables: &Variables) -> Result<EnvFilter, Failure> {
    let wanted = variables.get(LOG).unwrap_or("info");
    // A word that is no level would be taken for the name of a module, and nothing else would be logged.
    let is_level = wanted.contains(['=', ',']) || wanted.parse::<LevelFilter>().is_ok();
    EnvFilter::try_new(wanted).ok().filter(|_| is_level).ok_or_else(|| {
        Failure::new(Exit::Usage, format!("{LOG}: there is no level {wanted:?}"))
            .with_hint("there are error, warn, info and debug")
    })
}

fn announce(ready: &Ready) {
    match serde_json::to_value(ready) {
        Ok(value) => print(&format!("{value}\n")),
        Err(error) => tracing::error!(%error, "the addresses cannot be encoded"),
    }
}

fn print(line: &str) {
    let mut output = std::io::stdout();
    if let Err(error) = output.write_all(line.as_bytes()).and_then(|()| output.flush()) {
        // The launcher has exited, and the kernel is about to kill this process because of that.
        tracing::error!(%error, "nobody reads this controller's standard output");
    }
}
