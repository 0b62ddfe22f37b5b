//! `ipclusterz tasks purge`.

use super::history::{FAILED, History, OPEN};
use super::selection::filter;
use crate::arguments::PurgeArguments;
use crate::report::tasks::PurgeReport;
use ipclusterz_host::exit_code::Exit;
use ipclusterz_host::failure::Failure;
use ipclusterz_host::units::count;
use ipclusterz_runtime::wire::message::{Ask, Filter};
use std::io::{self, BufRead, IsTerminal, Write};

/// Drops what is kept. Asks first, unless that is not wanted.
pub fn run(
    arguments: &PurgeArguments,
    connect: impl FnOnce() -> Result<History, Failure>,
    json: bool,
) -> Result<PurgeReport, Failure> {
    let filter = filter(&arguments.filter, None)?;
    if let Some(open) = filter.states.iter().find(|state| OPEN.contains(&state.as_str())) {
        let message = format!("--state: tasks that are {open} have not ended, and nothing is kept of them");
        return Err(Failure::new(Exit::Usage, message).with_hint("`ipclusterz tasks abort` gives tasks up"));
    }
    let asks = !arguments.yes;
    if asks && (json || !io::stdin().is_terminal()) {
        let message = "purge drops results for good, and there is no terminal to ask on";
        return Err(Failure::new(Exit::Usage, message).with_hint("--yes says that you mean it"));
    }
    let history = connect()?;
    let session = filter.session.as_deref().map(|typed| history.session(typed)).transpose()?;
    let filter = Filter { session, ..filter };
    if asks {
        let mut states = filter.states.clone();
        if states.is_empty() {
            states = FAILED.into_iter().chain(["ok"]).map(str::to_owned).collect();
        }
        let meant = history.tasks(Filter { states, ..filter.clone() })?.len() as u64;
        if meant == 0 || !agreed(meant)? {
            return Ok(PurgeReport { cluster: history.cluster, purged: 0 });
        }
    }
    let purged = history.ask(Ask::Purge(filter))?.found.purged;
    Ok(PurgeReport { cluster: history.cluster, purged })
}

fn agreed(meant: u64) -> Result<bool, Failure> {
    let ask = || -> io::Result<String> {
        let mut stderr = io::stderr();
        write!(stderr, "drop what is kept of {}? [y/N] ", count(meant, "task"))?;
        stderr.flush()?;
        let mut line = String::new();
        io::stdin().lock().read_line(&mut line)?;
        Ok(line)
    };
    let answer = ask().map_err(Failure::io("asking"))?;
    Ok(matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
}
