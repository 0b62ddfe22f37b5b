//! Starts two ranks that say hello, for `ipclusterz doctor`. This shows whether the program starts ranks here, and
//! whether ipclusterz-mpi, or else mpi4py, uses the MPI that the program belongs to. When it uses another one, each rank
//! believes that it is alone in its world, and no error is reported.

use super::argv::{self, Request};
use super::ask::{self, Answer};
use super::flavour::{Program, Survival};
use ipclusterz_base::private;
use ipclusterz_host::failure::Failure;
use ipclusterz_profile::tables::mpiexec::MpiexecTable;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// The result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hello {
    /// Two ranks said hello.
    Ok {
        /// The library of the MPI world in which they met; `None` where Python has none.
        library: Option<String>,
    },
    /// Each rank was alone in its own world.
    Singletons {
        /// The library that Python loads.
        library: String,
    },
    /// No two ranks said hello.
    Failed {
        /// How the program ended.
        how: String,
        /// The last lines that it printed to standard error, else to standard output.
        errors: String,
    },
}

/// What each rank runs. Each rank makes a single write, so that the lines of two ranks do not mix.
const SCRIPT: &str = r#"
import contextlib, os
names = (("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"), ("PMI_RANK", "PMI_SIZE"), ("PALS_RANKID", "PALS_SIZE"),
         ("SLURM_PROCID", "SLURM_NTASKS"), ("PMIX_RANK", ""))
rank, size = next(((os.environ[r], os.environ.get(s, "?")) for r, s in names if r in os.environ), ("?", "?"))
def alone():
    # A singleton of Open MPI 5 leaves its segment behind.
    with open("/proc/self/maps") as maps:
        return {line.split()[5] for line in maps if "/dev/shm/sm_segment." in line and "(deleted)" not in line}
def of_bridge():
    # As engines do: where it is installed, mpi4py is not asked.
    import ipclusterz_mpi
    try:
        native, about = ipclusterz_mpi.load(), ipclusterz_mpi.about()
    except ImportError as error:
        raise SystemExit(f"the MPI for ipclusterz cannot be loaded: {error}")
    native.initialize()
    return native.whole_world(2**64 - 1).size, f"{about.says}, {about.path}", native.finalize
def of_mpi4py():
    from mpi4py import MPI
    MPI.COMM_WORLD.Barrier()
    return MPI.COMM_WORLD.Get_size(), MPI.Get_library_version().strip("\0").splitlines()[0].split(",")[0], MPI.Finalize
world, library = "", ""
for begin in (of_bridge, of_mpi4py):
    try:
        world, library, end = begin()
    except ImportError:
        continue
    library = " ".join(library.split())
    segments = alone()
    end()
    for segment in segments:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(segment)
    break
os.write(1, f"ipclusterz-hello\t{rank}\t{size}\t{world}\t{library}\n".encode())
"#;

/// What the ranks run with.
#[derive(Debug, Clone, Copy)]
pub struct Ranks<'a> {
    /// The Python that runs them.
    pub python: &'a Path,
    /// Variables that engines get, including those that select an MPI library.
    pub environment: &'a BTreeMap<String, String>,
    /// A folder for files of the program.
    pub scratch: &'a Path,
}

impl Ranks<'_> {
    fn argv(&self) -> Vec<OsString> {
        vec![self.python.into(), "-c".into(), SCRIPT.into()]
    }
}

