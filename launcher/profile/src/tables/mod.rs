//! The tables of a profile, complete and typed: one file each. `profiles/default.toml` explains every key.

pub mod batch;
pub mod controller;
pub mod engines;
pub mod logs;
pub mod mpiexec;
pub mod queue;
pub mod ssh;
pub mod stage;

use serde::Deserialize;

/// All tables of a profile.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "profiles/default.toml explains every table")]
pub struct Tables {
    pub engines: engines::EnginesTable,
    pub controller: controller::ControllerTable,
    pub logs: logs::LogsTable,
    pub ssh: ssh::SshTable,
    pub mpiexec: mpiexec::MpiexecTable,
    pub batch: batch::BatchTable,
    pub queue: queue::QueueTable,
}
