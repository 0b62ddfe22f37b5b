//! The arguments with which each flavour of mpiexec starts the ranks of a set, from `[mpiexec]`. It starts nothing.
//!
//! Every user of a host can read arguments, but not the environment of others' processes. So arguments have only the
//! names of variables; their values are in the environment of the program.

use super::flavour::{Flavour, Survival};
use super::slots::{ArgvError, Host, equal_slots, hosts, names, with_slots};
use ipclusterz_profile::tables::mpiexec::{Binding, MpiexecTable};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// What is to be started.
#[derive(Debug)]
pub struct Request<'a> {
    /// The settings of the profile.
    pub table: &'a MpiexecTable,
    /// How many ranks.
    pub ranks: u32,
    /// Their working directory.
    pub directory: &'a Path,
    /// Names of variables that ranks on other hosts are to get as well.
    pub pass: &'a [String],
    /// Whether to prefix each line of output with its rank, where the program can.
    pub label: bool,
    /// What happens to the other ranks when one is lost.
    pub survival: Survival,
    /// A folder for files of the program, which only this set uses.
    pub scratch: &'a Path,
    /// The command of each rank.
    pub command: Vec<OsString>,
}

/// How to invoke the program.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Invocation {
    /// Arguments of the program.
    pub arguments: Vec<OsString>,
    /// Variables for the program itself.
    pub environment: Vec<(&'static str, OsString)>,
    /// A file that must exist before the program starts: its path and its content.
    pub machine_file: Option<(PathBuf, String)>,
}

/// The invocation for this flavour. An error when the table asks for something that it cannot do.
pub fn invocation(flavour: Flavour, request: Request<'_>) -> Result<Invocation, ArgvError> {
    if let Some(bad) = request.pass.iter().find(|name| !is_variable(name)) {
        return Err(ArgvError::BadVariable(bad.clone()));
    }
    let hosts = hosts(request.table, request.ranks)?;
    let mut invocation = Invocation::default();
    match flavour {
        Flavour::OpenMpi => open_mpi(&mut invocation, &request, &hosts),
        Flavour::Mpich => mpich(&mut invocation, &request, &hosts),
        Flavour::Intel => intel(&mut invocation, &request, &hosts),
        Flavour::Cray => cray(&mut invocation, &request, &hosts)?,
        Flavour::Srun => srun(&mut invocation, &request, &hosts)?,
    }
    invocation.add(&request.table.arguments);
    invocation.arguments.extend(request.command);
    Ok(invocation)
}

/// Open MPI 4. Version 5 takes the same arguments.
fn open_mpi(invocation: &mut Invocation, request: &Request<'_>, hosts: &[Host<'_>]) {
    let table = request.table;
    invocation.add(["-n", &request.ranks.to_string()]);
    if !hosts.is_empty() {
        invocation.add(["--host", &with_slots(hosts, ",")]);
    } else if !table.hostfile.is_empty() {
        invocation.add_path("--hostfile", &absolute(&table.hostfile));
    }
    if table.oversubscribe {
        invocation.add(["--oversubscribe"]);
    }
    if let Some(bind) = word(table.bind, ["none", "core", "socket", "numa"]) {
        invocation.add(["--bind-to", bind]);
    }
    if table.allow_root {
        invocation.add(["--allow-run-as-root"]);
    }
    invocation.add_path("--wdir", request.directory);
    match request.survival {
        Survival::Ended => {}
        Survival::Kept => invocation.add(["--enable-recovery"]),
        Survival::Ulfm => invocation.add(["--with-ft", "ulfm"]),
    }
    if request.label {
        invocation.add(["--tag-output"]);
    }
    for name in request.pass {
        invocation.add(["-x", name]);
    }
}

/// Hydra passes the whole environment on to every host.
fn mpich(invocation: &mut Invocation, request: &Request<'_>, hosts: &[Host<'_>]) {
    let table = request.table;
    if !hosts.is_empty() {
        invocation.add(["-hosts", &with_slots(hosts, ",")]);
    } else if !table.hostfile.is_empty() {
        invocation.add_path("-f", &absolute(&table.hostfile));
    }
    if let Some(bind) = word(table.bind, ["none", "core", "socket", "numa"]) {
        invocation.add(["-bind-to", bind]);
    }
    hydra(invocation, request);
}

