//! The scripts that have an environment on a disk of another host. Pure; what they print is read by
//! [`super::script::Answer`].

use super::script::{HostPlan, MARK, folder};
use crate::stage::words::COPY_PROGRAM;
use ipclusterz_host::identity::ProcessIdentity;
use ipclusterz_host::shell::quote;
use std::fmt::Write;

/// Puts this program on a disk of the host, which is read from where the environment is once, and prints its path and the
/// hashes of the environments that are there. What keeps it from that is printed, too.
pub fn prepare(plan: &HostPlan) -> String {
    let mut text = String::new();
    environment(&mut text, plan);
    let _ = writeln!(
        text,
        "problem() {{ printf '{MARK} unstaged %s\\n' \"$1\"; exit 0; }}\npython={}\n{COPY_PROGRAM}\
         printf '{MARK} program %s\\n' \"$copy\"\ncd \"$stage\" && printf '{MARK} kept %s\\n' \"$(echo env-*)\"",
        quote(&plan.python)
    );
    text
}

/// Starts the program with an order, in a session of its own, in the place of an earlier one; prints its process, and what it has said
/// if that has ended already.
pub fn begin(plan: &HostPlan, program: &str, order: &str, earlier: Option<ProcessIdentity>) -> String {
    let mut text = format!("umask 077\ndir={}\ncd \"$dir\" || exit 1\n", folder(&plan.run));
    if let Some(ProcessIdentity { pid, start_time }) = earlier {
        let _ = writeln!(
            text,
            "[ \"$(sed 's/.*) //' /proc/{pid}/stat 2>/dev/null | cut -d' ' -f20)\" != {start_time} ] || kill {pid}"
        );
    }
    environment(&mut text, plan);
    let _ = writeln!(
        text,
        "rm -f stage.said\nsetsid {} stage >stage.said 2>stage.log <<'{MARK}' &\n{order}\n{MARK}\n\
         printf '{MARK} stager %s\\n' \"$(cat /proc/$!/stat)\"\n{}",
        quote(program),
        said()
    );
    text
}

/// Prints what the program has said. What it says last it says before it ends.
fn said() -> String {
    format!(
        "printf '{MARK} said %s\\n' \"$(tail -n 1 stage.said 2>/dev/null)\"\n\
         printf '{MARK} stagelog %s\\n' \"$(tail -c 4096 stage.log 2>/dev/null | tail -n 5 | tr '\\n' '\\r')\"\n"
    )
}

/// Prints the process again, if it is there, and what it has said.
pub fn look(run: &str, process: ProcessIdentity) -> String {
    format!(
        "cd {} || exit 1\nprintf '{MARK} stager %s\\n' \"$(cat /proc/{}/stat 2>/dev/null)\"\n{}",
        folder(run),
        process.pid,
        said()
    )
}

fn environment(text: &mut String, plan: &HostPlan) {
    for (name, value) in &plan.environment {
        let _ = writeln!(text, "export {name}={}", quote(value));
    }
}

#[cfg(test)]
mod tests {
    use super::super::script::{self, Answer, SHELL};
    use super::*;
    use std::collections::BTreeMap;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::path::Path;
    use std::process::{Command, Stdio};

    fn shell(home: &Path, script: &str) -> Answer {
        use std::io::Write;
        let mut command = Command::new("sh");
        command.args(["-c", SHELL]).env("IPCLUSTERZ_HOME", home).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("sh");
        child.stdin.take().expect("piped").write_all(script.as_bytes()).expect("write");
        Answer::parse(&String::from_utf8(child.wait_with_output().expect("end").stdout).expect("UTF-8"))
    }

    fn plan(folder: &Path) -> HostPlan {
        let stage = folder.join("it's here").display().to_string();
        HostPlan {
            run: "lab-1234".to_owned(),
            python: folder.join("env/bin/python").display().to_string(),
            wrap: vec![],
            setup: vec![],
            own_environment: BTreeMap::new(),
            environment: BTreeMap::from([("IPCLUSTERZ_STAGE_DIR".to_owned(), stage)]),
            directory: String::new(),
            options: vec![],
            fork: false,
        }
    }

    /// A program in the environment that does this.
    fn install(folder: &Path, does: &str) {
        fs::create_dir_all(folder.join("env/bin")).expect("make");
        let program = folder.join("env/bin/ipclusterz");
        fs::write(&program, format!("#!/bin/sh\n{does}\n")).expect("write");
        fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).expect("mode");
    }

    #[test]
    fn the_program_is_copied_once_and_told_what_to_do() {
        let temporary = tempfile::tempdir().expect("temporary folder");
        let (folder, plan) = (temporary.path(), plan(temporary.path()));
        install(
            folder,
            "[ \"$1\" = stage ] || exit 0\nread -r line\necho \"{\\\"doing\\\": \\\"$line\\\"}\"\nexec sleep 1000",
        );
        let first = shell(folder, &prepare(&plan));
        let program = first.program.clone().expect("copied");
        assert!(program.starts_with(&plan.environment["IPCLUSTERZ_STAGE_DIR"]), "{program}");
        assert_eq!(first.kept, Some(vec![]));
        fs::create_dir(folder.join("it's here/env-0123")).expect("make");
        let inode = fs::metadata(&program).map(|metadata| std::os::unix::fs::MetadataExt::ino(&metadata));
        let second = shell(folder, &prepare(&plan));
        assert_eq!((second.program, second.kept), (first.program, Some(vec!["0123".to_owned()])));
        let again = fs::metadata(&program).map(|metadata| std::os::unix::fs::MetadataExt::ino(&metadata));
        assert_eq!(inode.expect("there"), again.expect("there"));
        shell(folder, &script::prepare(&plan.run));
        let process =
            shell(folder, &begin(&plan, &program, "it's $HOME", None)).stager.expect("told").expect("it runs");
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
        let looked = loop {
            let looked = shell(folder, &look(&plan.run, process));
            if looked.stage_said.is_some() || std::time::Instant::now() > deadline {
                break looked;
            }
        };
        let said = crate::stage::order::Said::Doing("it's $HOME".to_owned());
        assert_eq!((looked.stager, looked.stage_said), (Some(Some(process)), Some(said)));
        let another = ProcessIdentity { start_time: process.start_time + 1, ..process };
        let second = shell(folder, &begin(&plan, &program, "x", Some(another))).stager.expect("told").expect("it runs");
        assert!(process.is_alive());
        let third = shell(folder, &begin(&plan, &program, "x", Some(process))).stager.expect("told").expect("it runs");
        for other in [second, third] {
            ipclusterz_host::system::signal_process(other.pid, libc::SIGKILL).expect("signal");
        }
        assert!(ipclusterz_host::system::wait_for_end(process.pid, std::time::Duration::from_secs(10)).expect("wait"));
        assert_eq!(shell(folder, &look(&plan.run, process)).stager, Some(None));
    }

    #[test]
    fn what_keeps_a_host_from_it_is_told() {
        let temporary = tempfile::tempdir().expect("temporary folder");
        let (folder, plan) = (temporary.path(), plan(temporary.path()));
        let told = || shell(folder, &prepare(&plan)).unstaged.expect("told");
        assert!(told().contains("env/bin/ipclusterz, which is installed with"), "{}", told());
        install(folder, "exit 1");
        assert!(told().ends_with("is where no program can be run"), "{}", told());
        fs::remove_dir_all(folder.join("it's here")).expect("remove");
        std::os::unix::fs::symlink("/tmp", folder.join("it's here")).expect("link");
        assert!(told().ends_with("is not a folder of yours on this host"), "{}", told());
    }
}
