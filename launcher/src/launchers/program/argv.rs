//! The arguments with which each flavour starts the ranks of a set, from `[mpiexec]`.
//!
//! Arguments can be read by every user of a host, the environment cannot: variables are named here, and their values
//! are in the environment of the program.

use super::flavour::Flavour;
use crate::exit_code::Exit;
use crate::failure::Failure;
use crate::tables::mpiexec::{Binding, MpiexecTable};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// What is to be started.
#[derive(Debug)]
pub struct Request<'a> {
    /// The wishes of the profile.
    pub table: &'a MpiexecTable,
    /// How many ranks.
    pub ranks: u32,
    /// Their working directory.
    pub directory: &'a Path,
    /// Names of variables that ranks on other hosts are to get as well.
    pub pass: &'a [String],
    /// Put the rank before each line of output, where the program can.
    pub label: bool,
    /// What becomes of the other ranks when one is lost.
    pub survival: Survival,
    /// A folder of this set alone, for files of the program.
    pub scratch: &'a Path,
    /// The command of each rank.
    pub command: Vec<OsString>,
}

/// What becomes of the other ranks when one is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Survival {
    /// The program ends them.
    Ended,
    /// It goes on with them.
    Kept,
    /// It goes on with them, and so does the MPI library (User-Level Failure Mitigation, Open MPI since 5).
    Ulfm,
}

/// How to start it.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Invocation {
    /// Arguments of the program.
    pub arguments: Vec<OsString>,
    /// Variables for the program itself.
    pub environment: Vec<(&'static str, OsString)>,
    /// A file that must be there before it starts, and what is in it.
    pub machine_file: Option<(PathBuf, String)>,
}

/// Why a set cannot be started as the table says.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ArgvError {
    /// A host that no program would understand.
    #[error("mpiexec.hosts: {0:?} is not a host, or a host with its slots")]
    BadHost(String),
    /// Fewer slots than ranks.
    #[error("mpiexec.hosts has {slots} slots, fewer than {ranks} engines")]
    TooFewSlots {
        /// In all.
        slots: u64,
        /// Engines of the set.
        ranks: u32,
    },
    /// A program that takes one number of slots for all hosts.
    #[error("mpiexec.hosts: {0} takes the same number of slots on each host")]
    UnequalSlots(Flavour),
    /// Not a name.
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
struct Host<'a> {
    name: &'a str,
    slots: u32,
}

/// The arguments of this flavour.
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

/// Open MPI 4. Version 5 takes the same words.
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
    // Its pinning is a matter of variables.
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
        // The statuses of all ranks tell which one failed; hydra's message names one of those that it killed itself.
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
        // Nor when a node is gone, nor because some ranks have ended long before the others.
        Survival::Kept | Survival::Ulfm => invocation.add(["--kill-on-bad-exit=0", "--no-kill", "--wait=0"]),
    }
    if !hosts.is_empty() {
        let slots = equal_slots(Flavour::Srun, hosts)?;
        invocation.add(["--nodes", &hosts.len().to_string(), "--nodelist", &names(hosts)]);
        invocation.add(["--ntasks-per-node", &slots.to_string()]);
    } else if !table.hostfile.is_empty() {
        // A list with a slash in it is the name of a file.
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

/// The program's word for a binding, of those for none, core, socket and NUMA domain.
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

/// The hosts of the table; an error when they cannot take that many ranks.
fn hosts(table: &MpiexecTable, ranks: u32) -> Result<Vec<Host<'_>>, ArgvError> {
    let hosts = table.hosts.iter().map(|text| host(text)).collect::<Result<Vec<_>, _>>()?;
    let slots: u64 = hosts.iter().map(|host| u64::from(host.slots)).sum();
    if !hosts.is_empty() && !table.oversubscribe && slots < u64::from(ranks) {
        return Err(ArgvError::TooFewSlots { slots, ranks });
    }
    Ok(hosts)
}

/// Whether the hosts of the table have slots for that many ranks, of all sets together.
pub fn check_room(table: &MpiexecTable, ranks: u32) -> Result<(), ArgvError> {
    hosts(table, ranks).map(drop)
}

/// `n1:4`, or `n1` for one slot.
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

