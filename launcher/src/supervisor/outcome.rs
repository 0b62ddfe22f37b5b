//! Turns the end of a cluster into the result of the command: an exit code, or a failure with the end of a log.

use super::advice;
use super::inputs::Ending;
use super::names::name_engines;
use super::run::Supervisor;
use super::tails::{end_of, said_in, short_tail};
use crate::clusters::taken_over;
use ipclusterz_base::ids::EngineId;
use ipclusterz_host::exit_code::Exit;
use ipclusterz_host::failure::Failure;
use ipclusterz_host::signals::Signal;
use ipclusterz_launchers::causes;
use ipclusterz_launchers::program::srun;
use ipclusterz_launchers::set::{EngineSet, SetEnd};
use ipclusterz_profile::tables::engines::LauncherKind;
use std::io;
use std::path::Path;

/// How many lines of a log a failure shows.
const TAIL_LINES: usize = 20;
/// What may be the matter with something that takes long and says nothing.
const SLOW: &str = "a slow file system or host? give it more time with --timeout";

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
            Ending::TakenOver => Err(taken_over(&self.plan.settings.cluster)),
            Ending::ShutDown if ready => Ok(Exit::Ok),
            Ending::ShutDown => {
                Err(Failure::new(Exit::Interrupted, "a client shut the cluster down before all engines were ready"))
            }
            Ending::ControllerSilent(patience) => {
                let seconds = patience.as_secs_f64();
                let log = self.tail(&self.plan.folder.logs().controller());
                Err(Failure::new(Exit::Timeout, format!("the controller did not listen within {seconds} s{log}"))
                    .with_hint(SLOW))
            }
            Ending::ControllerDied { how, given_up } => Err(self.controller_failure(how, given_up.as_deref())),
            Ending::SetFailed(set, end) => Err(self.set_failure(set, end)),
            Ending::ProgramEnded => Ok(Exit::Ok),
            Ending::TimedOut(set, missing) => Err(self.timed_out(set, missing)),
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

    fn timed_out(&self, set: &EngineSet, missing: &[EngineId]) -> Failure {
        let seconds = self.plan.settings.timeout.as_secs_f64();
        let halted = self.halted().into_iter().find(|(id, _)| *id == set.id).map(|(_, why)| why);
        let suspended = || self.core.set(set.id).filter(|set| set.suspended)?.said.clone().map(|(said, _)| said);
        let halted = halted.or_else(suspended).map(|why| format!("; {why}")).unwrap_or_default();
        let message = format!("{} did not register within {seconds} s{halted}", name_engines(missing));
        let log = self.launcher.as_ref().map(|launcher| launcher.log(set));
        let hint = causes::in_text(&log.as_deref().map(said_in).unwrap_or_default());
        let hint = hint.map(|cause| cause.hint(&self.plan.python));
        let tail = log.map(|log| self.tail(&log)).unwrap_or_default();
        Failure::new(Exit::Timeout, message + &tail).with_hint(hint.unwrap_or_else(|| SLOW.to_owned()))
    }

    fn set_failure(&self, set: &EngineSet, end: &SetEnd) -> Failure {
        let names = name_engines(&set.engines().collect::<Vec<_>>());
        let python = &self.plan.python;
        let tail = end.log.as_deref().map(|log| self.tail(log)).unwrap_or_default();
        if end.not_started {
            let message = format!("{names} {}{tail}", end.told(set.count > 1));
            let hint = end.hint.clone().or_else(|| Some(end.cause?.hint(python)));
            return Failure::new(Exit::StartFailed, message).with_hint(hint.unwrap_or_default());
        }
        let logged = end.log.as_ref().is_some_and(|log| log.exists());
        let job = self.plan.settings.tables.engines.launcher == LauncherKind::Batch;
        let said = end.log.as_deref().map(said_in).unwrap_or_default();
        let of_srun = srun::hint(&self.plan.settings.tables, &said);
        let cause = advice::of_end(end, &said, logged, job).filter(|_| of_srun.is_none() && end.hint.is_none());
        let run_by = match (cause.is_some_and(advice::is_python), set.count) {
            (false, _) => String::new(),
            (true, 1) => format!("; it was run by {}", python.display()),
            (true, _) => format!("; they were run by {}", python.display()),
        };
        let message = format!("{names} ended before all engines were ready ({}){run_by}{tail}", end.how);
        let hint = end.hint.clone().or(of_srun).or_else(|| Some(cause?.hint(python)));
        Failure::new(Exit::StartFailed, message).with_hint(hint.unwrap_or_default())
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
