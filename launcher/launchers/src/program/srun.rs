//! Advice for ranks that srun started and that do not find each other. The cause is that srun was told to use another
//! process management interface (`--mpi`) than their MPI library uses.

use super::ask;
use super::flavour::name_of;
use crate::cluster::logs::of_each_task;
use ipclusterz_profile::tables::Tables;
use ipclusterz_profile::tables::engines::LauncherKind;
use ipclusterz_profile::tables::mpiexec::FlavourChoice;
use std::process::Command;
use std::time::Duration;

/// Timeout of `srun --mpi=list`.
const PATIENCE: Duration = Duration::from_secs(10);
/// What engines log when each is alone, and what Open MPI says when srun has told it nothing: two pieces, because without labels
/// what tasks write in between one another may break any of them.
const ALONE_MESSAGES: [&str; 3] =
    ["each believe to be rank 0 of 1", "not built with SLURM's PMI support", "SLURM PMI library location"];

/// How a profile starts ranks with srun.
struct Use<'a> {
    program: &'a str,
    arguments: &'a [String],
    /// The profile's key of the arguments.
    key: &'static str,
}

/// A hint, if the log says that ranks which srun started are alone. Blocks while srun is asked what it offers.
pub fn hint(tables: &Tables, log: &str) -> Option<String> {
    // Each version breaks its lines in other places.
    let said = of_each_task(log).into_iter().flat_map(str::split_whitespace).collect::<Vec<_>>().join(" ");
    if !ALONE_MESSAGES.iter().any(|sign| said.contains(sign)) {
        return None;
    }
    let Use { program, arguments, key } = use_of(tables)?;
    let mut command = Command::new(program);
    command.arg("--mpi=list");
    let offered = ask::ask(command, PATIENCE).map(|answer| offered(&format!("{}\n{}", answer.output, answer.errors)));
    let variable = std::env::var("SLURM_MPI_TYPE").ok();
    let library = Library::named_in(&said);
    Some(advice(tried(arguments, variable.as_deref()).as_deref(), &offered.unwrap_or_default(), library, key))
}

fn use_of(tables: &Tables) -> Option<Use<'_>> {
    let is_srun = |program: &str| name_of(program.as_ref()) == "srun";
    match tables.engines.launcher {
        LauncherKind::Mpiexec => {
            let mpiexec = &tables.mpiexec;
            let used = mpiexec.flavour == FlavourChoice::Srun || is_srun(&mpiexec.program);
            used.then_some(Use { program: &mpiexec.program, arguments: &mpiexec.arguments, key: "mpiexec.arguments" })
        }
        LauncherKind::Batch => {
            let (program, arguments) = tables.queue.start.split_first()?;
            is_srun(program).then_some(Use { program, arguments, key: "queue.start" })
        }
        LauncherKind::Local | LauncherKind::Ssh => None,
    }
}

/// The value of `--mpi`, which takes precedence over the variable.
fn tried(arguments: &[String], variable: Option<&str>) -> Option<String> {
    let stated = arguments.iter().enumerate().rev().find_map(|(index, argument)| match argument.as_str() {
        "--mpi" => arguments.get(index + 1).cloned(),
        argument => argument.strip_prefix("--mpi=").map(str::to_owned),
    });
    stated.or_else(|| variable.map(str::to_owned))
}

/// Parses the types that `srun --mpi=list` prints: one on each line, and the versions of a type on one line after a
/// colon.
fn offered(answer: &str) -> Vec<String> {
    let mut types: Vec<String> = Vec::new();
    for line in answer.lines() {
        let line = line.trim().trim_start_matches("srun:").trim();
        let names = match line.split_once("available:") {
            Some((_, names)) => names,
            None if line.contains(' ') => continue,
            None => line,
        };
        for name in names.split([',', ' ']).filter(|name| !name.is_empty()) {
            if !types.iter().any(|known| known == name) {
                types.push(name.to_owned());
            }
        }
    }
    types
}

/// The MPI libraries that are told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Library {
    OpenMpi,
    Mpich,
    Intel,
    Cray,
}

impl Library {
    fn named_in(log: &str) -> Option<Self> {
        let known = [
            ("Open MPI", Library::OpenMpi),
            ("OMPI", Library::OpenMpi),
            ("Intel", Library::Intel),
            ("CRAY MPICH", Library::Cray),
            ("MPICH", Library::Mpich),
        ];
        known.iter().find(|(name, _)| log.contains(name)).map(|(_, library)| *library)
    }

