//! `[mpiexec]`: the program that starts ranks, and its options.

use serde::Deserialize;

/// See `profiles/default.toml`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "profiles/default.toml explains every key")]
pub struct MpiexecTable {
    pub program: String,
    pub flavour: FlavourChoice,
    pub hosts: Vec<String>,
    pub hostfile: String,
    pub oversubscribe: bool,
    pub bind: Binding,
    pub allow_root: bool,
    pub arguments: Vec<String>,
    pub check_world: bool,
}

/// `mpiexec.flavour`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FlavourChoice {
    /// Ask the program.
    #[default]
    Auto,
    /// Open MPI.
    OpenMpi,
    /// MPICH, and what has its hydra.
    Mpich,
    /// Intel MPI.
    Intel,
    /// PALS, on machines of HPE Cray.
    Cray,
    /// Slurm's srun, in an allocation.
    Srun,
}

/// `mpiexec.bind`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Binding {
    /// Whatever the MPI does by default.
    #[default]
    #[serde(rename = "")]
    Unset,
    /// To nothing.
    None,
    /// To a core.
    Core,
    /// To a socket.
    Socket,
    /// To a NUMA domain.
    Numa,
}
