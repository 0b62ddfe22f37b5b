//! `ipclusterz controller`, hidden: the process that a launcher starts by running its own binary again.
//!
//! Standard output is one line of JSON: the runtime's `Ready`, or an error as `--json` prints it.

use crate::arguments::ControllerArguments;
use crate::failures;
use crate::output::versioned;
use ipclusterz_base::connection::ControllerProcess;
use ipclusterz_base::logs::{Log, Weight};
use ipclusterz_host::exit_code::Exit;
use ipclusterz_host::failure::Failure;
use ipclusterz_profile::environment::{LOG, Variables};
use ipclusterz_profile::settings::seconds;
use ipclusterz_runtime::controller::{self, ControllerConfig, Ready};
use std::io::{self, Write};
use std::os::unix::process::parent_id;
use std::time::Duration;
use tracing::{Level, Metadata};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::prelude::*;

/// How long the end waits for the last lines of the log to be written.
const LAST_LINES: Duration = Duration::from_secs(1);

/// Runs a controller until it is told to stop.
pub fn run(arguments: ControllerArguments, variables: &Variables) -> Result<(), Failure> {
    let mut full = false;
    let result = filter(variables).and_then(|filter| {
        let mut limits = controller::Limits::default();
        limits.log.bytes = arguments.log_size.unwrap_or(limits.log.bytes);
        limits.log.files = arguments.log_files.unwrap_or(limits.log.files);
        let log = Log::start(libc::STDERR_FILENO).map_err(Failure::io("starting the thread of the log"))?;
        log.set_limit(limits.log);
        let layer = tracing_subscriber::fmt::layer().with_writer(Writers(log.clone())).with_ansi(false);
        tracing_subscriber::registry().with(layer.with_filter(filter)).init();
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
        if let Some(time) = arguments.keep_results {
            limits.keep.time = Duration::try_from_secs_f64(time).map_err(|_| {
                Failure::new(Exit::Usage, format!("--keep-results: {time} is not a number of seconds"))
                    .with_hint("give 0 or more")
            })?;
        }
        limits.keep.bytes = arguments.keep_results_bytes.unwrap_or(limits.keep.bytes);
        let config = ControllerConfig {
            cluster: arguments.cluster,
            run_id: arguments.run_id,
            directory: arguments.directory,
            local: !arguments.no_local,
            listen: arguments.listen,
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
        log.flush(LAST_LINES);
        result
    });
    if let Err(failure) = &result {
        let mut said = failure.to_json();
        said["error"]["disk_is_full"] = full.into();
        print(&versioned(said));
    }
    result
}

/// What is logged.
fn filter(variables: &Variables) -> Result<Targets, Failure> {
    let wanted = variables.get(LOG).unwrap_or("info");
    // A word that is no level would be taken for the name of a module, and nothing else would be logged.
    let is_level = wanted.contains(['=', ',']) || wanted.parse::<LevelFilter>().is_ok();
    wanted.parse::<Targets>().ok().filter(|_| is_level).ok_or_else(|| {
        Failure::new(Exit::Usage, format!("{LOG}: there is no level {wanted:?}"))
            .with_hint("there are error, warn, info and debug")
    })
}

/// Has `tracing` write to the log.
struct Writers(Log);

/// Takes one line, which `tracing` writes as a whole.
struct LineWriter {
    log: Log,
    weight: Weight,
}

impl<'a> MakeWriter<'a> for Writers {
    type Writer = LineWriter;

    fn make_writer(&'a self) -> LineWriter {
        LineWriter { log: self.0.clone(), weight: Weight::Notice }
    }

    fn make_writer_for(&'a self, about: &Metadata<'_>) -> LineWriter {
        let weight = if *about.level() <= Level::WARN { Weight::Problem } else { Weight::Notice };
        LineWriter { log: self.0.clone(), weight }
    }
}

impl Write for LineWriter {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.log.line(String::from_utf8_lossy(line).into_owned(), self.weight);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
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
