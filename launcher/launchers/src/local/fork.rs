//! Has each engine of this host forked from a server, which has imported what engines need.
//!
//! Engines are no children of this process: that they have ended is reported by the server, and if the server ends, so do
//! they. `engines.setup` runs before the server, and so before all of them.

use super::engines::LocalEngines;
use super::orders::{self, Report};
use super::server::ForkServer;
use crate::cluster::logs::open_log;
use crate::contract::{Launcher, Wake};
use crate::engine_words;
use crate::record::{JobRecord, SetRecord};
use crate::set::{EngineSet, Force, SetEnd, SetEvent, SetId};
use ipclusterz_host::exit_code::Exit;
use ipclusterz_host::failure::Failure;
use ipclusterz_host::identity::ProcessIdentity;
use ipclusterz_host::system;
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitStatus;

/// How far an engine has got.
enum Stage {
    /// It is ordered when the server is ready.
    Waits,
    /// It is ordered, and to be ended like this as soon as it is there.
    Ordered(Option<Force>),
    /// It is this process.
    Runs(ProcessIdentity),
}

/// Orders one fork for each engine.
pub struct ForkLauncher {
    engines: LocalEngines,
    wake: Wake,
    server: Option<ForkServer>,
    /// The set before which the setup of the server ran.
    first: SetId,
    ready: bool,
    /// Why the server could not become ready.
    failure: Option<String>,
    sets: BTreeMap<SetId, (EngineSet, Stage)>,
    events: Vec<(SetId, SetEvent)>,
}

impl ForkLauncher {
    /// Makes the launcher; starts nothing yet.
    pub fn new(engines: LocalEngines, wake: Wake) -> Self {
        Self {
            engines,
            wake,
            server: None,
            first: SetId(0),
            ready: false,
            failure: None,
            sets: BTreeMap::new(),
            events: Vec::new(),
        }
    }

    /// Starts the server before the first engine, and anew after its end.
    fn start_server(&mut self, set: &EngineSet) -> Result<(), Failure> {
        let log = open_log(&self.engines.logs().forks()).map_err(Failure::io("opening the log of the fork server"))?;
        let copy = log.try_clone().map_err(Failure::io("opening the log of the fork server"))?;
        let mut command = self.engines.command(set.id)?;
        let started = ForkServer::start(
            |what| {
                command.args(self.engines.options_of_server(what)).stdout(copy).stderr(log);
                command
            },
            self.wake.clone(),
        );
        self.server = Some(started.map_err(|error| self.engines.not_started(set.first, &error))?);
        (self.first, self.ready, self.failure) = (set.id, false, None);
        Ok(())
    }

    /// Orders the engines that wait for that.
    fn order(&mut self) {
        let Some(server) = self.server.as_mut().filter(|_| self.ready) else { return };
        let (mut message, mut failed) = (Vec::new(), Vec::new());
        for (set, stage) in self.sets.values_mut().filter(|(_, stage)| matches!(stage, Stage::Waits)) {
            match self.engines.options(set.first) {
                Ok(options) => {
                    message.extend(orders::start(set.id, &self.engines.logs().engine(set.first), options.into_iter()));
                    *stage = Stage::Ordered(None);
                }
                Err(error) => failed.push((set.id, error)),
            }
        }
        server.order(&message);
        failed.into_iter().for_each(|(id, error)| self.not_started(id, &error));
    }

    fn not_started(&mut self, id: SetId, error: &io::Error) {
        if let Some((set, _)) = self.sets.remove(&id) {
            let failure = self.engines.not_started(set.first, error);
            self.events.push((id, SetEvent::Ended(SetEnd::not_started(failure))));
        }
    }

    fn take(&mut self, report: Report) {
        match report {
            Report::Ready => {
                self.ready = true;
                self.order();
            }
            Report::Failed(why) => self.failure = Some(why),
            Report::Started(id, process) => {
                let Some((set, stage)) = self.sets.get_mut(&id) else { return };
                self.engines.entered(set.first, process.pid);
                if let Stage::Ordered(Some(force)) = stage {
                    signal(process, force.signal());
                }
                *stage = Stage::Runs(process);
                self.events.push((id, SetEvent::Forked(process.pid)));
            }
            Report::Refused(id, why) => self.not_started(id, &io::Error::other(why)),
            Report::Ended(id, status) => {
                if let Some((set, stage)) = self.sets.remove(&id) {
                    let pid = if let Stage::Runs(process) = stage { process.pid } else { 0 };
                    self.events.push((id, SetEvent::Ended(self.engines.ended(&set, pid, status))));
                }
            }
        }
    }

