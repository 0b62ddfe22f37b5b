//! `engines.setup`: the lines of shell that run before engines, on every host that has some, and what is told when one of
//! them fails. The same text for all launchers; each says where the shell tells.
//!
//! # Format
//!
//! A shell that fails tells `HOST STATUS LINE`: the exit status, and which line of the setup it was, counted from 1, or `?`
//! where the shell does not know. bash knows; any other shell obeys `set -e` while it runs the lines.

use crate::cluster::logs::LogFolder;
use crate::set::SetId;
use ipclusterz_base::private::{self, How};
use ipclusterz_base::words::{cut, printable, printable_lines};
use ipclusterz_host::exit_code::Exit;
use ipclusterz_host::failure::Failure;
use ipclusterz_host::shell::quote;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const BEGIN: &str = include_str!("setup-begin.sh");
const END: &str = include_str!("setup-end.sh");
/// What a shell does with the words of a failure that go to a file, whose path is in a variable.
const TO_FILE: &str = r#"printf '%s\n' "$1" >>"$ipclusterz_report""#;
/// The most that is shown of a line that failed.
const SHOWN: usize = 200;
/// The lines of a script that run the setup and tell a file when they fail. None for a setup without lines.
pub fn lines_telling_file(setup: &[String], file: &Path) -> Vec<String> {
    if setup.is_empty() {
        return Vec::new();
    }
    let mut text = vec![format!("ipclusterz_report={}", quote(&file.to_string_lossy()))];
    text.extend(lines(setup, TO_FILE));
    text
}

/// The same for a script whose output is read: the words are on a line of it, behind `mark`.
pub fn lines_telling_output(setup: &[String], mark: &str) -> Vec<String> {
    if setup.is_empty() { Vec::new() } else { lines(setup, &format!("printf '{mark} %s\\n' \"$1\"")) }
}

fn lines(setup: &[String], tell: &str) -> Vec<String> {
    let mut text = vec![format!("ipclusterz_tell() {{ {tell}; }}")];
    text.extend(BEGIN.lines().map(str::to_owned));
    text.extend(setup.iter().cloned());
    // The last line may end with a backslash.
    text.push(String::new());
    text.extend(END.lines().map(str::to_owned));
    text
}

/// Refuses lines that no shell can read, such as an open quote: they would go on into what stands behind them. What a bash
/// of this host says is believed; without one, nothing is refused.
pub fn check(setup: &[String]) -> Result<(), Failure> {
    if setup.is_empty() {
        return Ok(());
    }
    let mut bash = Command::new("bash");
    // A here-document without an end is only worth a warning to it. It has no other reason to say anything.
    bash.args(["--norc", "--noprofile", "-n", "-c", &setup.join("\n"), "engines.setup"]).env("LC_ALL", "C");
    match bash.stdin(Stdio::null()).output() {
        Ok(output) if !output.stderr.is_empty() => {
            let said = String::from_utf8_lossy(&output.stderr);
            let message = format!("engines.setup cannot be read by a shell: {}", printable_lines(said.trim()));
            Err(Failure::new(Exit::Usage, message).with_hint("close each quote, `if` and here-document in it"))
        }
        _ => Ok(()),
    }
}

/// A line of shell that sets a variable for all that follows.
pub fn export(name: &str, value: &str) -> String {
    format!("export {name}={}", quote(value))
}

/// Whether a shell can set a variable of this name.
pub fn is_name(name: &str) -> bool {
    let part = |character: char| character.is_ascii_alphanumeric() || character == '_';
    name.chars().all(part) && name.chars().next().is_some_and(|first| !first.is_ascii_digit())
}

/// The setup of a cluster's engines as a program, which runs the lines and then the command that its arguments are. A
/// launcher puts it before the command of each engine, where it does not write the script itself in which that stands.
#[derive(Debug, Clone)]
pub struct Setup {
    lines: Vec<String>,
    /// The shell with its options.
    shell: Vec<String>,
    file: PathBuf,
    logs: LogFolder,
}

impl Setup {
    /// The program at `file`, which a login shell runs: `module` and `conda` are functions that only a login shell is
    /// sure to have. `None` for a setup without lines.
    pub fn in_login_shell(lines: &[String], file: PathBuf, logs: LogFolder) -> Option<Self> {
        let shell = ["/bin/bash", "-l"].map(str::to_owned).into();
        (!lines.is_empty()).then(|| Self { lines: lines.to_vec(), shell, file, logs })
    }

    /// The same in the shell that `first_line` of a script names: that of the script which starts it, and which has given
    /// it its environment.
    pub fn in_shell_of(first_line: &str, lines: &[String], file: PathBuf, logs: LogFolder) -> Option<Self> {
        let words: Vec<String> = first_line.trim_start_matches("#!").split_whitespace().map(str::to_owned).collect();
        let shell = if words.is_empty() { vec!["/bin/sh".to_owned()] } else { words };
        Self::in_login_shell(lines, file, logs).map(|setup| Self { shell, ..setup })
    }

