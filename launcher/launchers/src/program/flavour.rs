//! Finds the program that starts ranks on PATH, and asks it which MPI it belongs to. Its arguments are made in
//! [`super::argv`].

use super::ask;
use ipclusterz_host::exit_code::Exit;
use ipclusterz_host::failure::Failure;
use ipclusterz_host::python::is_executable;
use ipclusterz_host::system;
use ipclusterz_profile::tables::mpiexec::{FlavourChoice, MpiexecTable};
use regex::Regex;
use std::ffi::OsStr;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;
use std::time::Duration;

/// A family of programs that take the same arguments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flavour {
    /// Open MPI, including later versions, whose mpiexec is PRRTE's.
    OpenMpi,
    /// MPICH's hydra, which others such as MVAPICH use too.
    Mpich,
    /// Intel MPI, whose hydra has options of its own.
    Intel,
    /// PALS, on machines of HPE Cray.
    Cray,
    /// Slurm's srun, in an allocation.
    Srun,
}

impl fmt::Display for Flavour {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Flavour::OpenMpi => "Open MPI",
            Flavour::Mpich => "MPICH",
            Flavour::Intel => "Intel MPI",
            Flavour::Cray => "Cray PALS",
            Flavour::Srun => "Slurm",
        })
    }
}

/// The program that starts ranks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    /// Its path.
    pub path: PathBuf,
    /// Its flavour.
    pub flavour: Flavour,
    /// Its version, if it was asked and told it.
    pub version: Option<String>,
}

impl fmt::Display for Program {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} ({}", self.path.display(), self.flavour)?;
        if let Some(version) = &self.version {
            write!(formatter, " {version}")?;
        }
        formatter.write_str(")")
    }
}

/// Why the program cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FlavourError {
    /// There is no such program.
    #[error("mpiexec.program: there is no program {0:?} that could be run")]
    NotFound(String),
    /// It could not be run.
    #[error("mpiexec.program: cannot run {} --version: {source}", path.display())]
    Run {
        /// The program.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It is of a known flavour, but reports that it does not work here.
    #[error("mpiexec.program: {} does not work here: {reason}", path.display())]
    NotWorking {
        /// The program.
        path: PathBuf,
        /// Its own message.
        reason: String,
    },
    /// Its output is of no known flavour.
    #[error("mpiexec.program: {} --version does not say which MPI it is ({how}): {answer:?}", path.display())]
    NotUnderstood {
        /// The program.
        path: PathBuf,
        /// How it ended.
        how: String,
        /// The first line that it printed.
        answer: String,
    },
    /// Its MPI does not run as root unless told to.
    #[error("{0} does not run as root")]
    Root(Program),
}

impl From<FlavourError> for Failure {
    fn from(error: FlavourError) -> Self {
        const STATE: &str =
            "state it: mpiexec.flavour = \"openmpi\", \"mpich\", \"intel\", \"cray\" or \"srun\" in a profile";
        let hint = match &error {
            FlavourError::NotFound(_) => {
                "load the module of your MPI, or set mpiexec.program in a profile to the path of \
                                          its mpiexec"
            }
            FlavourError::Run { .. } | FlavourError::NotUnderstood { .. } => STATE,
            FlavourError::NotWorking { .. } => "set mpiexec.program in a profile to another program",
            FlavourError::Root(_) => "run as another user, or set mpiexec.allow_root = true in a profile",
        };
        Failure::new(Exit::Usage, error.to_string()).with_hint(hint)
    }
}

/// Timeout of a program that is asked for its version: it may be loaded over a network, on a busy login node.
const DEADLINE: Duration = Duration::from_secs(20);

/// What happens to the other ranks when one is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Survival {
    /// The program ends them.
    Ended,
    /// The program keeps them running.
    Kept,
    /// The program keeps them running, and so does the MPI library (User-Level Failure Mitigation, Open MPI since 5).
    Ulfm,
}

