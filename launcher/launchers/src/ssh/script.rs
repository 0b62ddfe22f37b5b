//! The scripts for the shell of another host, and what their answers mean. Pure.
//!
//! Every script goes to the standard input of a shell there, so that no value of the environment and no path ever
//! appears in the arguments of a process. Engines are started detached, in a session that is not the script's, each the
//! leader of a process group of its own. So they outlive the SSH connection; they exit by themselves when no controller has
//! answered within their lease.

use crate::engine_words::{self, PROGRAM};
use crate::setup;
use crate::stage::order::Said;
use ipclusterz_base::ids::EngineId;
use ipclusterz_base::process::Stat;
use ipclusterz_base::words::{printable, printable_lines};
use ipclusterz_host::identity::ProcessIdentity;
use ipclusterz_host::shell::quote;
use ipclusterz_ssh::sitting;
use std::collections::BTreeMap;
use std::fmt::Write;

/// The command that reads a script: a login shell, so that `module` and the like are defined.
pub const SHELL: &str = "if command -v bash >/dev/null 2>&1; then exec bash -l -s; else exec sh -l -s; fi";

/// The mark of our lines among whatever else a login shell prints.
pub(super) const MARK: &str = "@ipclusterz";

/// A launcher that has not checked its engines for this many seconds is gone, or cannot connect; it checks every three.
const SILENCE: u32 = 9;

/// What all engines of a host have in common.
#[derive(Debug, Clone)]
pub struct HostPlan {
    /// The name of this run's folder on the host, `RUN/HOST`. Hosts may share the home folder that it is in.
    pub run: String,
    /// The Python on the host.
    pub python: String,
    /// Words before the Python.
    pub wrap: Vec<String>,
    /// Lines of shell that run before the engines.
    pub setup: Vec<String>,
    /// Variables that hold whatever the lines of the setup do: `[engines.env]`.
    pub own_environment: BTreeMap<String, String>,
    /// All variables to set.
    pub environment: BTreeMap<String, String>,
    /// Working directory; the home folder is used when it does not exist.
    pub directory: String,
    /// Further options of the engine.
    pub options: Vec<String>,
    /// Whether engines that are started at once are forked from one process.
    pub fork: bool,
}

/// The path of a run's folder on the host, as a word of its shell.
pub(super) fn folder(run: &str) -> String {
    let root = r#""${IPCLUSTERZ_HOME:-${XDG_STATE_HOME:-$HOME/.local/state}/ipclusterz}""#;
    format!("{root}/hosts/{}", quote(run))
}

/// Makes the folder; prints its path and the id of the host's boot.
pub fn prepare(run: &str) -> String {
    format!(
        "umask 077\ndir={}\nmkdir -p \"$dir\" && cd \"$dir\" && printf '{MARK} folder %s\\n' \"$PWD\"\n\
         printf '{MARK} boot %s\\n' \"$(cat /proc/sys/kernel/random/boot_id)\"\n",
        folder(run)
    )
}

/// Starts engines, each with further options of its own; prints the process of each.
pub fn start(plan: &HostPlan, engines: &[(EngineId, &[String])]) -> String {
    let mut text = format!("umask 077\ndir={}\ncd \"$dir\" || exit 1\n", folder(&plan.run));
    for (name, value) in &plan.environment {
        let _ = writeln!(text, "export {name}={}", quote(value));
    }
    let mut setup = setup::lines_telling_output(&plan.setup, &format!("{MARK} setup"));
    if !setup.is_empty() {
        let own = plan.own_environment.iter().filter(|(name, _)| setup::is_name(name));
        setup.extend(own.map(|(name, value)| setup::export(name, value)));
    }
    for line in setup {
        let _ = writeln!(text, "{line}");
    }
    let _ = writeln!(text, "if [ -d {0} ]; then cd {0}; else cd; fi", quote(&plan.directory));
    if plan.fork {
        forked(&mut text, plan, engines)
    } else {
        spawned(&mut text, plan, engines)
    }
    text
}

/// What the last engine removes: the launcher that would do it may be gone. `dir` is the folder.
fn clean() -> String {
    let end_if_silent = sitting::end_if_silent("\"$dir\"", SILENCE);
    format!(
        "set -- \"$dir\"/alive-*; [ -e \"$1\" ] || {{ rm -rf \"$dir/engine.json\" \"$dir/uploads\"; {end_if_silent}; }}"
    )
}

