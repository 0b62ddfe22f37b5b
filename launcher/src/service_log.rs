//! The log of a process that serves others: a controller, an agent. It goes to standard error.

use ipclusterz_base::logs::{Log, LogLimit, Weight};
use ipclusterz_host::exit_code::Exit;
use ipclusterz_host::failure::Failure;
use ipclusterz_profile::environment::{LOG, Variables};
use std::io::{self, Write};
use std::time::Duration;
use tracing::{Level, Metadata};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::prelude::*;

/// How long the end waits for the last lines of the log to be written.
pub const LAST_LINES: Duration = Duration::from_secs(1);

/// Has `tracing` write to standard error, through a thread that alone waits for it.
pub fn start(variables: &Variables, limit: LogLimit) -> Result<Log, Failure> {
    let filter = filter(variables)?;
    let log = Log::start(libc::STDERR_FILENO).map_err(Failure::io("starting the thread of the log"))?;
    log.set_limit(limit);
    let layer = tracing_subscriber::fmt::layer().with_writer(Writers(log.clone())).with_ansi(false);
    tracing_subscriber::registry().with(layer.with_filter(filter)).init();
    Ok(log)
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