fn intel(invocation: &mut Invocation, request: &Request<'_>, hosts: &[Host<'_>]) {
    let table = request.table;
    if !hosts.is_empty() {
        let file = request.scratch.join("machines");
        invocation.add_path("-machinefile", &file);
        invocation.machine_file = Some((file, with_slots(hosts, "\n") + "\n"));
    } else if !table.hostfile.is_empty() {
        invocation.add_path("-machinefile", &absolute(&table.hostfile));
    }
    // Intel MPI is told by variables where to pin ranks.
    match table.bind {
        Binding::Unset => {}
        Binding::None => invocation.environment.push(("I_MPI_PIN", "0".into())),
        Binding::Core | Binding::Socket | Binding::Numa => {
            let domain = word(table.bind, ["", "core", "socket", "numa"]).unwrap_or_default();
            invocation.environment.push(("I_MPI_PIN_DOMAIN", domain.into()));
        }
    }
    hydra(invocation, request);
}

/// What MPICH and Intel MPI have in common.
fn hydra(invocation: &mut Invocation, request: &Request<'_>) {
    invocation.add(["-genvall"]);
    invocation.add_path("-wdir", request.directory);
    if request.label {
        // The statuses of all ranks show which one failed; hydra's own message names one of the ranks that it killed
        // itself.
        invocation.add(["-prepend-rank", "-print-all-exitcodes"]);
    }
    invocation.add(["-n", &request.ranks.to_string()]);
}

fn cray(invocation: &mut Invocation, request: &Request<'_>, hosts: &[Host<'_>]) -> Result<(), ArgvError> {
    let table = request.table;
    invocation.add(["-n", &request.ranks.to_string(), "--envall"]);
    if !hosts.is_empty() {
        let slots = equal_slots(Flavour::Cray, hosts)?;
        invocation.add(["--hosts", &names(hosts), "--ppn", &slots.to_string()]);
    } else if !table.hostfile.is_empty() {
        invocation.add_path("--hostfile", &absolute(&table.hostfile));
    }
    if let Some(bind) = word(table.bind, ["none", "core", "socket", "numa"]) {
        invocation.add(["--cpu-bind", bind]);
    }
    invocation.add_path("--wdir", request.directory);
    if request.label {
        invocation.add(["--label"]);
    }
    Ok(())
}

fn srun(invocation: &mut Invocation, request: &Request<'_>, hosts: &[Host<'_>]) -> Result<(), ArgvError> {
    let table = request.table;
    invocation.add(["--ntasks", &request.ranks.to_string(), "--export=ALL"]);
    match request.survival {
        Survival::Ended => invocation.add(["--kill-on-bad-exit=1"]),
        // The job step also goes on when a node fails, and when some ranks have ended long before the others.
        Survival::Kept | Survival::Ulfm => invocation.add(["--kill-on-bad-exit=0", "--no-kill", "--wait=0"]),
    }
    if !hosts.is_empty() {
        let slots = equal_slots(Flavour::Srun, hosts)?;
        invocation.add(["--nodes", &hosts.len().to_string(), "--nodelist", &names(hosts)]);
        invocation.add(["--ntasks-per-node", &slots.to_string()]);
    } else if !table.hostfile.is_empty() {
        // srun takes a list that contains a slash for the name of a file.
        invocation.add_path("--nodelist", &absolute(&table.hostfile));
    }
    if table.oversubscribe {
        invocation.add(["--overcommit"]);
    }
    if let Some(bind) = word(table.bind, ["none", "cores", "sockets", "ldoms"]) {
        invocation.add([&format!("--cpu-bind={bind}")]);
    }
    invocation.add_path("--chdir", request.directory);
    if request.label {
        invocation.add(["--label"]);
    }
    Ok(())
}

impl Invocation {
    fn add(&mut self, arguments: impl IntoIterator<Item = impl AsRef<str>>) {
        self.arguments.extend(arguments.into_iter().map(|argument| OsString::from(argument.as_ref())));
    }

    fn add_path(&mut self, option: &str, path: &Path) {
        self.arguments.extend([option.into(), path.into()]);
    }
}

/// The program's word for a binding; `words` are those for none, core, socket and NUMA domain.
fn word(bind: Binding, words: [&'static str; 4]) -> Option<&'static str> {
    let [none, core, socket, numa] = words;
    match bind {
        Binding::Unset => None,
        Binding::None => Some(none),
        Binding::Core => Some(core),
        Binding::Socket => Some(socket),
        Binding::Numa => Some(numa),
    }
}

/// Makes a path absolute: the working directory of the program is not always that of `ipclusterz`.
fn absolute(path: &str) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.into())
}

fn is_variable(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with('-')
        && !name.contains(|character: char| character == '=' || character.is_whitespace() || character == '\0')
}

#[cfg(test)]
mod tests;
