//! Ends a cluster: asks the controller, then sends SIGTERM, then SIGKILL, each with a deadline.

use super::events::{self, Event};
use super::inputs::Ending;
use super::names::{name_ranges, took_too_long};
use super::run::Supervisor;
use crate::journals;
use ipclusterz_base::ids::EngineId;
use ipclusterz_base::places::PlacesError;
use ipclusterz_base::private;
use ipclusterz_host::failure::Failure;
use ipclusterz_host::signals::Signal;
use ipclusterz_launchers::cluster::handle::Phase;
use ipclusterz_launchers::cluster::logs::open_log;
use ipclusterz_launchers::record::{JobRecord, SetRecord};
use ipclusterz_launchers::set::{EngineSet, Force, SetEvent, SetId};
use std::collections::BTreeSet;
use std::io::Write;
use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant};

/// How long the controller may take to tell its engines.
const POLITE: Duration = Duration::from_secs(2);
/// How long processes may take to exit on SIGTERM.
const TERMINATE: Duration = Duration::from_secs(1);
/// How long the kernel may take to act on SIGKILL. Only a process that hangs in a system call takes longer.
const KILL: Duration = Duration::from_secs(5);
/// How long a queue or another host may take for any of these steps.
const ELSEWHERE: Duration = Duration::from_secs(15);

impl Supervisor<'_> {
    /// Ends all processes and jobs, and removes all files. If a set cannot be ended, its record stays for a later try.
    pub(super) fn shut_down(&mut self, ending: Option<&Ending>) -> Result<(), Failure> {
        self.set_phase(Phase::Stopping);
        let is_lost = self.plan.hold.is_lost();
        // What ends in order removes files, by their names.
        self.hurry |= is_lost;
        let records = self.launcher.as_ref().map(|launcher| launcher.records()).unwrap_or_default();
        let elsewhere = records.iter().any(|record| !record.job.is_here());
        // How a job ended that is cancelled while it ends is not known for sure.
        let is_job = |record: &&SetRecord| matches!(record.job, JobRecord::Batch(_));
        let jobs: BTreeSet<SetId> = records.iter().filter(is_job).map(|record| record.set.id).collect();
        let mut left: BTreeSet<SetId> = records.into_iter().map(|record| record.set.id).collect();
        let politely = self.core.is_ready() && !is_lost && !matches!(ending, Some(Ending::ControllerDied { .. }));
        // A controller that a client shut down has told the engines before it exited.
        let told = matches!(ending, Some(Ending::ShutDown));
        let asked = (politely && self.controller.is_running() && self.request_shutdown()) || told;
        if asked {
            self.wait_for_end(&mut left, self.core.end_timeout(), true);
        }
        let had_time = asked && !self.hurry;
        let mut killed = BTreeSet::new();
        for (force, patience) in [(Force::Terminate, TERMINATE), (Force::Kill, KILL)] {
            if (self.hurry && force == Force::Terminate) || self.is_over(&left) {
                continue;
            }
            self.controller.signal(force.signal());
            if let Some(program) = &self.plan.program {
                program.signal(force.signal());
            }
            if let Some(launcher) = &mut self.launcher {
                left.iter().for_each(|set| launcher.end(*set, force));
            }
            let patience = if elsewhere { ELSEWHERE } else { patience };
            killed.extend(self.wait_for_end(&mut left, patience, force != Force::Kill));
        }
        killed.retain(|set| !jobs.contains(set));
        if had_time {
            self.tell_killed(&killed);
        }
        if !left.is_empty() {
            self.talk.warn(format!(
                "{} could not be ended; `ipclusterz stop --cluster {}` or `ipclusterz gc` tries again",
                if left.len() == 1 { "one set of engines" } else { "some sets of engines" },
                self.plan.settings.cluster
            ));
            self.update_record();
            return Ok(());
        }
        if is_lost || self.plan.hold.is_lost() {
            return Ok(self.remove_own_folders()?);
        }
        // Or its file would be written once more.
        self.alive = None;
        if let Some(kept) = journals::remove_files_of(&self.plan.folder, &self.plan.handle)? {
            self.talk.warn(kept.line());
        }
        Ok(())
    }

    /// What is this run's alone, of a cluster that is another one's.
    fn remove_own_folders(&self) -> Result<(), PlacesError> {
        let handle = &self.plan.handle;
        [&handle.socket_dir, &handle.shared_memory_dir].into_iter().try_for_each(|folder| private::remove(folder))
    }

    /// Says which engines were killed because their end took too long: to the user, in the log of each, and in a log that
    /// `ipclusterz stop` shows.
    fn tell_killed(&mut self, killed: &BTreeSet<SetId>) {
        let sets: Vec<EngineSet> = killed.iter().filter_map(|id| Some(self.core.set(*id)?.set.clone())).collect();
        let engines: BTreeSet<EngineId> = sets.iter().flat_map(EngineSet::engines).collect();
        if engines.is_empty() {
            return;
        }
        self.core.failed = true;
        let many = engines.len() > 1;
        let (names, were) = (name_ranges(engines.into_iter()), if many { "were" } else { "was" });
        let line = format!("{names} {were} killed: {}", took_too_long(many, self.core.end_timeout()));
        let logs = sets.iter().filter_map(|set| self.launcher.as_ref().map(|launcher| launcher.log(set)));
        for log in logs.filter(|log| log.exists()).chain([self.plan.folder.logs().killed()]) {
            // The user is told in any case.
            let _ = open_log(&log).and_then(|mut log| writeln!(log, "{line}"));
        }
        self.talk.warn(line);
    }

    fn request_shutdown(&mut self) -> bool {
        let Some(client) = self.connection.take() else { return false };
        events::request_shutdown(client, POLITE, self.sender.clone()).is_ok()
    }

    fn is_over(&mut self, left: &BTreeSet<SetId>) -> bool {
        let program = self.plan.program.as_mut().is_some_and(|program| !program.has_ended() && program.is_running());
        left.is_empty() && !self.controller.is_running() && !program
    }

    /// Waits until nothing is left or `patience` is over. With `may_hurry`, Ctrl-C ends the wait too. Returns the sets
    /// that ended and not in order.
    fn wait_for_end(&mut self, left: &mut BTreeSet<SetId>, patience: Duration, may_hurry: bool) -> BTreeSet<SetId> {
        let deadline = Instant::now() + patience;
        let mut disorderly = BTreeSet::new();
        loop {
            // An error means that the child cannot be waited for. SIGKILL comes at the end in any case.
            let _ = self.controller.poll();
            for (set, event) in self.launcher.as_mut().map(|launcher| launcher.poll()).unwrap_or_default() {
                if let SetEvent::Ended(end) = event {
                    left.remove(&set);
                    disorderly.extend((!end.orderly).then_some(set));
                }
            }
            if self.is_over(left) || (self.hurry && may_hurry) {
                return disorderly;
            }
            let poll = self.launcher.as_ref().and_then(|launcher| launcher.next_poll());
            let until = poll.map_or(deadline, |poll| poll.min(deadline));
            match self.receiver.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(Event::Signal(Signal::Interrupt)) => {
                    self.talk.say("killing all that is left");
                    self.hurry = true;
                }
                Ok(Event::ShutdownAnswered(Err(reason))) => {
                    self.talk.say(format!("the controller did not shut down: {reason}"));
                    return disorderly;
                }
                Ok(_) => {}
                Err(RecvTimeoutError::Timeout) if Instant::now() < deadline => {}
                Err(_) => return disorderly,
            }
        }
    }
}
