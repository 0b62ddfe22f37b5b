//! Turns the end of a cluster into the result of the command: an exit code, or a failure with the end of a log.

use super::inputs::Ending;
use super::names::name_engines;
use super::run::Supervisor;
use super::tails::{end_of, short_tail};
use ipclusterz_host::exit_code::Exit;
use ipclusterz_host::failure::Failure;
use ipclusterz_host::hints;
use ipclusterz_host::signals::Signal;
use ipclusterz_launchers::program::srun;
use ipclusterz_launchers::set::{EngineSet, SetEnd};
use std::io;
use std::path::Path;

/// How many lines of a log a failure shows.
const TAIL_LINES: usize = 20;

impl Supervisor<'_> {
    /// The result of the command for this ending.
    pub(super) fn outcome(&self, ending: &Ending) -> Result<Exit, Failure> {
        let ready = self.core.is_ready();
        match ending {
            Ending::Signal(signal) if !ready => {
                Err(Failure::new(Exit::Interrupted, format!("{} before all engines were ready", signal.name())))
            }
            Ending::Signal(Signal::Interrupt) => Ok(Exit::Interrupted),
            Ending::Signal(_) | Ending::ParentGone => Ok(Exit::Ok),
            Ending::ShutDown if ready => Ok(Exit::Ok),
            Ending::ShutDown => {
                Err(Failure::new(Exit::Interrupted, "a client shut the cluster down before all engines were ready"))
            }
            Ending::ControllerSilent(patience) => {
                let seconds = patience.as_secs_f64();
                let log = self.tail(&self.plan.folder.logs().controller());
                Err(Failure::new(Exit::Timeout, format!("the controller did not listen within {seconds} s{log}"))
                    .with_hint("a slow file system or host? give it more time with --timeout"))
            }
            Ending::ControllerDied { how, given_up } => Err(self.controller_failure(how, given_up.as_deref())),
            Ending::SetFailed(set, end) => Err(self.set_failure(set, end)),
            Ending::ProgramEnded => Ok(Exit::Ok),
            Ending::TimedOut(set, missing) => {
                let seconds = self.plan.settings.timeout.as_secs_f64();
                let halted = self.halted().into_iter().find(|(id, _)| *id == set.id);
                let halted = halted.map(|(_, why)| format!("; {why}")).unwrap_or_default();
                let message = format!("{} did not register within {seconds} s{halted}", name_engines(missing));
                let log = self.launcher.as_ref().map(|launcher| self.tail(&launcher.log(set))).unwrap_or_default();
                Err(Failure::new(Exit::Timeout, message + &log)
                    .with_hint("a slow file system or host? give it more time with --timeout"))
            }
        }
    }

    fn controller_failure(&self, how: &str, given_up: Option<&str>) -> Failure {
        let log = self.plan.folder.logs().controller();
        if let Some(failure) = &self.refusal {
            let mut failure = failure.clone();
            failure.message += &short_tail(&log);
            return failure;
        }
        let exit = if self.core.is_ready() { Exit::Failure } else { Exit::StartFailed };
        let given_up = given_up.map(|why| format!("; it is not started again: {why}")).unwrap_or_default();
        Failure::new(exit, format!("the controller has died ({how}){given_up}{}", self.tail(&log)))
    }

    fn set_failure(&self, set: &EngineSet, end: &SetEnd) -> Failure {
        let tail = end.log.as_deref().map(|log| self.tail(log)).unwrap_or_default();
        let names = name_engines(&set.engines().collect::<Vec<_>>());
        if end.not_started {
            let message = format!("{names} {}", end.told(set.count > 1));
            return Failure::new(Exit::StartFailed, message).with_hint(end.hint.clone().unwrap_or_default());
        }
        let python = self.plan.python.display();
        let message = format!(
            "{names} ended before all engines were ready ({}); {} run by {python}{tail}",
            end.how,
            if set.count == 1 { "it was" } else { "they were" }
        );
        let hint = if tail.contains("No module named ipclusterz") || tail.contains("No module named 'ipclusterz'") {
            hints::package_for(&self.plan.python)
        } else if let Some(hint) = srun::hint(&self.plan.settings.tables, &tail) {
            hint
        } else if tail.contains("error: ") {
            // The engine itself said what is wrong.
            String::new()
        } else if end.log.is_some() {
            format!("does `{python} -m ipclusterz.engine --help` work? else {}", hints::PYTHON)
        } else {
            String::new()
        };
        Failure::new(Exit::StartFailed, message).with_hint(hint)
    }

    /// The end of a log as the continuation of a message.
    fn tail(&self, log: &Path) -> String {
        end_of(log, TAIL_LINES).unwrap_or_else(|error| match error {
            Some(error) if error.kind() == io::ErrorKind::NotFound => format!("; there is no {} yet", log.display()),
            Some(error) => format!("; cannot read {}: {error}", log.display()),
            None => format!("; {} is empty", log.display()),
        })
    }
}