    /// Writes the file. `environment` has the variables that hold whatever the lines do.
    pub fn write(&self, environment: &BTreeMap<String, String>) -> Result<(), Failure> {
        let begin = [
            "# Runs engines.setup, then the command in the arguments; the first one is the file for its failure.",
            "ipclusterz_report=$1; shift",
            // Files that the lines read get no arguments of ours.
            "[ -z \"${BASH_VERSION-}\" ] || { eval 'ipclusterz_command=(\"$@\")'; set --; }",
        ];
        let end = ["[ -z \"${BASH_VERSION-}\" ] || eval 'exec \"${ipclusterz_command[@]}\"'", "exec \"$@\"\n"];
        let mut text: Vec<String> = begin.map(str::to_owned).into();
        text.extend(lines(&self.lines, TO_FILE));
        text.extend(environment.iter().filter(|(name, _)| is_name(name)).map(|(name, value)| export(name, value)));
        text.extend(end.map(str::to_owned));
        write_new(&self.file, &text.join("\n"))
    }

    /// The words before the command of the engines of a set.
    pub fn words(&self, set: SetId) -> impl Iterator<Item = OsString> + use<> {
        let paths = [self.file.clone(), self.logs.setup(set)].map(OsString::from);
        self.shell.clone().into_iter().map(OsString::from).chain(paths)
    }

    /// Makes the file for the failure of a set, empty. Must be done before the set is started: NFS remembers for up to a
    /// minute that a file does not exist.
    pub fn expect(&self, set: SetId) -> Result<(), Failure> {
        write_new(&self.logs.setup(set), "")
    }

    /// What a shell of the set has told, if it has failed: for a person.
    pub fn failure(&self, set: SetId) -> Option<String> {
        let text = std::fs::read_to_string(self.logs.setup(set)).ok()?;
        text.lines().find_map(|words| failure(words, &self.lines))
    }
}

fn write_new(path: &Path, text: &str) -> Result<(), Failure> {
    private::remove(path)?;
    let written = private::open_to_write(path, How::New)?.write_all(text.as_bytes());
    written.map_err(Failure::io(format!("writing {}", path.display())))
}

