//! The command line of an engine that is one of the ranks of a set. What starts it is in [`super::argv`] and
//! [`super::launcher`].

use crate::engine_words;
use crate::set::EngineSet;
use crate::setup::Setup;
use ipclusterz_profile::tables::engines::OnRankLoss;
use std::ffi::OsString;
use std::path::PathBuf;

/// The settings of the command, the same for all engines of a cluster. All ranks of one set get the same command: each
/// engine adds its rank, which MPI tells it, to the id of the first engine.
#[derive(Debug, Clone)]
pub struct EngineCommand {
    /// Words before the Python.
    pub wrap: Vec<String>,
    /// What runs before the engine.
    pub setup: Option<Setup>,
    /// The Python that runs the engines.
    pub python: PathBuf,
    /// The file with the controller's addresses and the key.
    pub connection_file: PathBuf,
    /// Seconds that an engine goes on without a controller; `None` where engines exit with a local controller.
    pub lease: Option<f64>,
    /// Seconds that an engine has at its end.
    pub end_timeout: f64,
    /// Timeout in seconds until all engines must have registered.
    pub timeout: f64,
    /// The options for an engine's part of its host; see [`engine_words::of_host`].
    pub shares: Vec<String>,
    /// Whether one process is the parent of all engines of a set, where nothing starts ranks.
    pub one_parent: bool,
    /// Whether that process forks them.
    pub fork: bool,
    /// Whether engines of a host share a connection to a controller elsewhere.
    pub agent: bool,
    /// The option for `engines.preload`; see [`engine_words::preload`].
    pub preload: Vec<String>,
    /// Whether engines start MPI and check that the ranks of the set are the whole of one world.
    pub check_world: bool,
    /// What happens to the other ranks when one is lost.
    pub on_rank_loss: OnRankLoss,
    /// Whether a shell around each engine reports how it ended, for a program that starts ranks without reporting that.
    pub says_end: bool,
}

/// The shell around an engine: it writes the end of a rank to the log even when nothing else does. A SIGTERM does not
/// end it, because the engine handles that. It ends in the same way as the engine, by an exit status or by a signal,
/// because Open MPI 5 ends a job in which two ranks had an exit status, but not for signals.
const SAY_END: &str = r#"trap : TERM INT
"$@"
status=$?
echo "ipclusterz: rank ${OMPI_COMM_WORLD_RANK:-?} ended with status $status" >&2
ulimit -c 0
trap - TERM INT
[ "$status" -le 128 ] || kill -"$((status - 128))" $$
exit "$status""#;

impl EngineCommand {
    /// The command line of an engine of the set, program first.
    pub fn argv(&self, set: &EngineSet) -> Vec<OsString> {
        let mut argv: Vec<OsString> = Vec::new();
        if self.says_end {
            argv.extend(["/bin/sh", "-c", SAY_END, "ipclusterz"].map(OsString::from));
        }
        argv.extend(self.setup.iter().flat_map(|setup| setup.words(set.id)));
        argv.extend(self.wrap.iter().map(OsString::from));
        argv.push(self.python.clone().into());
        argv.extend(engine_words::PROGRAM.map(OsString::from));
        argv.push("--connection-file".into());
        argv.push(self.connection_file.clone().into());
        let mut option = |name: &str, value: String| argv.extend([name.to_owned(), value].map(OsString::from));
        option("--first-engine-id", set.first.to_string());
        option(if self.one_parent { "--engines" } else { "--ranks" }, set.count.to_string());
        if let Some(lease) = self.lease {
            option("--lease", lease.to_string());
        }
        option("--end-timeout", self.end_timeout.to_string());
        option("--timeout", self.timeout.to_string());
        argv.extend(self.shares.iter().chain(&self.preload).map(OsString::from));
        if self.one_parent && self.fork {
            argv.push("--fork".into());
        }
        if self.agent {
            argv.push("--with-agent".into());
        }
        if self.check_world {
            argv.extend(["--check-world", "--on-rank-loss", self.on_rank_loss.word()].map(OsString::from));
        }
        argv
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::cluster::logs::LogFolder;
    use crate::set::SetId;
    use ipclusterz_base::ids::EngineId;

    pub fn example() -> EngineCommand {
        EngineCommand {
            wrap: Vec::new(),
            setup: None,
            python: "/opt/python3".into(),
            connection_file: "/home/me/engine.json".into(),
            lease: Some(60.0),
            end_timeout: 2.0,
            timeout: 90.5,
            shares: vec!["--threads".to_owned(), "2".to_owned()],
            one_parent: false,
            fork: true,
            agent: false,
            preload: Vec::new(),
            check_world: true,
            on_rank_loss: OnRankLoss::Restart,
            says_end: false,
        }
    }

    pub fn set(count: u32) -> EngineSet {
        EngineSet { id: SetId(1), first: EngineId(8), count, group: None }
    }

    #[test]
    fn an_engine_is_told_the_first_id_and_the_number_of_ranks() {
        let argv = example().argv(&set(4));
        let expected = "/opt/python3 -m ipclusterz.engine --connection-file /home/me/engine.json --first-engine-id 8 \
                        --ranks 4 --lease 60 --end-timeout 2 --timeout 90.5 --threads 2 --check-world --on-rank-loss \
                        restart";
        assert_eq!(argv, expected.split(' ').map(OsString::from).collect::<Vec<_>>());
    }

    #[test]
    fn a_parent_of_several_forks_them() {
        let preload = engine_words::preload(&["numpy".to_owned(), "scipy.linalg".to_owned()]);
        let argv = EngineCommand { one_parent: true, check_world: false, preload, ..example() }.argv(&set(4));
        let words: Vec<String> = argv.iter().map(|word| word.to_string_lossy().into_owned()).collect();
        let words = words.join(" ");
        assert!(words.contains(" --engines 4 "), "{words}");
        assert!(words.ends_with(" --threads 2 --preload numpy,scipy.linalg --fork"), "{words}");
    }

    #[test]
    fn setup_and_wrap_come_before_it() {
        let command = EngineCommand {
            setup: Setup::in_login_shell(&["true".to_owned()], "/x/setup.sh".into(), LogFolder::at("/x/logs".into())),
            wrap: vec!["numactl".to_owned(), "--localalloc".to_owned()],
            lease: None,
            shares: Vec::new(),
            check_world: false,
            ..example()
        };
        let told = EngineCommand { says_end: true, ..command.clone() }.argv(&set(1));
        assert_eq!(told[..2], ["/bin/sh", "-c"]);
        assert_eq!(told[4..], command.argv(&set(1)));
        let argv = command.argv(&set(1));
        assert_eq!(argv[..4], ["/bin/bash", "-l", "/x/setup.sh", "/x/logs/job-1.setup"]);
        assert_eq!(argv[4..7], ["numactl", "--localalloc", "/opt/python3"]);
        assert_eq!(argv.last().expect("an argument"), "90.5");
        assert!(!argv.contains(&"--lease".into()));
    }
}