    /// The server has ended, and with it all engines that are left.
    fn server_ended(&mut self, status: &io::Result<ExitStatus>) {
        let pid = self.server.take().map_or(0, |server| server.identity().pid);
        let how = match status {
            Ok(status) => self.engines.how(pid, *status),
            Err(error) => format!("it cannot be watched: {error}"),
        };
        for (id, (set, stage)) in std::mem::take(&mut self.sets) {
            let end = match stage {
                Stage::Waits => self.never_ready(&set, &how),
                Stage::Ordered(_) => self.engines.end(&set, false, forked_from(&how)),
                Stage::Runs(process) => {
                    // The kernel has told it to end.
                    signal(process, libc::SIGKILL);
                    self.engines.end(&set, false, forked_from(&how))
                }
            };
            self.events.push((id, SetEvent::Ended(end)));
        }
    }

    /// The end of an engine whose server has ended before it could fork any.
    fn never_ready(&mut self, set: &EngineSet, how: &str) -> SetEnd {
        // For whoever looks at the engine's own log.
        let line =
            format!("ipclusterz: there is no process that this engine could be forked from: {how}; see forks.log");
        let _ = open_log(&self.engines.logs().engine(set.first)).and_then(|mut log| writeln!(log, "{line}"));
        let log = self.engines.logs().forks();
        let said = log.metadata().is_ok_and(|file| file.len() > 0);
        match &self.failure {
            Some(why) => {
                let failure = Failure::new(Exit::StartFailed, engine_words::not_preloaded(why));
                SetEnd {
                    log: Some(log).filter(|_| said),
                    ..SetEnd::not_started(failure.with_hint(engine_words::PRELOAD_HINT))
                }
            }
            None => SetEnd::new(false, how, Some(log)).because_of_setup(self.engines.setup_failure(self.first)),
        }
    }
}

impl Launcher for ForkLauncher {
    fn start(&mut self, set: &EngineSet) -> Result<(), Failure> {
        self.engines.open_log(set.first)?;
        if self.server.is_none() {
            self.start_server(set)?;
        }
        self.sets.insert(set.id, (set.clone(), Stage::Waits));
        self.order();
        Ok(())
    }

    fn end(&mut self, id: SetId, force: Force) {
        if let Some(server) = &self.server {
            server.go_on();
        }
        if let Some((set, _)) = self.sets.get(&id) {
            self.engines.leaves(set.first);
        }
        match self.sets.get_mut(&id) {
            Some((_, Stage::Runs(process))) => signal(*process, force.signal()),
            Some((_, Stage::Ordered(ending))) => *ending = Some(force),
            Some((set, Stage::Waits)) => {
                let end = self.engines.end(set, false, "it was ended before it was started".to_owned());
                self.sets.remove(&id);
                self.events.push((id, SetEvent::Ended(end)));
                (self.wake)();
            }
            None => {}
        }
    }

    fn poll(&mut self) -> Vec<(SetId, SetEvent)> {
        // Asked first: what it has reported before its end is there then.
        let ended = self.server.as_mut().map(|server| (server.reap().transpose(), server.reports()));
        if let Some((status, reports)) = ended {
            reports.into_iter().for_each(|report| self.take(report));
            if let Some(status) = status {
                self.server_ended(&status);
            }
        }
        std::mem::take(&mut self.events)
    }

    fn records(&self) -> Vec<SetRecord> {
        let server = self.server.as_ref().map(ForkServer::identity);
        let process = |stage: &Stage| if let Stage::Runs(process) = stage { Some(*process) } else { server };
        let record = |(set, stage): &(EngineSet, Stage)| {
            Some(SetRecord { set: set.clone(), job: JobRecord::Process(process(stage)?) })
        };
        self.sets.values().filter_map(record).collect()
    }

    fn log(&self, set: &EngineSet) -> PathBuf {
        match self.sets.get(&set.id) {
            Some((_, Stage::Waits)) => self.engines.logs().forks(),
            _ => self.engines.logs().engine(set.first),
        }
    }

    fn set_size(&self, _count: u32) -> u32 {
        1
    }
}

/// Sends a signal to the group of an engine, and continues what was stopped. The server may have reaped the engine: then there
/// is nothing to do, and its number may be another one's.
fn signal(process: ProcessIdentity, signal: i32) {
    for signal in [signal, libc::SIGCONT] {
        if process.is_alive() {
            let _ = system::signal_group(process.pid, signal);
        }
    }
}

/// The end of an engine with its server.
fn forked_from(how: &str) -> String {
    format!("the process that it was forked from has ended: {how}")
}