/// Lets the program start the ranks. Blocks until it has exited or `deadline`, which is a timeout, has passed.
pub fn hello(program: &Program, table: &MpiexecTable, ranks: Ranks<'_>, deadline: Duration) -> Result<Hello, Failure> {
    let scratch = ranks.scratch;
    program.check_root(table)?;
    // Oversubscribed, so that two ranks fit even on a host with a single core.
    let table = MpiexecTable { oversubscribe: true, ..table.clone() };
    let pass: Vec<String> = ranks.environment.keys().cloned().collect();
    let request = Request {
        table: &table,
        ranks: 2,
        directory: scratch,
        pass: &pass,
        label: false,
        survival: Survival::Ended,
        scratch,
        command: ranks.argv(),
    };
    let invocation = argv::invocation(program.flavour, request)?;
    if let Some((path, content)) = &invocation.machine_file {
        private::write_private(path, content.as_bytes())?;
    }
    let mut command = Command::new(&program.path);
    command.args(invocation.arguments).envs(invocation.environment).envs(ranks.environment).current_dir(scratch);
    let answer = ask::ask(command, deadline).map_err(Failure::io(format!("cannot run {program}")))?;
    Ok(judge(&answer, deadline))
}

/// Lets `prefix` start the ranks: the command that is put before engines in a job, for two of them. Blocks as [`hello`]
/// does.
pub fn hello_in_job(prefix: &[String], ranks: Ranks<'_>, deadline: Duration) -> Result<Hello, Failure> {
    let mut words = prefix.iter().map(OsString::from).chain(ranks.argv());
    let program = words.next().unwrap_or_default();
    let mut command = Command::new(&program);
    command.args(words).envs(ranks.environment).current_dir(ranks.scratch);
    let answer = ask::ask(command, deadline).map_err(Failure::io(format!("cannot run {}", program.display())))?;
    Ok(judge(&answer, deadline))
}

fn judge(answer: &Answer, deadline: Duration) -> Hello {
    let hellos: Vec<Vec<&str>> = answer
        .output
        .lines()
        .filter_map(|line| Some(line.split_once("ipclusterz-hello\t")?.1.split('\t').collect()))
        .filter(|fields: &Vec<&str>| fields.len() == 4)
        .collect();
    let library = || hellos[0][3].to_owned();
    if hellos.len() != 2 || !answer.is_success() {
        const LINES: usize = 20;
        let text = if answer.errors.trim().is_empty() { &answer.output } else { &answer.errors };
        let lines: Vec<&str> = text.trim().lines().collect();
        let errors = lines[lines.len().saturating_sub(LINES)..].join("\n");
        return Hello::Failed { how: answer.how(deadline), errors };
    }
    if hellos.iter().all(|fields| fields[2] == "1") {
        return Hello::Singletons { library: library() };
    }
    Hello::Ok { library: Some(library()).filter(|library| !library.is_empty()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::ExitStatusExt;
    use std::process::ExitStatus;

    fn judged(code: i32, output: &str, errors: &str) -> Hello {
        let status = Some(ExitStatus::from_raw(code << 8));
        let answer = Answer { status, output: output.to_owned(), errors: errors.to_owned() };
        judge(&answer, Duration::from_secs(1))
    }

    #[test]
    fn two_ranks_in_one_world_are_well() {
        let output = "ipclusterz-hello\t1\t2\t2\tOpen MPI v4.1.4\nipclusterz-hello\t0\t2\t2\tOpen MPI v4.1.4\n";
        assert_eq!(judged(0, output, ""), Hello::Ok { library: Some("Open MPI v4.1.4".to_owned()) });
        let without = "ipclusterz-hello\t1\t2\t\t\nipclusterz-hello\t0\t2\t\t\n";
        assert_eq!(judged(0, without, "a warning"), Hello::Ok { library: None });
    }

    #[test]
    fn two_worlds_of_one_rank_are_not() {
        let output = "ipclusterz-hello\t0\t2\t1\tMPICH 4\nipclusterz-hello\t1\t2\t1\tMPICH 4\n";
        assert_eq!(judged(0, output, ""), Hello::Singletons { library: "MPICH 4".to_owned() });
    }

    #[test]
    fn what_it_printed_is_shown_when_it_failed() {
        let failed = judged(1, "ipclusterz-hello\t0\t2\t\t\n", "no route\nto host\n");
        assert_eq!(failed, Hello::Failed { how: "exit status: 1".to_owned(), errors: "no route\nto host".to_owned() });
    }
}