/// The engine's command line, up to its id.
fn command(plan: &HostPlan) -> String {
    let words: Vec<String> = plan.wrap.iter().chain([&plan.python]).map(|word| quote(word)).collect();
    format!("{} {} --connection-file \"$dir\"/engine.json", words.join(" "), PROGRAM.join(" "))
}

/// One process forks all of them, and prints the process of each; see `engine/forkhost.py` of the package. What waits for
/// the end of that is `cat`.
fn forked(text: &mut String, plan: &HostPlan, engines: &[(EngineId, &[String])]) {
    let Some((_, own)) = engines.last() else { return };
    let ids: Vec<String> = engines.iter().map(|(id, _)| id.to_string()).collect();
    for id in &ids {
        let _ = writeln!(text, "rm -f \"$dir\"/status-{id}; : >\"$dir\"/alive-{id}; : >>\"$dir\"/engine-{id}.log");
    }
    // What else their options say is the same for all.
    let seats: Vec<&str> = engines.iter().map(|(_, own)| engine_words::seat(own)).collect();
    let end = format!("dir=$1; {}", clean());
    let options: Vec<String> = plan.options.iter().chain(*own).map(|option| quote(option)).collect();
    // One that forked others may still write into its own file.
    let _ = writeln!(
        text,
        "rm -f \"$dir\"/forks.log\n(setsid {} {} --fork-ids {} --fork-seats {} --fork-folder \"$dir\" --fork-end {} </dev/null 2>>\"$dir\"/forks.log &) | cat",
        command(plan),
        options.join(" "),
        ids.join(","),
        seats.join(","),
        quote(&end)
    );
    // Why there are none, if there are none.
    let _ = writeln!(
        text,
        "printf '{MARK} forks %s\\n' \"$(tail -c 4096 \"$dir\"/forks.log | tail -n 20 | tr '\\n' '\\r')\""
    );
}

/// Each is an interpreter of its own.
fn spawned(text: &mut String, plan: &HostPlan, engines: &[(EngineId, &[String])]) {
    for (id, own) in engines {
        let options: Vec<String> = plan.options.iter().chain(*own).map(|option| quote(option)).collect();
        // The inner shell records the exit status. It has a trap, which the engine does not inherit, unlike an ignored
        // signal.
        let _ = writeln!(
            text,
            "rm -f \"$dir\"/status-{id}; : >\"$dir\"/alive-{id}\n\
             setsid sh -c 'trap : TERM INT USR1; dir=$1; id=$2; shift 2; \"$@\"; echo $? >\"$dir/status-$id\"; \
             rm -f \"$dir/alive-$id\"; {}' sh \"$dir\" {id} {} --engine-id {id} {} </dev/null >>\"$dir\"/engine-{id}.log 2>&1 &\n\
             printf '{MARK} engine {id} %s\\n' \"$(cat /proc/$!/stat)\"",
            clean(),
            command(plan),
            options.join(" ")
        );
    }
}

/// Prints the state of each process, and the exit statuses of those that have ended.
pub fn look(run: &str, processes: &BTreeMap<EngineId, ProcessIdentity>) -> String {
    let mut text = format!("dir={}\n{}", folder(run), sitting::note("\"$dir\""));
    for (id, process) in processes {
        let _ = writeln!(
            text,
            "printf '{MARK} engine {id} %s\\n' \"$(cat /proc/{}/stat 2>/dev/null)\"\n\
             printf '{MARK} status {id} %s\\n' \"$(cat \"$dir\"/status-{id} 2>/dev/null)\"",
            process.pid
        );
    }
    text
}

/// Sends `signal` to the process groups of those processes that still are the recorded ones.
pub fn signal(signal: i32, boot_id: &str, processes: impl IntoIterator<Item = ProcessIdentity>) -> String {
    // A pid means something only on the boot on which it was recorded.
    let mut text = format!(
        "[ \"$(cat /proc/sys/kernel/random/boot_id)\" = {} ] || exit 0\n\
         start() {{ sed 's/.*) //' /proc/$1/stat 2>/dev/null | cut -d' ' -f20; }}\n",
        quote(boot_id)
    );
    for ProcessIdentity { pid, start_time } in processes {
        let _ = writeln!(
            text,
            "if [ \"$(start {pid})\" = {start_time} ]; then kill -{signal} -{pid} && printf '{MARK} signalled {pid}\\n'; fi"
        );
    }
    text
}