impl Program {
    /// Finds the program of the table on `search_path`. Runs it to learn its flavour unless the table states it; this
    /// blocks.
    pub fn find(table: &MpiexecTable, search_path: Option<&OsStr>) -> Result<Self, FlavourError> {
        let path = find_on(&table.program, search_path)?;
        let flavour = match table.flavour {
            FlavourChoice::Auto => return ask_version(path),
            FlavourChoice::OpenMpi => Flavour::OpenMpi,
            FlavourChoice::Mpich => Flavour::Mpich,
            FlavourChoice::Intel => Flavour::Intel,
            FlavourChoice::Cray => Flavour::Cray,
            FlavourChoice::Srun => Flavour::Srun,
        };
        Ok(Self { path, flavour, version: None })
    }

    /// Why its ranks cannot outlive the loss of one of them; `None` when they can.
    pub fn obstacle_to_shrink(&self) -> Option<String> {
        match self.flavour {
            Flavour::OpenMpi | Flavour::Srun => None,
            Flavour::Mpich | Flavour::Intel => Some(format!("{self} ends all ranks when one is lost")),
            Flavour::Cray => Some(format!("{self} is not known to keep the other ranks")),
        }
    }

    /// Whether it reports by itself how a rank ended while others go on.
    pub fn tells_of_ranks(&self) -> bool {
        self.flavour != Flavour::OpenMpi
    }

    /// How the other ranks can be kept. Blocks while the program is asked for its version, when the profile has stated
    /// the flavour.
    pub fn survival(&self) -> Survival {
        let asked = || ask_version(self.path.clone()).ok()?.version;
        let version = || self.version.clone().or_else(asked)?.split('.').next()?.parse::<u32>().ok();
        match self.flavour {
            Flavour::OpenMpi if version().is_some_and(|major| major >= 5) => Survival::Ulfm,
            _ => Survival::Kept,
        }
    }

    /// An error when the program is known to refuse to run as root: this process is root, and neither the table nor the
    /// MPI's own variables allow it.
    pub fn check_root(&self, table: &MpiexecTable) -> Result<(), FlavourError> {
        let allowed = ["OMPI_ALLOW_RUN_AS_ROOT", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM"]
            .iter()
            .all(|name| std::env::var_os(name).is_some_and(|value| value == "1"));
        if self.flavour == Flavour::OpenMpi && system::effective_user() == 0 && !table.allow_root && !allowed {
            return Err(FlavourError::Root(self.clone()));
        }
        Ok(())
    }
}

fn find_on(wanted: &str, search_path: Option<&OsStr>) -> Result<PathBuf, FlavourError> {
    let found = if wanted.contains('/') {
        std::path::absolute(wanted).ok().filter(|path| is_executable(path))
    } else {
        std::env::split_paths(search_path.unwrap_or_default())
            .map(|folder| folder.join(wanted))
            .find(|path| !wanted.is_empty() && is_executable(path))
    };
    found.ok_or_else(|| FlavourError::NotFound(wanted.to_owned()))
}

fn ask_version(path: PathBuf) -> Result<Program, FlavourError> {
    let mut command = Command::new(&path);
    command.arg("--version");
    let answer = match ask::ask(command, DEADLINE) {
        Ok(answer) => answer,
        Err(source) => return Err(FlavourError::Run { path, source }),
    };
    let text = format!("{}\n{}", answer.output, answer.errors);
    if let Some((flavour, version)) = recognise(&text) {
        return Ok(Program { path, flavour, version: Some(version) });
    }
    if let Some(reason) = failure_of_srun(&text) {
        return Err(FlavourError::NotWorking { path, reason });
    }
    let first = text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default().to_owned();
    Err(FlavourError::NotUnderstood { path, how: answer.how(DEADLINE), answer: first })
}

/// Parses flavour and version from the output of `--version`. Lines of warnings around it do not matter.
pub fn recognise(text: &str) -> Option<(Flavour, String)> {
    static PATTERNS: LazyLock<Vec<(Flavour, Regex)>> = LazyLock::new(|| {
        let patterns = [
            (Flavour::OpenMpi, r"(?m)^\S+ \((?:OpenRTE|Open MPI|PRRTE|PMIx Reference RTE)\) (\S+)"),
            (Flavour::Intel, r"(?m)^Intel\(R\) MPI Library.* Version (\S+)"),
            (Flavour::Mpich, r"(?m)^HYDRA build details:\s+Version:\s+(\S+)"),
            (Flavour::Cray, r"(?m)^mpiexec version (\d\S*)"),
            (Flavour::Srun, r"(?m)^slurm(?:-wlm)? (\d\S*)"),
        ];
        patterns.into_iter().filter_map(|(flavour, pattern)| Some((flavour, Regex::new(pattern).ok()?))).collect()
    });
    PATTERNS.iter().find_map(|(flavour, pattern)| Some((*flavour, pattern.captures(text)?[1].to_owned())))
}

/// Why srun failed, if it did: it has to reach its Slurm even to tell its version.
fn failure_of_srun(text: &str) -> Option<String> {
    text.lines().find_map(|line| line.strip_prefix("srun: fatal: ")).map(str::to_owned)
}

/// The last part of a path, for messages.
pub(crate) fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use ipclusterz_profile::tables::mpiexec::Binding;

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
    use std::os::unix::fs::PermissionsExt;

