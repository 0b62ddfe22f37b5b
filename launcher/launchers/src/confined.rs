//! `engines.memory` for engines of this host: a cgroup for each, where this launcher may make any. Elsewhere each limits itself.

use ipclusterz_base::ids::EngineId;
use ipclusterz_host::memory_cgroup::MemoryCgroups;
use ipclusterz_host::stderr::print_problem;
use ipclusterz_profile::tables::engines::EnginesTable;
use std::io;

/// The cgroups of engines, if there are any.
pub struct Confined {
    cgroups: Option<MemoryCgroups>,
    /// The limit, as the profile has it.
    limit: String,
    bytes: u64,
}

impl Confined {
    /// Moves this process and those beside it into a cgroup of their own, if that is to be.
    pub fn new(engines: &EnginesTable) -> Self {
        let bytes = engines.memory_bytes();
        Self { cgroups: bytes.and_then(|_| cgroups()), limit: engines.memory.clone(), bytes: bytes.unwrap_or_default() }
    }

    /// Makes the cgroup of an engine that is about to start. Returns what its command line says of it.
    pub fn prepare(&self, id: EngineId) -> io::Result<Option<&'static str>> {
        let Some(cgroups) = &self.cgroups else { return Ok(None) };
        cgroups.make(&name(id), self.bytes)?;
        Ok(Some("--confined"))
    }

    /// Puts an engine's process in.
    pub fn enter(&self, id: EngineId, pid: u32) {
        match self.cgroups.as_ref().map_or(Ok(()), |cgroups| cgroups.enter(&name(id), pid)) {
            // One that has ended needs no limit.
            Err(error) if error.raw_os_error() != Some(libc::ESRCH) => {
                print_problem(&format!("engines.memory: nothing limits engine {id}: {error}"));
            }
            _ => {}
        }
    }

    /// Removes the cgroup of an engine that has ended. Returns why, if it wanted more than its limit.
    pub fn ended(&self, id: EngineId) -> Option<String> {
        let (cgroups, name) = (self.cgroups.as_ref()?, name(id));
        let killed = cgroups.has_killed(&name);
        // What cannot be removed now is removed with the others.
        let _ = cgroups.remove(&name);
        killed.then(|| format!("out of memory: its limit of {}", self.limit))
    }
}

fn cgroups() -> Option<MemoryCgroups> {
    MemoryCgroups::of_this_process().unwrap_or_else(|error| {
        print_problem(&format!("engines.memory: no cgroup limits engines, they limit themselves: {error}"));
        None
    })
}

fn name(id: EngineId) -> String {
    format!("engine-{id}")
}
