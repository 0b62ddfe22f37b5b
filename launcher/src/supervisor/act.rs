//! Carries out the core's actions and the requests of other commands, with the launcher, the controller and the record.

use super::events;
use super::inputs::{Action, Input};
use super::restarting::CannotRestart;
use super::run::{OnReady, Supervisor};
use super::set::Set;
use crate::failures;
use crate::guard::Guard;
use crate::report::progress::Progress;
use crate::report::{AcceptedReport, StartReport};
use crate::requests::{self, Change, Scaled, Scaling};
use crate::talk::Message;
use ipclusterz_base::ids::EngineId;
use ipclusterz_host::exit_code::Exit;
use ipclusterz_host::failure::Failure;
use ipclusterz_host::limits;
use ipclusterz_launchers::cluster::handle::Phase;
use ipclusterz_launchers::cluster::logs::open_log;
use ipclusterz_launchers::contract::{Launcher, LostEngine, Vacated};
use ipclusterz_launchers::rank_loss::RankLoss;
use ipclusterz_launchers::record::JobRecord;
use ipclusterz_launchers::set::{EngineSet, SetEnd, SetId};
use ipclusterz_profile::tables::engines::LauncherKind;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// How long the controller may take to report how busy engines are.
const STATUS_PATIENCE: Duration = Duration::from_secs(5);