    #[track_caller]
    fn assert_recognised(text: &str, flavour: Flavour, version: &str) {
        assert_eq!(recognise(text), Some((flavour, version.to_owned())));
    }

    #[test]
    fn recorded_answers_are_recognised() {
        let open_mpi = "mpiexec.openmpi (OpenRTE) 4.1.4\n\nReport bugs to http://www.open-mpi.org/community/help/\n";
        assert_recognised(open_mpi, Flavour::OpenMpi, "4.1.4");
        let five = "mpiexec (Open MPI) 5.0.11\n\nReport bugs to https://www.open-mpi.org/community/help/\n";
        assert_recognised(five, Flavour::OpenMpi, "5.0.11");
        let mpich = "HYDRA build details:\n    Version:                                 4.0.2\n    \
                     Release Date:                            Thu Apr  7 12:34:45 CDT 2022\n    CC:     gcc -g\n";
        assert_recognised(mpich, Flavour::Mpich, "4.0.2");
        let intel = "Intel(R) MPI Library for Linux* OS, Version 2021.18.1 Build 20260626 (id: b44796a)\n\
                     Copyright 2003-2026, Intel Corporation.\n";
        assert_recognised(intel, Flavour::Intel, "2021.18.1");
        assert_recognised("mpiexec version 1.8.0 revision 5cdf1c2\n", Flavour::Cray, "1.8.0");
        assert_recognised("slurm-wlm 22.05.8\n", Flavour::Srun, "22.05.8");
        assert_recognised("slurm 24.11.5\n", Flavour::Srun, "24.11.5");
        assert_recognised("warning: locale\nslurm 24.11.5\n", Flavour::Srun, "24.11.5");
        assert_eq!(recognise("mpiexec: unknown option --version\n"), None);
    }

    #[test]
    fn a_slurm_that_cannot_be_reached_is_told() {
        let text = "srun: error: resolve_ctls_from_dns_srv: res_nsearch error: Unknown host\n\
                    srun: error: fetch_config: DNS SRV lookup failed\n\
                    srun: fatal: Could not establish a configuration source\n";
        assert_eq!(recognise(text), None);
        assert_eq!(failure_of_srun(text).as_deref(), Some("Could not establish a configuration source"));
    }

    #[test]
    fn what_is_no_mpi_is_refused_with_the_valid_flavours() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let program = folder.path().join("mpiexec");
        std::fs::write(&program, "#!/bin/sh\necho who knows\nexit 4\n").expect("write");
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o700)).expect("chmod");
        let table = table();
        let failure = Failure::from(Program::find(&table, Some(folder.path().as_os_str())).expect_err("not an MPI"));
        assert!(failure.message.contains("--version does not say which MPI it is (exit status: 4): \"who knows\""));
        let hint = failure.hint.expect("a hint");
        assert!(["openmpi", "mpich", "intel", "cray", "srun"].iter().all(|flavour| hint.contains(flavour)), "{hint}");

        let stated = MpiexecTable { flavour: FlavourChoice::Cray, ..table };
        let found = Program::find(&stated, Some(folder.path().as_os_str())).expect("stated");
        assert_eq!(found, Program { path: program, flavour: Flavour::Cray, version: None });
        let nowhere = Program::find(&stated, None).expect_err("not there");
        assert_eq!(nowhere.to_string(), "mpiexec.program: there is no program \"mpiexec\" that could be run");
    }
}
