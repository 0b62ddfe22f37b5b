//! A launcher of jobs in a folder of its own, and the script that stands in for Python in them.

use crate::slurm::{PATIENCE, until};
use ipclusterz_base::ids::EngineId;
use ipclusterz_launchers::batch::{BatchLauncher, BatchOptions};
use ipclusterz_launchers::cluster::logs::LogFolder;
use ipclusterz_launchers::contract::Launcher;
use ipclusterz_launchers::set::{EngineSet, SetEnd, SetEvent, SetId};
use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;
use toml::{Table, Value};

/// Prints who it is, waits until its gate is opened, and exits with the code that it reads there.
const ENGINE: &str = r#"#!/bin/sh
number=${SLURM_ARRAY_TASK_ID:-${SGE_TASK_ID:-${SLURM_PROCID:-0}}}
[ "$number" != undefined ] || number=0
gate=GATES/$number
echo "engine $number on $(hostname) ends at ${IPCLUSTERZ_END_TIME:-never}, $GREETING: $*"
mkfifo "$gate"
read -r code < "$gate"
rm "$gate"
exit "$code"
"#;

pub struct Player {
    pub folder: PathBuf,
    pub options: BatchOptions,
}

impl Player {
    /// Options of the profiles `layers` on top of the default one; later layers take precedence.
    pub fn new(folder: &Path, layers: &[&str], environment: &[String]) -> Self {
        for name in ["logs", "gates", "work"] {
            std::fs::create_dir_all(folder.join(name)).expect("create");
        }
        let python = folder.join("python");
        let gates = folder.join("gates").display().to_string();
        std::fs::write(&python, ENGINE.replace("GATES", &gates)).expect("write");
        std::fs::set_permissions(&python, PermissionsExt::from_mode(0o755)).expect("chmod");
        let mut tables: Table = include_str!("../../../../profiles/default.toml").parse().expect("default profile");
        for layer in layers {
            merge(&mut tables, layer.parse().expect("TOML"));
        }
        let queue = tables["queue"].as_table_mut().expect("a table");
        for command in ["submit", "status", "outcome", "accounting", "cancel", "kill", "check"] {
            run_in(environment, &mut queue[command]);
        }
        for refusal in queue["refusals"].as_array_mut().expect("tables") {
            refusal.get_mut("valid").into_iter().for_each(|command| run_in(environment, command));
        }
        let options = BatchOptions {
            cluster: "lab".to_owned(),
            batch: tables["batch"].clone().try_into().expect("[batch]"),
            queue: tables["queue"].clone().try_into().expect("[queue]"),
            engines: tables["engines"].clone().try_into().expect("[engines]"),
            python,
            directory: folder.join("work"),
            engine_file: folder.join("engine.json"),
            setup_file: folder.join("setup.sh"),
            logs: LogFolder::at(folder.join("logs")),
            environment: BTreeMap::new(),
        };
        Self { folder: folder.to_path_buf(), options }
    }

    pub fn launcher(&self) -> BatchLauncher {
        BatchLauncher::new(self.options.clone(), Arc::new(|| ())).expect("a launcher")
    }

    /// Makes the engine `number` exit with a code.
    pub fn end_engine(&self, number: u32, code: i32) {
        let gate = self.folder.join(format!("gates/{number}"));
        let mut file = until(&format!("engine {number} waits"), PATIENCE, || {
            // Fails as long as the engine does not read.
            OpenOptions::new().write(true).custom_flags(libc::O_NONBLOCK).open(&gate).ok()
        });
        writeln!(file, "{code}").expect("write");
    }

    /// Waits until that many engines wait at their gates.
    pub fn engines_run(&self, count: usize) {
        until(&format!("{count} engines run"), PATIENCE, || {
            (std::fs::read_dir(self.folder.join("gates")).expect("gates").count() == count).then_some(())
        });
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.options.logs.job(SetId(0), "log")).unwrap_or_default()
    }
}

/// Puts words before a command, if there is one.
fn run_in(environment: &[String], command: &mut Value) {
    let arguments = command.as_array_mut().expect("a command");
    if !arguments.is_empty() {
        arguments.splice(0..0, environment.iter().cloned().map(Value::String));
    }
}

fn merge(into: &mut Table, from: Table) {
    for (name, value) in from {
        match (into.get_mut(&name), value) {
            (Some(Value::Table(into)), Value::Table(from)) => merge(into, from),
            (_, value) => {
                into.insert(name, value);
            }
        }
    }
}

pub fn set(first: u32, count: u32) -> EngineSet {
    EngineSet { id: SetId(0), first: EngineId(first), count, group: None }
}

/// Waits for the first event for which `wanted` returns a value; collects the events before it.
#[track_caller]
pub fn event<T>(
    launcher: &mut BatchLauncher,
    what: &str,
    patience: Duration,
    wanted: impl Fn(&SetEvent) -> Option<T>,
) -> T {
    let mut seen = Vec::new();
    until(what, patience, || {
        for (_, event) in launcher.poll() {
            if let Some(found) = wanted(&event) {
                return Some(found);
            }
            assert!(!matches!(event, SetEvent::Ended(_)), "{what}: {event:?} after {seen:?}");
            seen.push(event);
        }
        None
    })
}

#[track_caller]
pub fn waits(launcher: &mut BatchLauncher, why: &str) -> String {
    event(launcher, why, PATIENCE, |event| match event {
        SetEvent::Waiting(text) if text.contains(why) => Some(text.clone()),
        _ => None,
    })
}

#[track_caller]
pub fn runs(launcher: &mut BatchLauncher) -> String {
    event(launcher, "the job runs", PATIENCE, |event| match event {
        SetEvent::Running(text) => Some(text.clone()),
        _ => None,
    })
}

#[track_caller]
pub fn ends(launcher: &mut BatchLauncher, patience: Duration) -> SetEnd {
    event(launcher, "the job ends", patience, |event| match event {
        SetEvent::Ended(end) => Some(end.clone()),
        _ => None,
    })
}

/// The current time in seconds since 1970, by the clock that scripts use.
pub fn now() -> i64 {
    let output = Command::new("date").arg("+%s").output().expect("date");
    String::from_utf8(output.stdout).expect("UTF-8").trim().parse().expect("seconds")
}