fn with_slots(hosts: &[Host<'_>], separator: &str) -> String {
    hosts.iter().map(|host| format!("{}:{}", host.name, host.slots)).collect::<Vec<_>>().join(separator)
}

fn names(hosts: &[Host<'_>]) -> String {
    hosts.iter().map(|host| host.name).collect::<Vec<_>>().join(",")
}

fn equal_slots(flavour: Flavour, hosts: &[Host<'_>]) -> Result<u32, ArgvError> {
    let first = hosts.first().map_or(1, |host| host.slots);
    if hosts.iter().all(|host| host.slots == first) { Ok(first) } else { Err(ArgvError::UnequalSlots(flavour)) }
}

/// The working directory of the program is not always that of `ipclusterz`.
fn absolute(path: &str) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.into())
}

fn is_variable(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with('-')
        && !name.contains(|character: char| character == '=' || character.is_whitespace() || character == '\0')
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::tables::mpiexec::FlavourChoice;

    pub fn table() -> MpiexecTable {
        MpiexecTable {
            program: "mpiexec".to_owned(),
            flavour: FlavourChoice::Auto,
            hosts: Vec::new(),
            hostfile: String::new(),
            oversubscribe: false,
            bind: Binding::Unset,
            allow_root: false,
            arguments: Vec::new(),
            check_world: true,
        }
    }

    /// Everything that a table can ask for.
    fn full() -> MpiexecTable {
        MpiexecTable {
            hosts: vec!["n1:2".to_owned(), "n2:2".to_owned()],
            oversubscribe: true,
            bind: Binding::Socket,
            allow_root: true,
            arguments: vec!["--more".to_owned(), "x y".to_owned()],
            ..table()
        }
    }

    fn build(flavour: Flavour, table: &MpiexecTable) -> Result<Invocation, ArgvError> {
        build_with(flavour, table, Survival::Ended)
    }

    fn build_with(flavour: Flavour, table: &MpiexecTable, survival: Survival) -> Result<Invocation, ArgvError> {
        let pass = ["LAB".to_owned(), "IPCLUSTERZ_SET".to_owned()];
        let request = Request {
            table,
            ranks: 4,
            directory: Path::new("/work"),
            pass: &pass,
            label: true,
            survival,
            scratch: Path::new("/tmp/set-1"),
            command: vec!["python".into(), "-m".into(), "engine".into()],
        };
        invocation(flavour, request)
    }

    #[track_caller]
    fn assert_arguments(flavour: Flavour, table: &MpiexecTable, expected: &str) -> Invocation {
        let built = build(flavour, table).expect("arguments");
        let joined: Vec<&str> = built.arguments.iter().map(|one| one.to_str().expect("UTF-8")).collect();
        assert_eq!(joined.join(" "), expected);
        built
    }

    #[test]
    fn open_mpi_is_told_everything_in_arguments() {
        assert_arguments(
            Flavour::OpenMpi,
            &table(),
            "-n 4 --wdir /work --tag-output -x LAB -x IPCLUSTERZ_SET python -m engine",
        );
        assert_arguments(
            Flavour::OpenMpi,
            &full(),
            "-n 4 --host n1:2,n2:2 --oversubscribe --bind-to socket --allow-run-as-root --wdir /work --tag-output -x LAB \
             -x IPCLUSTERZ_SET --more x y python -m engine",
        );
    }

    #[test]
    fn ranks_that_are_to_outlive_others_are_asked_for_in_the_programs_words() {
        let arguments = |flavour, survival| {
            let built = build_with(flavour, &table(), survival).expect("arguments");
            built.arguments.iter().map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
        };
        assert!(arguments(Flavour::OpenMpi, Survival::Kept).contains(" --enable-recovery "));
        assert!(arguments(Flavour::OpenMpi, Survival::Ulfm).contains(" --with-ft ulfm "));
        let kept = arguments(Flavour::Srun, Survival::Kept);
        assert!(kept.contains(" --kill-on-bad-exit=0 --no-kill --wait=0 "), "{kept}");
    }

    #[test]
    fn hydra_passes_the_environment_by_itself() {
        let common = "-genvall -wdir /work -prepend-rank -print-all-exitcodes -n 4";
        assert_arguments(Flavour::Mpich, &table(), &format!("{common} python -m engine"));
        assert_arguments(
            Flavour::Mpich,
            &full(),
            &format!("-hosts n1:2,n2:2 -bind-to socket {common} --more x y python -m engine"),
        );
        let intel = assert_arguments(
            Flavour::Intel,
            &full(),
            &format!("-machinefile /tmp/set-1/machines {common} --more x y python -m engine"),
        );
        assert_eq!(intel.machine_file, Some(("/tmp/set-1/machines".into(), "n1:2\nn2:2\n".to_owned())));
        assert_eq!(intel.environment, [("I_MPI_PIN_DOMAIN", OsString::from("socket"))]);
        let unbound = build(Flavour::Intel, &MpiexecTable { bind: Binding::None, ..table() }).expect("arguments");
        assert_eq!(unbound.environment, [("I_MPI_PIN", OsString::from("0"))]);
    }

    #[test]
    fn cray_and_slurm_take_slots_for_all_hosts_together() {
        assert_arguments(
            Flavour::Cray,
            &full(),
            "-n 4 --envall --hosts n1,n2 --ppn 2 --cpu-bind socket --wdir /work --label --more x y python -m engine",
        );
        assert_arguments(
            Flavour::Srun,
            &full(),
            "--ntasks 4 --export=ALL --kill-on-bad-exit=1 --nodes 2 --nodelist n1,n2 --ntasks-per-node 2 --overcommit \
             --cpu-bind=sockets --chdir /work --label --more x y python -m engine",
        );
        let unequal = MpiexecTable { hosts: vec!["n1:1".to_owned(), "n2:3".to_owned()], ..table() };
        for flavour in [Flavour::Cray, Flavour::Srun] {
            assert_eq!(build(flavour, &unequal), Err(ArgvError::UnequalSlots(flavour)));
        }
    }

    #[test]
    fn a_hostfile_is_named_by_its_whole_path() {
        let table = MpiexecTable { hostfile: "/etc/hosts.mpi".to_owned(), ..table() };
        let options = [
            (Flavour::OpenMpi, "--hostfile"),
            (Flavour::Mpich, "-f"),
            (Flavour::Intel, "-machinefile"),
            (Flavour::Cray, "--hostfile"),
            (Flavour::Srun, "--nodelist"),
        ];
        for (flavour, option) in options {
            let built = build(flavour, &table).expect("arguments");
            let pair = [OsString::from(option), OsString::from("/etc/hosts.mpi")];
            assert!(built.arguments.windows(2).any(|window| window == pair), "{flavour}: {:?}", built.arguments);
        }
    }

    #[test]
    fn no_value_of_a_variable_is_an_argument() {
        // There is no way to put one in: a request has names alone. What is no name is refused.
        let pass = ["LAB=secret".to_owned()];
        let table = table();
        let request = Request {
            table: &table,
            ranks: 1,
            directory: Path::new("/"),
            pass: &pass,
            label: false,
            survival: Survival::Ended,
            scratch: Path::new("/"),
            command: Vec::new(),
        };
        let error = invocation(Flavour::OpenMpi, request).expect_err("not a name");
        assert_eq!(error, ArgvError::BadVariable("LAB=secret".to_owned()));
    }

    #[test]
    fn bad_hosts_are_named() {
        for bad in ["", ":4", "n1:", "n1:0", "n1:x", "-n1", "n1 n2", "n1,n2"] {
            let table = MpiexecTable { hosts: vec![bad.to_owned()], ..table() };
            assert_eq!(build(Flavour::Mpich, &table), Err(ArgvError::BadHost(bad.to_owned())), "{bad:?}");
        }
        let few = MpiexecTable { hosts: vec!["n1".to_owned(), "n2:2".to_owned()], ..table() };
        assert_eq!(build(Flavour::OpenMpi, &few), Err(ArgvError::TooFewSlots { slots: 3, ranks: 4 }));
        assert_eq!(check_room(&few, 3), Ok(()));
        assert_eq!(check_room(&few, 4), Err(ArgvError::TooFewSlots { slots: 3, ranks: 4 }));
        assert_eq!(check_room(&MpiexecTable { oversubscribe: true, ..few }, 4), Ok(()));
        assert_eq!(check_room(&table(), 1000), Ok(()), "no hosts, no limit");
    }
}