/// Prints the end of an engine's log.
pub fn tail(run: &str, id: EngineId) -> String {
    let log = format!("{}/engine-{id}.log", folder(run));
    format!("cat {log}.1 {log} 2>/dev/null | tail -c 65536\n")
}

/// Removes the folder of a run on this host, and what it is in when no other host has one there.
pub fn remove(run: &str) -> String {
    format!("dir={}\nrm -rf \"$dir\" && {{ rmdir \"${{dir%/*}}\" 2>/dev/null || :; }}\n", folder(run))
}

/// What a host answered.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answer {
    /// The path of the run's folder.
    pub folder: Option<String>,
    /// Id of the host's boot.
    pub boot_id: Option<String>,
    /// The processes by engine; `None` for one that does not run.
    pub processes: BTreeMap<EngineId, Option<ProcessIdentity>>,
    /// Exit statuses of the engines that have ended.
    pub statuses: BTreeMap<EngineId, i32>,
    /// What the shell has told of `engines.setup`, if that failed; see [`crate::setup`].
    pub setup: Option<String>,
    /// The last lines that the setup printed then.
    pub said: String,
    /// Why engines could not be forked.
    pub failed: Option<String>,
    /// The last lines of what was to fork engines.
    pub forks: String,
    /// The program that has environments on a disk of the host.
    pub program: Option<String>,
    /// The hashes of the environments that are there.
    pub kept: Option<Vec<String>>,
    /// Why no environment can be there.
    pub unstaged: Option<String>,
    /// The process of that program, if it was asked for, and if it runs.
    pub stager: Option<Option<ProcessIdentity>>,
    /// What it has said last.
    pub stage_said: Option<Said>,
    /// The last lines of its log.
    pub stage_log: String,
    /// Pids that got a signal.
    pub signalled: Vec<u32>,
}

/// How many lines are shown of what a setup that failed has printed.
const SAID_LINES: usize = 10;

impl Answer {
    /// With the last lines that a setup printed on either stream, without ours.
    pub fn with_last_words(self, printed: &str, said: &str) -> Self {
        let ours = |line: &&str| line.starts_with(MARK) || line.starts_with("ipclusterz: engines.setup");
        let lines: Vec<&str> = printed.lines().chain(said.lines()).filter(|line| !ours(line)).collect();
        let last = &lines[lines.len().saturating_sub(SAID_LINES)..];
        Self { said: printable_lines(&last.join("\n")).into_owned(), ..self }
    }

    /// Parses the lines that have our mark, and ignores all others.
    pub fn parse(text: &str) -> Self {
        let mut answer = Answer::default();
        for line in text.lines() {
            let Some(rest) = line.strip_prefix(MARK) else { continue };
            let (kind, rest) = rest.trim_start().split_once(' ').unwrap_or((rest.trim(), ""));
            let (first, second) = rest.split_once(' ').unwrap_or((rest, ""));
            match kind {
                "folder" => answer.folder = Some(rest.to_owned()),
                "boot" => answer.boot_id = Some(rest.to_owned()),
                "engine" => {
                    let Ok(id) = first.parse() else { continue };
                    answer.processes.insert(EngineId(id), running(second));
                }
                "status" => {
                    if let (Ok(id), Ok(status)) = (first.parse(), second.trim().parse()) {
                        answer.statuses.insert(EngineId(id), status);
                    }
                }
                "failed" => answer.failed = Some(printable(rest).into_owned()),
                "forks" => answer.forks = printable_lines(&rest.replace('\r', "\n")).into_owned(),
                "program" => answer.program = Some(rest.to_owned()),
                "kept" => {
                    let names = rest.split_whitespace().filter_map(|name| name.strip_prefix("env-"));
                    answer.kept = Some(names.filter(|name| *name != "*").map(str::to_owned).collect());
                }
                "unstaged" => answer.unstaged = Some(printable(rest).into_owned()),
                "stager" => answer.stager = Some(running(rest)),
                "said" => answer.stage_said = Said::last(rest),
                "stagelog" => answer.stage_log = printable_lines(&rest.replace('\r', "\n")).into_owned(),
                "setup" => answer.setup = Some(rest.to_owned()),
                "signalled" => answer.signalled.extend(first.parse::<u32>()),
                _ => {}
            }
        }
        answer
    }
}

