//! Starts an interpreter for each engine of this host.

use super::engines::LocalEngines;
use crate::contract::Launcher;
use crate::record::{JobRecord, SetRecord};
use crate::set::{EngineSet, Force, SetEvent, SetId};
use ipclusterz_host::failure::Failure;
use ipclusterz_host::spawn::{ChildOptions, ChildProcess};
use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;

/// Starts one interpreter for each engine.
pub struct SpawnLauncher {
    engines: LocalEngines,
    running: BTreeMap<SetId, (EngineSet, ChildProcess)>,
}

impl SpawnLauncher {
    /// Makes the launcher; starts nothing yet.
    pub fn new(engines: LocalEngines) -> Self {
        Self { engines, running: BTreeMap::new() }
    }

    fn spawn(&mut self, set: &EngineSet) -> Result<io::Result<ChildProcess>, Failure> {
        let id = set.first;
        let log = self.engines.open_log(id)?;
        let mut command = self.engines.command(set.id)?;
        Ok(self.engines.options(id).and_then(|words| {
            command.args(words).stdout(log.try_clone()?).stderr(log);
            let options = ChildOptions { signal_at_launcher_end: libc::SIGTERM, raise_file_limit: false };
            let child = ChildProcess::start(command, options)?;
            self.engines.entered(id, child.identity().pid);
            Ok(child)
        }))
    }
}

impl Launcher for SpawnLauncher {
    fn start(&mut self, set: &EngineSet) -> Result<(), Failure> {
        let child = self.spawn(set)?.map_err(|error| self.engines.not_started(set.first, &error))?;
        self.running.insert(set.id, (set.clone(), child));
        Ok(())
    }

    fn end(&mut self, set: SetId, force: Force) {
        if let Some((set, child)) = self.running.get(&set) {
            self.engines.leaves(set.first);
            child.signal_group(force.signal());
        }
    }

    fn poll(&mut self) -> Vec<(SetId, SetEvent)> {
        let mut events = Vec::new();
        for (id, (set, child)) in &mut self.running {
            let end = match child.reap() {
                Ok(None) => continue,
                Ok(Some(status)) => self.engines.ended(set, child.identity().pid, status),
                Err(error) => self.engines.end(set, false, format!("it cannot be watched: {error}")),
            };
            events.push((*id, SetEvent::Ended(end)));
        }
        for (id, _) in &events {
            self.running.remove(id);
        }
        events
    }

    fn records(&self) -> Vec<SetRecord> {
        let record = |(set, child): &(EngineSet, ChildProcess)| SetRecord {
            set: set.clone(),
            job: JobRecord::Process(child.identity()),
        };
        self.running.values().map(record).collect()
    }

    fn log(&self, set: &EngineSet) -> PathBuf {
        self.engines.logs().engine(set.first)
    }

    fn set_size(&self, _count: u32) -> u32 {
        1
    }
}
