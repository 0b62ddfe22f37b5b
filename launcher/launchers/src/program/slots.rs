//! Parses the hosts of `[mpiexec]` with their slots, and checks that a set fits. The arguments are made in
//! [`super::argv`].

use super::flavour::Flavour;
use ipclusterz_host::exit_code::Exit;
use ipclusterz_host::failure::Failure;
use ipclusterz_profile::tables::mpiexec::MpiexecTable;

/// Why a set cannot be started as the table says.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ArgvError {
    /// An entry that no program would accept as a host.
    #[error("mpiexec.hosts: {0:?} is not a host, or a host with its slots")]
    BadHost(String),
    /// The hosts have fewer slots than the set has ranks.
    #[error("mpiexec.hosts has {slots} slots, fewer than {ranks} engines")]
    TooFewSlots {
        /// Slots of all hosts.
        slots: u64,
        /// Engines of the set.
        ranks: u32,
    },
    /// The hosts have different numbers of slots, but the program takes one number for all hosts.
    #[error("mpiexec.hosts: {0} takes the same number of slots on each host")]
    UnequalSlots(Flavour),
    /// A name that no environment variable can have.
    #[error("{0:?} cannot be the name of an environment variable")]
    BadVariable(String),
}

impl From<ArgvError> for Failure {
    fn from(error: ArgvError) -> Self {
        let hint = match error {
            ArgvError::BadHost(_) => "write it as \"n1\" or \"n1:4\"",
            ArgvError::TooFewSlots { .. } => "name more hosts or slots, or set mpiexec.oversubscribe = true",
            ArgvError::UnequalSlots(_) => {
                "leave mpiexec.hosts empty and give the program's own options in mpiexec.arguments"
            }
            ArgvError::BadVariable(_) => "names are in engines.env and engines.pass_env of the profile",
        };
        Failure::new(Exit::Usage, error.to_string()).with_hint(hint)
    }
}

/// A host of `mpiexec.hosts`.
#[derive(Debug)]
pub struct Host<'a> {
    /// Its name.
    pub name: &'a str,
    /// How many ranks it may run.
    pub slots: u32,
}

/// Parses the hosts of the table. An error when they have fewer slots than `ranks`, unless the table oversubscribes
/// them.
pub fn hosts(table: &MpiexecTable, ranks: u32) -> Result<Vec<Host<'_>>, ArgvError> {
    let hosts = table.hosts.iter().map(|text| host(text)).collect::<Result<Vec<_>, _>>()?;
    let slots: u64 = hosts.iter().map(|host| u64::from(host.slots)).sum();
    if !hosts.is_empty() && !table.oversubscribe && slots < u64::from(ranks) {
        return Err(ArgvError::TooFewSlots { slots, ranks });
    }
    Ok(hosts)
}

/// Checks that the hosts of the table have slots for the ranks of all sets together.
pub fn check_room(table: &MpiexecTable, ranks: u32) -> Result<(), ArgvError> {
    hosts(table, ranks).map(drop)
}

/// Parses a host: `n1:4`, or `n1` for one slot.
fn host(text: &str) -> Result<Host<'_>, ArgvError> {
    let bad = || ArgvError::BadHost(text.to_owned());
    let (name, slots) = match text.split_once(':') {
        Some((name, slots)) => (name, slots.parse().ok().filter(|slots| *slots > 0).ok_or_else(bad)?),
        None => (text, 1),
    };
    let allowed = |character: char| character.is_ascii_alphanumeric() || matches!(character, '.' | '-' | '_');
    if name.is_empty() || name.starts_with('-') || !name.chars().all(allowed) {
        return Err(bad());
    }
    Ok(Host { name, slots })
}

/// Formats the hosts with their slots: `n1:4,n2:4`.
pub fn with_slots(hosts: &[Host<'_>], separator: &str) -> String {
    hosts.iter().map(|host| format!("{}:{}", host.name, host.slots)).collect::<Vec<_>>().join(separator)
}

/// Formats the names of the hosts: `n1,n2`.
pub fn names(hosts: &[Host<'_>]) -> String {
    hosts.iter().map(|host| host.name).collect::<Vec<_>>().join(",")
}

/// The number of slots that all hosts have; 1 without hosts. An error when they differ.
pub fn equal_slots(flavour: Flavour, hosts: &[Host<'_>]) -> Result<u32, ArgvError> {
    let first = hosts.first().map_or(1, |host| host.slots);
    if hosts.iter().all(|host| host.slots == first) { Ok(first) } else { Err(ArgvError::UnequalSlots(flavour)) }
}