/// The process of a `/proc/PID/stat`, unless it has ended.
fn running(stat: &str) -> Option<ProcessIdentity> {
    let pid = stat.split_whitespace().next()?.parse().ok()?;
    let stat = Stat::parse(stat)?;
    (!stat.has_exited()).then_some(ProcessIdentity { pid, start_time: stat.start_time })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    fn shell(home: &std::path::Path, script: &str) -> String {
        use std::io::Write;
        let mut command = Command::new("sh");
        command.args(["-c", SHELL]).env("IPCLUSTERZ_HOME", home).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("sh");
        child.stdin.take().expect("piped").write_all(script.as_bytes()).expect("write");
        String::from_utf8(child.wait_with_output().expect("end").stdout).expect("UTF-8")
    }

    #[test]
    fn a_real_shell_starts_watches_and_signals_engines() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let home = folder.path();
        let answer = Answer::parse(&shell(home, &prepare("lab-1234")));
        assert_eq!(answer.folder, Some(format!("{}/hosts/lab-1234", home.display())));
        let boot_id = answer.boot_id.expect("told");
        // `sh -c SCRIPT` stands in for Python: it gets the engine's arguments.
        let plan = HostPlan {
            run: "lab-1234".to_owned(),
            python: "sh".to_owned(),
            wrap: vec![],
            own_environment: BTreeMap::new(),
            setup: vec!["greeting=hello".to_owned(), "export greeting".to_owned()],
            environment: BTreeMap::from([("NAME".to_owned(), "it's me".to_owned())]),
            directory: home.display().to_string(),
            options: vec!["--lease".to_owned(), "5".to_owned()],
            fork: false,
        };
        let script = start(&plan, &[(EngineId(3), &[])]).replace(
            "sh -m ipclusterz.engine",
            "sh -c 'echo \"$greeting $NAME $PWD $*\"; trap \"exit 7\" TERM; while :; do sleep 0.05; done' engine",
        );
        let answer = Answer::parse(&shell(home, &script));
        let process = answer.processes[&EngineId(3)].expect("it runs");
        let processes = BTreeMap::from([(EngineId(3), process)]);
        assert!(process.is_alive());
        assert_eq!(Answer::parse(&shell(home, &look("lab-1234", &processes))).processes[&EngineId(3)], Some(process));

        let stranger = ProcessIdentity { start_time: process.start_time + 1, ..process };
        assert!(Answer::parse(&shell(home, &signal(15, &boot_id, [stranger]))).signalled.is_empty());
        assert!(Answer::parse(&shell(home, &signal(15, "another boot", [process]))).signalled.is_empty());
        assert_eq!(Answer::parse(&shell(home, &signal(15, &boot_id, [process]))).signalled, [process.pid]);
        assert!(ipclusterz_host::system::wait_for_end(process.pid, std::time::Duration::from_secs(10)).expect("wait"));
        let answer = Answer::parse(&shell(home, &look("lab-1234", &processes)));
        assert_eq!((answer.processes[&EngineId(3)], answer.statuses[&EngineId(3)]), (None, 7));
        let log = shell(home, &tail("lab-1234", EngineId(3)));
        let expected = format!("hello it's me {}", home.display());
        assert!(log.starts_with(&expected) && log.contains("--engine-id 3 --lease 5"), "{log}");
        shell(home, &remove("lab-1234"));
        assert!(!home.join("hosts/lab-1234").exists());
    }

    #[test]
    fn one_process_forks_all_and_what_it_says_of_them_is_read() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let home = folder.path();
        shell(home, &prepare("lab-1234"));
        let plan = HostPlan {
            run: "lab-1234".to_owned(),
            python: "sh".to_owned(),
            wrap: vec![],
            own_environment: BTreeMap::new(),
            setup: vec![],
            environment: BTreeMap::new(),
            directory: home.display().to_string(),
            options: vec!["--lease=5".to_owned()],
            fork: true,
        };
        let seat = |index: &str| ["--host-index".to_owned(), index.to_owned()];
        let (first, second) = (seat("0"), seat("1"));
        let engines = [(EngineId(3), &first[..]), (EngineId(5), &second[..])];
        let run = |stand_in: &str| {
            let python = format!("sh -c '{stand_in}' engine");
            Answer::parse(&shell(home, &start(&plan, &engines).replace("sh -m ipclusterz.engine", &python)))
        };
        let answer = run("echo \"$*\" >given; echo noise; for id in 3 5; do sleep 1000 >&2 & \
                          echo \"@ipclusterz engine $id $(cat /proc/$!/stat)\"; done; exec >&2; wait; exit 1");
        let processes: Vec<ProcessIdentity> = answer.processes.values().flatten().copied().collect();
        assert_eq!(answer.processes.keys().copied().collect::<Vec<_>>(), engines.map(|(id, _)| id));
        assert!(processes.len() == 2 && processes.iter().all(ProcessIdentity::is_alive));
        let given = std::fs::read_to_string(home.join("given")).expect("its arguments");
        let there = home.join("hosts/lab-1234");
        let seats = "--lease=5 --host-index 1 --fork-ids 3,5 --fork-seats 0,1";
        assert!(given.contains(&format!("{seats} --fork-folder {} --fork-end dir=$1; ", there.display())), "{given}");
        assert!(["alive-3", "alive-5", "engine-3.log"].iter().all(|name| there.join(name).exists()));
        for process in processes {
            ipclusterz_host::system::signal_process(process.pid, libc::SIGKILL).expect("signal");
        }
        let answer = run("echo no way >&2; echo @ipclusterz failed x cannot be imported; exit 1");
        assert_eq!((answer.processes.len(), answer.failed.as_deref()), (0, Some("x cannot be imported")));
        assert_eq!(answer.forks, "no way");
    }

    #[test]
    fn a_setup_that_fails_starts_nothing_and_is_told() {
        let folder = tempfile::tempdir().expect("temporary folder");
        shell(folder.path(), &prepare("lab-1234"));
        let mut plan = HostPlan {
            run: "lab-1234".to_owned(),
            python: "touch".to_owned(),
            wrap: vec![],
            own_environment: BTreeMap::from([("LAB".to_owned(), "blue".to_owned())]),
            setup: vec!["echo a line of output".to_owned(), "LAB=red; ls /nope".to_owned()],
            environment: BTreeMap::new(),
            directory: String::new(),
            options: vec![],
            fork: false,
        };
        let answer = Answer::parse(&shell(folder.path(), &start(&plan, &[(EngineId(3), &[])])));
        assert!(answer.processes.is_empty());
        let failure = setup::failure(&answer.setup.expect("told"), &plan.setup).expect("a failure");
        assert!(failure.ends_with(": `LAB=red; ls /nope` ended with status 2"), "{failure}");
        plan.setup = vec!["[ -e /nope ] && LAB=green".to_owned(), "LAB=red".to_owned()];
        let print = start(&plan, &[]) + "echo \"$LAB\"\n";
        assert_eq!(shell(folder.path(), &print).lines().last(), Some("blue"));
    }

    #[test]
    fn the_last_host_with_a_home_removes_what_the_run_had_there() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let (home, run) = (folder.path(), folder.path().join("hosts/lab-1234"));
        for host in ["0-n1", "1-n2"] {
            shell(home, &prepare(&format!("lab-1234/{host}")));
        }
        shell(home, &look("lab-1234/0-n1", &BTreeMap::new()));
        assert!(run.join("0-n1").join(sitting::FILE).exists() && !run.join("1-n2").join(sitting::FILE).exists());
        shell(home, &remove("lab-1234/0-n1"));
        assert!(run.join("1-n2").exists() && !run.join("0-n1").exists());
        shell(home, &remove("lab-1234/1-n2"));
        assert!(!run.exists());
    }

    #[test]
    fn what_a_login_shell_prints_is_not_taken_for_an_answer() {
        let answer = Answer::parse("Welcome!\nengine 1 up\n@ipclusterz engine x 1\n@ipclusterz status 2 \n");
        assert_eq!(answer, Answer::default());
    }
}