impl Supervisor<'_> {
    /// Starts the first engines. Called when the controller listens, so that engines can register.
    pub(super) fn start_engines(&mut self, launcher: Box<dyn Launcher>) -> Result<Vec<Action>, Failure> {
        let again = self.plan.settings.tables.controller.restart;
        let watched = events::watch_engines(self.plan.folder.client_file(), again, self.sender.clone());
        watched.map_err(Failure::io("starting the thread for the controller's notifications"))?;
        self.listen_for_requests()?;
        // The kernel ends what a launcher has here; their cgroups would stay.
        let engines = &self.plan.settings.tables.engines;
        if engines.launcher != LauncherKind::Local || !engines.memory.is_empty() {
            let log = open_log(&self.plan.folder.logs().guard());
            let guard = log.and_then(|log| {
                Guard::start(&self.plan.binary, &self.plan.settings.cluster, &self.plan.handle.run_id, log)
            });
            self.guard = Some(guard.map_err(Failure::io("starting the guard"))?);
        }
        let rank_loss = launcher.rank_loss();
        if let Some(notice) = rank_loss.as_ref().and_then(RankLoss::notice) {
            self.talk.say(notice);
        }
        self.core.set_ways_back(rank_loss, launcher.starts_engines_again());
        let settings = self.plan.settings;
        let groups = match settings.engines_per_block() {
            Some(engines) => vec![(None, settings.tables.batch.blocks.min * engines)],
            None => settings.groups(),
        };
        self.plan.handle.engines_wanted = groups.iter().map(|(_, count)| count).sum();
        let grow = |(group, count): (Option<String>, u32)| {
            self.core.grow_group(group.as_deref(), count, launcher.set_size(count))
        };
        let actions = groups.into_iter().flat_map(grow).collect();
        self.launcher = Some(launcher);
        Ok(actions)
    }

    pub(super) fn start_set(&mut self, set: &EngineSet) -> Result<Vec<Action>, Failure> {
        if self.plan.hold.is_lost() {
            return Ok(self.core.handle(Input::TakenOver, Instant::now()));
        }
        let Some(launcher) = &mut self.launcher else { return Ok(Vec::new()) };
        let input = match launcher.start(set) {
            Ok(()) => Input::SetStarted { set: set.id, pid: pid_of(launcher.as_ref(), set.id) },
            // A cluster that is ready does not end because one set cannot be started.
            Err(failure) if self.core.is_ready() => Input::SetNotStarted(set.id, SetEnd::not_started(failure)),
            Err(failure) => return Err(failure),
        };
        let actions = self.core.handle(input, Instant::now());
        self.update_record();
        Ok(actions)
    }

    /// Asks the launcher how a lost engine has ended.
    pub(super) fn explain(&mut self, set: &EngineSet, lost: &LostEngine) -> Vec<Action> {
        let Some(launcher) = &mut self.launcher else { return Vec::new() };
        let engine = EngineId(set.first.0 + lost.rank);
        let parent = launcher.parent_said(set, engine);
        let how = launcher.how_engine_ended(set, lost);
        let input = match parent {
            Some(said) => Input::ParentSaid(set.id, engine, how.unwrap_or(said)),
            None => Input::Explained(set.id, engine, how),
        };
        self.core.handle(input, Instant::now())
    }

    /// How far the sets are, and which of their processes do not go on.
    pub(super) fn progress(&self, now: Instant) -> Progress {
        let mut progress = self.core.how_far(now);
        for (id, why) in self.halted() {
            if let Some(set) = progress.sets.iter_mut().find(|set| set.set.id == id) {
                set.said = Some(why);
            }
        }
        progress
    }

    /// The sets that are a process of this host which does not go on, and why.
    pub(super) fn halted(&self) -> Vec<(SetId, String)> {
        let records = self.launcher.iter().flat_map(|launcher| launcher.records());
        let halted = records.filter_map(|record| {
            let JobRecord::Process(process) = record.job else { return None };
            Some((record.set.id, process.halt()?.of("its process", process.pid)))
        });
        halted.collect()
    }

    pub(super) fn scale(&mut self, scaling: &Scaling) -> Result<(Scaled, Vec<Action>), Failure> {
        let group = scaling.group.as_deref();
        self.check_group(group)?;
        let before = self.core.wanted_of(group);
        let wanted = match scaling.change {
            Change::To(count) => i64::from(count),
            Change::By(by) => i64::from(before) + by,
        };
        let Some(launcher) = self.launcher.as_ref().filter(|_| self.core.is_ready()) else {
            return Err(Failure::new(Exit::Usage, "the cluster is still starting").with_hint("`ipclusterz wait` first"));
        };
        if self.plan.settings.engines_per_block().is_some() {
            return Err(Failure::new(Exit::Usage, "this cluster grows and shrinks by itself, in blocks")
                .with_hint("batch.blocks of its profile says between which bounds"));
        }
        let wanted = u32::try_from(wanted).map_err(|_| {
            let message = format!("{wanted} engines are not possible: there are {before}");
            Failure::new(Exit::Usage, message).with_hint("0 engines are the least")
        })?;
        let actions = match wanted.cmp(&before) {
            std::cmp::Ordering::Equal => Vec::new(),
            std::cmp::Ordering::Greater => {
                let more = wanted - before;
                if self.plan.settings.tables.engines.launcher == LauncherKind::Local {
                    limits::check(more, &limits::of_this_host(more))?;
                }
                // A set that is about to leave takes up its room until it has ended.
                let there: u32 = self.core.sets().map(|set| set.set.count).sum();
                launcher.check_room(there.saturating_add(more))?;
                self.core.grow_group(group, more, launcher.set_size(more))
            }
            std::cmp::Ordering::Less => {
                let loads = self.loads()?;
                let removed =
                    self.core.shrink_group(group, before - wanted, |id| loads.get(&id).copied().unwrap_or_default());
                removed.map_err(|error| Failure::new(Exit::Usage, error.to_string()))?
            }
        };
        // Those of the other groups stay as they are.
        let others = self.core.wanted() - self.core.wanted_of(group);
        let nodes = if wanted < before { self.nodes_left() } else { None };
        let scaled = Scaled { before: others + before, wanted: others + wanted, nodes };
        self.plan.handle.engines_wanted = scaled.wanted;
        self.update_record();
        Ok((scaled, actions))
    }

    /// Restarts engines; without any, all.
    pub(super) fn restart(&mut self, engines: Option<&[EngineId]>) -> Result<(Vec<EngineId>, Vec<Action>), Failure> {
        if self.launcher.is_none() || !self.core.is_ready() {
            return Err(Failure::new(Exit::Usage, "the cluster is still starting").with_hint("`ipclusterz wait` first"));
        }
        if self.connection.up().is_none() {
            let message = "the controller was started again a moment ago, and nothing is restarted";
            return Err(Failure::new(Exit::Unreachable, message).with_hint(requests::TRY_AGAIN));
        }
        let restarted = self.core.restart(engines, Instant::now());
        restarted.map_err(|error| {
            let hint = match error {
                CannotRestart::Together { .. } => "name all of them, or none: then all engines are restarted",
                CannotRestart::NotOurs(_) => {
                    "`ipclusterz status` shows the engines; one that was started by hand is \
                    started again by hand"
                }
                CannotRestart::Nobody => "`ipclusterz scale +1` starts one",
            };
            Failure::new(Exit::Usage, error.to_string()).with_hint(hint)
        })
    }

    /// What becomes of the nodes that engines leave while others of their sets stay, for people.
    fn nodes_left(&self) -> Option<String> {
        self.core.staying().find(|set| set.is_shrinking())?;
        Some(match self.launcher.as_ref()?.vacated()? {
            Vacated::GivenBack => "nodes on which no engine is left are given back, as the launcher says".to_owned(),
            Vacated::Kept(why) => why,
        })
    }

    /// Where there are groups, one of them has to be named.
    fn check_group(&self, group: Option<&str>) -> Result<(), Failure> {
        let batch = &self.plan.settings.tables.batch;
        let refuse = |message: String, hint: String| Err(Failure::new(Exit::Usage, message).with_hint(hint));
        let names = batch.names_of_groups();
        match group {
            None if names.is_empty() => Ok(()),
            None => refuse(
                format!("the engines of this cluster are not alike: it has the groups {names}"),
                "say which one is to change, such as: `ipclusterz scale --set GROUP +2`".to_owned(),
            ),
            Some(group) if batch.groups.iter().any(|known| known.name == group) => Ok(()),
            Some(group) if names.is_empty() => refuse(
                format!("there is no group {group:?}: this cluster has none"),
                "`batch.groups` of its profile makes some".to_owned(),
            ),
            Some(group) => refuse(format!("there is no group {group:?}"), format!("there are: {names}")),
        }
    }

    /// How many tasks each engine has.
    fn loads(&self) -> Result<BTreeMap<EngineId, u64>, Failure> {
        let Some(client) = self.connection.up() else {
            let why = self.core.controller.outage().unwrap_or_else(|| "the controller is not connected".to_owned());
            return Err(Failure::new(Exit::Unreachable, why).with_hint(requests::TRY_AGAIN));
        };
        let status = client.status(STATUS_PATIENCE).map_err(failures::of_client)?;
        Ok(status.engines.iter().map(|engine| (engine.id, engine.queue)).collect())
    }

    pub(super) fn ready(&mut self, on_ready: OnReady<'_>) -> Result<(), Failure> {
        self.set_phase(Phase::Running);
        let (Some(controller), Some(client)) = (&self.listening, self.connection.client()) else {
            return Ok(());
        };
        let mut engines = client.engines();
        engines.sort_by_key(|engine| engine.id);
        let report = StartReport {
            cluster: self.plan.settings.cluster.clone(),
            run_id: self.plan.handle.run_id.clone(),
            host: self.plan.handle.host.clone(),
            launcher_pid: self.plan.handle.launcher.pid,
            controller_pid: controller.pid,
            addresses: controller.addresses.clone(),
            client_file: controller.client_file.clone(),
            engine_file: controller.engine_file.clone(),
            log_directory: self.plan.folder.logs().path().to_path_buf(),
            engines,
            end_timeout: self.plan.settings.tables.engines.end_timeout,
            seconds: self.plan.started.elapsed().as_secs_f64(),
        };
        on_ready(&report, self.talk)?;
        if let Some(program) = &mut self.plan.program {
            program.start(&report)?;
        }
        Ok(())
    }

    /// Tells who does not wait for engines that all sets are started: processes run, and queues have the jobs.
    pub(super) fn tell_accepted(&mut self) {
        let Some(launcher) = self.launcher.as_ref().filter(|_| self.plan.no_wait) else { return };
        let records = launcher.records();
        let is_started = |set: &Set| records.iter().any(|record| record.set.id == set.set.id);
        if self.listening.is_none() || !self.core.staying().all(is_started) {
            return;
        }
        self.plan.no_wait = false;
        let mut started: Vec<String> = records.iter().map(|record| record.job.to_string()).collect();
        // All engines of this host may be forked from one process.
        started.dedup();
        let report = AcceptedReport {
            cluster: self.plan.settings.cluster.clone(),
            run_id: self.plan.handle.run_id.clone(),
            host: self.plan.handle.host.clone(),
            launcher_pid: self.plan.handle.launcher.pid,
            engines_wanted: self.plan.handle.engines_wanted,
            started,
            client_file: self.plan.folder.client_file(),
            log_directory: self.plan.folder.logs().path().to_path_buf(),
        };
        self.talk.conclude(&Message::Accepted(Box::new(report)));
    }

    /// Updates the record with what runs, unless it is another one's by now: that ends this process soon.
    pub(super) fn write_handle(&mut self) -> Result<(), Failure> {
        if self.plan.hold.is_lost() {
            return Ok(());
        }
        self.plan.handle.controller = self.controller.identity();
        self.plan.handle.sets = self.launcher.as_ref().map(|launcher| launcher.records()).unwrap_or_default();
        Ok(self.plan.handle.write(&self.plan.folder.handle_file())?)
    }

    /// Updates the record. A failure is reported, but does not end a cluster that works.
    pub(super) fn update_record(&mut self) {
        if let Err(failure) = self.write_handle() {
            self.talk.say(format!("the cluster's record is out of date: {}", failure.message));
        }
    }

    pub(super) fn set_phase(&mut self, phase: Phase) {
        self.plan.handle.phase = phase;
        self.update_record();
    }
}

/// The pid of a set that is one process of this host.
fn pid_of(launcher: &dyn Launcher, set: SetId) -> Option<u32> {
    launcher.records().into_iter().find(|record| record.set.id == set).and_then(|record| match record.job {
        JobRecord::Process(process) if record.set.count == 1 => Some(process.pid),
        _ => None,
    })
}