/// `engines.setup failed on n2: "module load nope" ended with status 1`, from what a shell has told.
pub fn failure(words: &str, setup: &[String]) -> Option<String> {
    let mut words = words.split(' ');
    let (host, status, line) = (words.next()?, words.next()?.parse::<u8>().ok()?, words.next()?);
    let number = line.parse::<usize>().ok().and_then(|number| number.checked_sub(1));
    let text = setup.iter().flat_map(|entry| entry.split('\n'));
    let host = printable(host);
    Some(match number.and_then(|number| text.clone().nth(number)) {
        Some(line) => {
            format!("engines.setup failed on {host}: `{}` ended with status {status}", cut(&printable(line), SHOWN))
        }
        None => format!("engines.setup failed on {host}: it ended with status {status}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use ipclusterz_base::places;
    use std::process::Output;

    /// Runs a setup in a shell, with a command behind it that prints its arguments and variables.
    fn run(shell: &str, setup: &[&str]) -> (Output, Option<String>) {
        let folder = tempfile::tempdir().expect("temporary folder");
        let lines: Vec<String> = setup.iter().map(|line| (*line).to_owned()).collect();
        let (file, logs) = (folder.path().join("it's setup.sh"), LogFolder::at(folder.path().to_path_buf()));
        let setup = Setup::in_shell_of(shell, &lines, file, logs).expect("lines");
        setup.write(&BTreeMap::from([("KEPT".to_owned(), "it's kept".to_owned())])).expect("write");
        setup.expect(SetId(3)).expect("write");
        std::fs::write(folder.path().join("read"), "false\ninner() { false; }\ninner\nFROM_FILE=$#\n").expect("write");
        let mut words = setup.words(SetId(3));
        let mut command = Command::new(words.next().expect("a shell"));
        let print = "printf '%s|' \"$@\" \"$KEPT\" \"$SET\"";
        command.args(words).args(["sh", "-c", print, "sh", "a b", "*"]).current_dir(folder.path());
        let output = command.output().expect("sh");
        let here = format!(" on {}:", places::host_name());
        (output, setup.failure(SetId(3)).map(|failure| failure.replace(&here, " on n2:")))
    }

    fn runs(shell: &str, setup: &[&str]) -> String {
        let (output, failure) = run(shell, setup);
        assert_eq!((failure, output.status.code()), (None, Some(0)), "{setup:?} {output:?}");
        String::from_utf8(output.stdout).expect("UTF-8")
    }

    fn fails(shell: &str, setup: &[&str]) -> String {
        let (output, failure) = run(shell, setup);
        assert!(!output.status.success() && output.stdout.is_empty(), "{setup:?} {output:?}");
        let errors = String::from_utf8(output.stderr).expect("UTF-8");
        assert!(errors.contains("ipclusterz: engines.setup failed on "), "{errors}");
        failure.expect("a failure")
    }

    #[test]
    fn the_command_comes_after_the_lines_with_what_they_have_set() {
        for shell in ["#!/bin/bash", "#!/bin/sh", "#!/usr/bin/env bash", ""] {
            assert_eq!(runs(shell, &["export SET=1 KEPT=2"]), "a b|*|it's kept|1|", "{shell}");
        }
    }

    #[test]
    fn what_may_fail_in_a_shell_may_fail_here() {
        let lines: [&[&str]; 9] = [
            &["[ -f /nope ] && . /nope"],
            &["false || true", "if false; then :", "fi", "! true"],
            &["module() { false; return 0; }", "module load x"],
            &["source ./read"],
            &["unset NOPE; echo $NOPE >/dev/null"],
            &["set -eu"],
            &["for each in 1 2; do\n  [ $each = 3 ] && true\ndone"],
            &["cat <<'END' >/dev/null\n`'\nEND"],
            &["export SET=$(false)"],
        ];
        for setup in lines {
            runs("#!/bin/bash", setup);
        }
        assert_eq!(runs("#!/bin/bash", &["source ./read", "export SET=$FROM_FILE"]), "a b|*|it's kept|0|");
        runs("#!/bin/sh", &["[ -f /nope ] && . /nope", "false || true"]);
    }

    #[test]
    fn the_line_that_fails_is_told_and_ends_it() {
        let told = |line: &str, status| format!("engines.setup failed on n2: `{line}` ended with status {status}");
        let cases: [(&[&str], &str, u8); 9] = [
            (&["true", "module() {\n  false\n  return 1; }", "module load nope", "touch /x"], "module load nope", 1),
            (&["nosuchcommand x"], "nosuchcommand x", 127),
            (&["true; (exit 4)"], "true; (exit 4)", 4),
            (&["if true; then", "  source /nope/activate", "fi"], "  source /nope/activate", 1),
            (&["exit 3"], "exit 3", 3),
            (&["exit 0"], "exit 0", 0),
            (&["set -u", "echo $NOPE"], "echo $NOPE", 1),
            (&["true | false"], "true | false", 1),
            (&["true\n\n# a comment\ncd /nope"], "cd /nope", 1),
        ];
        for (setup, line, status) in cases {
            assert_eq!(fails("#!/bin/bash", setup), told(line, status));
        }
        assert!(fails("#!/bin/bash", &["fi"]).contains("it ended with status "));
        assert!(fails("#!/bin/sh", &["true", "false"]).ends_with(": it ended with status 1"));
    }

    #[test]
    fn what_would_go_on_behind_the_lines_is_refused() {
        let checked = |line: &str| check(&["true".to_owned(), line.to_owned()]).map_err(|failure| failure.message);
        for line in ["echo 'open", "cat <<END", "if true; then", "fi"] {
            let message = checked(line).expect_err(line);
            assert!(message.starts_with("engines.setup cannot be read by a shell: "), "{message}");
        }
        for line in ["module load x", "if true; then\n  cd\nfi", "true \\", "# it's", ""] {
            assert_eq!(checked(line), Ok(()), "{line}");
        }
        assert!(runs("#!/bin/bash", &["export SET=2 \\"]).ends_with("|2|"));
    }

    #[test]
    fn modules_before_version_4_fail_by_what_they_write() {
        let modulecmd =
            "modulecmd() { [ \"$3\" != nope ] || echo \"x.c(213):ERROR:105: no such modulefile\" >&2; echo SET=$3; }";
        let module = "module() { eval `modulecmd bash $*`; }";
        let failure = fails("#!/bin/bash", &[modulecmd, module, "module load nope"]);
        assert_eq!(failure, "engines.setup failed on n2: `module load nope` ended with status 1");
        let setup = [modulecmd, module, "module load fine", "export SET; export -f module"];
        assert_eq!(runs("#!/bin/bash", &setup), "a b|*|it's kept|fine|");
    }

    #[test]
    fn what_is_told_is_shown_as_text_alone() {
        let setup = ["a\u{1b}[2J".to_owned()];
        let shown = failure("n\u{1b}2 1 1", &setup).expect("a failure");
        assert!(!shown.contains('\u{1b}'), "{shown}");
        for words in ["", "n2", "n2 x 1", "n2 1"] {
            assert_eq!(failure(words, &setup), None, "{words}");
        }
        assert_eq!(failure("n2 1 99", &setup).expect("told"), "engines.setup failed on n2: it ended with status 1");
    }
}
