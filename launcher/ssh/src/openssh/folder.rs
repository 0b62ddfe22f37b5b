//! The private folder of one connection: its configuration, its control socket, and the pipes on which `ssh` asks
//! questions. The processes are those of [`super::keeper`].
//!
//! `ssh` asks for passphrases and passwords through a small script (SSH_ASKPASS). The script passes the question to
//! this process on one named pipe and gets the answer on another one, so that a secret is never in a file, an argument
//! or the environment.

use crate::account::{self, Account};
use crate::answers::written_answer;
use crate::asker::Secret;
use crate::error::SshError;
use crate::known_hosts::files_of;
use ipclusterz_base::places;
use ipclusterz_base::private::{self, How};
use ipclusterz_base::words::about;
use ipclusterz_host::owned::OwnedFolder;
use ipclusterz_profile::tables::ssh::SshTable;
use std::ffi::CString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// The script of SSH_ASKPASS. It exits when nobody holds the other end of `answer`, which is when this process has
/// ended.
const ASKPASS: &str = r#"#!/bin/sh
kind=${SSH_ASKPASS_PROMPT:-secret}
cd "$IPCLUSTERZ_ASKPASS" || exit 1
printf '%s\t%s\n' "$kind" "$(printf '%s' "$1" | tr '\n\t' '  ')" > question
[ "$kind" = none ] && exit 0
IFS= read -r answer < answer || exit 1
case $answer in
+*) printf '%s\n' "${answer#+}" ;;
*) exit 1 ;;
esac
"#;

/// Appends the key that a host has shown to a file, as a line for known_hosts. It prints nothing, so that it adds no
/// known keys.
const SHOW_KEY: &str = r#"if [ "$2" = HOSTNAME ]; then printf '%s %s %s\n' "$3" "$4" "$5" >> "$1"; fi
"#;

/// A question of `ssh`.
#[derive(Debug, PartialEq, Eq)]
pub enum Asked {
    /// It asks for a passphrase, a password or a code.
    Secret(String),
    /// It asks for yes or no: whether to trust a key, or to use one.
    Confirm(String),
    /// Not a question: `Confirm user presence for key …`.
    Notice(String),
}

/// The folder; it is removed with its content when dropped.
pub struct PrivateFolder {
    folder: OwnedFolder,
    question: File,
    answer: File,
    pending: String,
}

impl PrivateFolder {
    /// Creates the folder for a connection to `host`. Its configuration puts the settings of `table` before the user's.
    /// `tells_keys`: whether `ssh` can tell the keys that hosts show.
    pub fn new(host: &str, table: &SshTable, tells_keys: bool) -> Result<Self, SshError> {
        let failed = || SshError::local("making a private folder for ssh");
        let other = |error: places::PlacesError| failed()(io::Error::other(error));
        // The name is short: the path of a socket has at most 107 bytes, of which ssh needs 17 for itself.
        let folder = OwnedFolder::new("ssh", &format!("connection of ssh to {host}")).map_err(other)?;
        let make = |path: &Path| -> io::Result<(File, File)> {
            let mut script = private::open_to_write(&path.join("askpass"), How::NewProgram)?;
            script.write_all(ASKPASS.as_bytes())?;
            Ok((pipe(&path.join("question"))?, pipe(&path.join("answer"))?))
        };
        let (question, answer) = make(folder.path()).map_err(about(folder.path())).map_err(failed())?;
        let folder = Self { folder, question, answer, pending: String::new() };
        let mut text = configuration(table)?;
        if tells_keys {
            places::write_private(&folder.path().join("show-key"), SHOW_KEY.as_bytes()).map_err(other)?;
            let (script, keys) = (quoted(&folder.path().join("show-key")), quoted(&folder.keys()));
            // At the end, so that a setting of the user takes precedence.
            text.push_str(&format!("KnownHostsCommand /bin/sh {script} {keys} %I %H %t %K\n"));
        }
        places::write_private(&folder.config(), text.as_bytes()).map_err(other)?;
        Ok(folder)
    }

    /// The path of the folder.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The configuration for `-F`.
    pub fn config(&self) -> PathBuf {
        self.path().join("config")
    }

    /// The socket for `-S`.
    pub fn control(&self) -> PathBuf {
        self.path().join("m")
    }

    /// The script for SSH_ASKPASS.
    pub fn askpass(&self) -> PathBuf {
        self.path().join("askpass")
    }

    /// The keys that hosts have shown, as lines of known_hosts.
    pub fn shown_keys(&self) -> String {
        fs::read_to_string(self.keys()).unwrap_or_default()
    }

    fn keys(&self) -> PathBuf {
        self.path().join("keys")
    }

