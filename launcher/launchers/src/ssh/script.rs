//! The scripts for the shell of another host, and what their answers mean. Pure.
//!
//! Every script goes to the standard input of a shell there, so that no value of the environment and no path ever
//! appears in the arguments of a process. Engines are started detached, each the leader of a session of its own. So
//! they outlive the SSH connection; they exit by themselves when no controller has answered within their lease.

use crate::engine_words::PROGRAM;
use ipclusterz_base::ids::EngineId;
use ipclusterz_base::process::Stat;
use ipclusterz_host::identity::ProcessIdentity;
use ipclusterz_host::shell::quote;
use ipclusterz_ssh::sitting;
use std::collections::BTreeMap;
use std::fmt::Write;

/// The command that reads a script: a login shell, so that `module` and the like are defined.
pub const SHELL: &str = "if command -v bash >/dev/null 2>&1; then exec bash -l -s; else exec sh -l -s; fi";

/// The mark of our lines among whatever else a login shell prints.
const MARK: &str = "@ipclusterz";

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
    /// Variables to set.
    pub environment: BTreeMap<String, String>,
    /// Working directory; the home folder is used when it does not exist.
    pub directory: String,
    /// Further options of the engine.
    pub options: Vec<String>,
}

/// The path of a run's folder on the host, as a word of its shell.
fn folder(run: &str) -> String {
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

/// Starts engines; prints the process of each.
pub fn start(plan: &HostPlan, engines: &[EngineId]) -> String {
    let mut text = format!("umask 077\ndir={}\ncd \"$dir\" || exit 1\n", folder(&plan.run));
    for (name, value) in &plan.environment {
        let _ = writeln!(text, "export {name}={}", quote(value));
    }
    for line in &plan.setup {
        let _ = writeln!(text, "{line}");
    }
    let _ = writeln!(text, "if [ -d {0} ]; then cd {0}; else cd; fi", quote(&plan.directory));
    let words: Vec<String> = plan.wrap.iter().chain([&plan.python]).map(|word| quote(word)).collect();
    let options: Vec<String> = plan.options.iter().map(|option| quote(option)).collect();
    for id in engines {
        // The inner shell records the exit status. It has a trap, which the engine does not inherit, unlike an ignored
        // signal. The last engine removes the connection file and uploads: the launcher that would do it may be gone.
        let _ = writeln!(
            text,
            "rm -f \"$dir\"/status-{id}; : >\"$dir\"/alive-{id}\n\
             setsid sh -c 'trap : TERM INT USR1; dir=$1; id=$2; shift 2; \"$@\"; echo $? >\"$dir/status-$id\"; \
             rm -f \"$dir/alive-$id\"; set -- \"$dir\"/alive-*; [ -e \"$1\" ] || {{ rm -rf \"$dir/engine.json\" \"$dir/uploads\"; {}; }}' sh \
             \"$dir\" {id} {} {} --connection-file \"$dir\"/engine.json --engine-id {id} {} \
             </dev/null >>\"$dir\"/engine-{id}.log 2>&1 &\n\
             printf '{MARK} engine {id} %s\\n' \"$(cat /proc/$!/stat)\"",
            sitting::end_if_silent("\"$dir\"", SILENCE),
            words.join(" "),
            PROGRAM.join(" "),
            options.join(" ")
        );
    }
    text
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
    /// Pids that got a signal.
    pub signalled: Vec<u32>,
}

impl Answer {
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
            setup: vec!["greeting=hello".to_owned(), "export greeting".to_owned()],
            environment: BTreeMap::from([("NAME".to_owned(), "it's me".to_owned())]),
            directory: home.display().to_string(),
            options: vec!["--lease".to_owned(), "5".to_owned()],
        };
        let script = start(&plan, &[EngineId(3)]).replace(
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