    fn name(self) -> &'static str {
        match self {
            Library::OpenMpi => "Open MPI",
            Library::Mpich => "MPICH",
            Library::Intel => "Intel MPI",
            Library::Cray => "Cray MPICH",
        }
    }

    /// The types of `--mpi` that it usually supports, the usual first. Types that begin with one of these are versions
    /// of it.
    fn mpi_types(self) -> &'static [&'static str] {
        match self {
            Library::OpenMpi => &["pmix"],
            Library::Mpich | Library::Intel => &["pmi2"],
            Library::Cray => &["cray_shasta"],
        }
    }
}

fn advice(tried: Option<&str>, offered: &[String], library: Option<Library>, key: &str) -> String {
    let tried_text = match tried {
        Some(tried) => format!("srun was given --mpi={tried}"),
        None => "srun was given no --mpi, so that the site's default holds".to_owned(),
    };
    let offered_text = match offered {
        [] => "`srun --mpi=list` does not say what it offers".to_owned(),
        offered => format!("`srun --mpi=list` offers {}", offered.join(", ")),
    };
    let Some(library) = library else {
        return format!(
            "{tried_text}; {offered_text}; Open MPI wants --mpi=pmix, MPICH and Intel MPI --mpi=pmi2: set it in {key}"
        );
    };
    let spoken = |name: &&String| library.mpi_types().iter().any(|speaks| name.starts_with(speaks));
    let name = library.name();
    let works = offered.iter().filter(spoken).map(|name| format!("--mpi={name}")).collect::<Vec<_>>();
    let what = match (tried, &works[..]) {
        (Some(tried), works) if library.mpi_types().contains(&tried) && (offered.is_empty() || !works.is_empty()) => {
            format!("{name} usually speaks that, so this one was built without it: start it by its own mpiexec")
        }
        (_, []) if !offered.is_empty() => {
            format!("{name} speaks none of these: start it by its own mpiexec (engines.launcher = \"mpiexec\")")
        }
        (_, []) => format!("{name} wants --mpi={}: set it in {key}", library.mpi_types()[0]),
        (_, works) => format!("{name} wants {}: set it in {key}", works.join(" or ")),
    };
    format!("{tried_text}; {offered_text}; {what}")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Recorded from Slurm 22.05.
    const LIST: &str = "MPI plugin types are...\n\tpmix\n\tnone\n\tcray_shasta\n\tpmi2\n\
                        specific pmix plugin versions available: pmix_v4\n";

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn what_srun_offers_is_read_from_old_and_new_answers() {
        assert_eq!(offered(LIST), ["pmix", "none", "cray_shasta", "pmi2", "pmix_v4"]);
        assert_eq!(offered("srun: MPI types are...\nsrun: none\nsrun: pmi2\n"), ["none", "pmi2"]);
    }

    #[test]
    fn what_was_tried_is_the_last_option_or_the_variable() {
        assert_eq!(tried(&words("--mpi=pmix -n 4 --mpi pmi2"), Some("none")).as_deref(), Some("pmi2"));
        assert_eq!(tried(&words("-n 4"), Some("none")).as_deref(), Some("none"));
        assert_eq!(tried(&words("-n 4"), None), None);
    }

    #[test]
    fn the_advice_names_what_was_tried_what_there_is_and_what_works() {
        let list = offered(LIST);
        let log = "4 engines that each believe to be rank 0 of 1: (MPICH Version 4.0.2)";
        assert_eq!(
            advice(Some("pmix"), &list, Library::named_in(log), "queue.start"),
            "srun was given --mpi=pmix; `srun --mpi=list` offers pmix, none, cray_shasta, pmi2, pmix_v4; \
             MPICH wants --mpi=pmi2: set it in queue.start"
        );
        let open = advice(None, &list, Library::named_in("library of mpi4py (Open MPI v4.1.4)"), "mpiexec.arguments");
        assert!(open.starts_with("srun was given no --mpi, so that the site's default holds; "), "{open}");
        assert!(open.ends_with("Open MPI wants --mpi=pmix or --mpi=pmix_v4: set it in mpiexec.arguments"), "{open}");
        let none = advice(Some("none"), &words("none pmi2"), Some(Library::OpenMpi), "queue.start");
        assert!(none.contains("Open MPI speaks none of these: start it by its own mpiexec"), "{none}");
        let same = advice(Some("pmi2"), &list, Some(Library::Mpich), "queue.start");
        assert!(same.ends_with("this one was built without it: start it by its own mpiexec"), "{same}");
        let silent = advice(Some("x"), &[], None, "queue.start");
        assert!(silent.contains("does not say what it offers; Open MPI wants --mpi=pmix, MPICH"), "{silent}");
    }
}