    /// The descriptor to poll for reading; it is ready when there is a question.
    pub fn questions(&self) -> BorrowedFd<'_> {
        self.question.as_fd()
    }

    /// The next question; `None` when there is none.
    pub fn next_question(&mut self) -> Option<Asked> {
        let mut buffer = [0; 4096];
        if let Ok(count) = self.question.read(&mut buffer) {
            self.pending.push_str(&String::from_utf8_lossy(&buffer[..count]));
        }
        let (line, rest) = self.pending.split_once('\n')?;
        let (line, rest) = (line.to_owned(), rest.to_owned());
        self.pending = rest;
        let (kind, text) = line.split_once('\t').unwrap_or(("secret", &line));
        Some(match kind {
            "none" => Asked::Notice(text.to_owned()),
            "confirm" => Asked::Confirm(text.to_owned()),
            // This also covers versions of ssh that are too old to tell the kind.
            _ if text.contains("(yes/no") => Asked::Confirm(text.to_owned()),
            _ => Asked::Secret(text.to_owned()),
        })
    }

    /// Answers the last question; `None` refuses it.
    pub fn answer(&mut self, answer: Option<&Secret>) {
        let line = written_answer(answer);
        // Does not block: the pipe holds far more than an answer.
        let _ = self.answer.write_all(line.reveal().as_bytes());
    }
}

/// Makes a named pipe and opens it in both directions, so that neither end waits for the other to be opened.
fn pipe(path: &Path) -> io::Result<File> {
    let name = CString::new(path.as_os_str().as_bytes()).map_err(io::Error::other)?;
    // SAFETY: name is a string with its end.
    if unsafe { libc::mkfifo(name.as_ptr(), 0o600) } != 0 {
        return Err(io::Error::last_os_error());
    }
    OpenOptions::new().read(true).write(true).custom_flags(libc::O_NONBLOCK).open(path)
}

/// A path as a word of ssh_config(5), where % begins a placeholder.
fn quoted(path: &Path) -> String {
    format!("\"{}\"", path.display().to_string().replace('%', "%%"))
}

/// The text of the configuration. In ssh_config(5) the first value of an option counts. Hosts on the way (ProxyJump)
/// read this file as well.
fn configuration(table: &SshTable) -> Result<String, SshError> {
    let account = Account::of_this_process();
    let home = account::home(&account);
    let known_hosts: Vec<String> = files_of(table)?.iter().map(|file| quoted(file)).collect();
    let mut text = format!(
        "UserKnownHostsFile {}\nGlobalKnownHostsFile none\nStrictHostKeyChecking yes\nUpdateHostKeys no\n\
         ServerAliveInterval {:.0}\nServerAliveCountMax 3\nConnectTimeout {:.0}\n",
        if known_hosts.is_empty() { "none".to_owned() } else { known_hosts.join(" ") },
        table.keep_alive.ceil().max(1.0),
        table.connect_timeout.ceil().max(1.0),
    );
    if !table.agent {
        text.push_str("IdentityAgent none\n");
    }
    if !table.config.is_empty() {
        let path = account::expand(&table.config, &home);
        let usual = table.config == "~/.ssh/config";
        if !usual && !path.exists() {
            return Err(SshError::Config { path, message: "there is no such file".to_owned() });
        }
        text.push_str(&format!("Include \"{}\"\n", path.display()));
        if usual {
            // The file that ssh reads by itself when it gets no -F.
            text.push_str("Include /etc/ssh/ssh_config\n");
        }
    }
    text.push_str("Match all\n");
    for file in &table.identity_files {
        text.push_str(&format!("IdentityFile {}\n", quoted(&account::expand(file, &home))));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;
    use std::time::{Duration, Instant};

    fn ask(folder: &mut PrivateFolder, kind: &str, prompt: &str) -> (std::process::Child, Asked) {
        let mut command = Command::new(folder.askpass());
        command.arg(prompt).env("IPCLUSTERZ_ASKPASS", folder.path()).env("SSH_ASKPASS_PROMPT", kind);
        let child = command.stdout(std::process::Stdio::piped()).spawn().expect("askpass");
        let mut set = super::super::super::poll::PollSet::default();
        set.add(folder.questions(), true, false);
        assert!(set.wait(Some(Instant::now() + Duration::from_secs(30))).expect("poll"), "no question");
        let asked = folder.next_question().expect("a question");
        (child, asked)
    }

    #[test]
    fn questions_and_answers_go_through_pipes() {
        let table = ipclusterz_profile::default_tables().expect("the default profile").ssh;
        let mut folder = PrivateFolder::new("me@n1", &table, true).expect("a folder");
        let (child, asked) = ask(&mut folder, "", "Password\nof me: ");
        assert_eq!(asked, Asked::Secret("Password of me: ".to_owned()));
        folder.answer(Some(&Secret::new("it's \\ a % secret")));
        let output = child.wait_with_output().expect("askpass");
        assert_eq!(String::from_utf8_lossy(&output.stdout), "it's \\ a % secret\n");

        let (child, asked) = ask(&mut folder, "", "Continue (yes/no/[fingerprint])? ");
        assert!(matches!(asked, Asked::Confirm(_)));
        folder.answer(None);
        assert!(!child.wait_with_output().expect("askpass").status.success());
        let (child, asked) = ask(&mut folder, "none", "Touch it");
        assert_eq!(asked, Asked::Notice("Touch it".to_owned()));
        assert!(child.wait_with_output().expect("askpass").status.success());

        let path = folder.path().to_path_buf();
        drop(folder);
        assert!(!path.exists());
    }
}
