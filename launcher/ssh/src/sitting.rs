//! The `sshd` process that serves our connection on the other host. It must not outlive the lease.
//!
//! When the network fails in between, or this machine loses power, `sshd` is not told. Unless its administrator has set
//! `ClientAliveInterval`, it keeps the session, and the ports that it forwards, for hours. So our scripts record which
//! process serves them, and whatever ends by its lease on that host ends this process too. It is the user's own
//! process.

use ipclusterz_base::private::{self, Trust};
use ipclusterz_host::identity::ProcessIdentity;
use std::path::Path;

/// The file in the run's folder on the host: `PID START-TIME SECONDS-SINCE-1970`.
pub const FILE: &str = "session";
/// Names of the processes that serve sessions begin with one of these. No other process is ours to end.
const SERVERS: [&str; 2] = ["sshd", "dropbear"];
/// Shell for the start time of process `$1`. It has no single quote, so that it can be put between single quotes.
const START: &str = r#"$(sed "s/.*) //" /proc/$1/stat 2>/dev/null | cut -d" " -f20)"#;

/// A line of shell that records which process serves this script, and when. `folder` is a word of shell.
pub fn note(folder: &str) -> String {
    let start = START.replace("$1", "$PPID");
    format!("printf '%s %s %s\\n' \"$PPID\" \"{start}\" \"$(date +%s)\" >{folder}/{FILE}\n")
}

/// A line of shell, without a single quote, that ends the recorded process, unless it was recorded less than `silence`
/// seconds ago.
pub fn end_if_silent(folder: &str, silence: u32) -> String {
    let start = START.replace("$1", "$pid");
    let servers = SERVERS.map(|name| format!("{name}*")).join("|");
    format!(
        "if read -r pid start at <{folder}/{FILE} && [ $(($(date +%s) - at)) -ge {silence} ] && \
         [ \"{start}\" = \"$start\" ]; then case \"$(cat /proc/$pid/comm)\" in {servers}) kill $pid;; esac; fi 2>/dev/null"
    )
}

/// Ends the process that is recorded in `folder`, on this host. Does nothing when there is no record.
pub fn end(folder: &Path) {
    let Ok(text) = private::read_text(&folder.join(FILE), Trust::Ours) else { return };
    let mut words = text.split_whitespace();
    let Some(pid) = words.next().and_then(|pid| pid.parse().ok()) else { return };
    let Some(start_time) = words.next().and_then(|start| start.parse().ok()) else { return };
    let server = ProcessIdentity { pid, start_time };
    let is_meant = || {
        let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        SERVERS.iter().any(|server| name.starts_with(server)) && server.is_alive()
    };
    // The process may have ended by now.
    let _ = ipclusterz_host::system::signal_exactly(pid, libc::SIGTERM, is_meant);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::ExitStatusExt;
    use std::process::{Child, Command};

    /// A process with this name, such as that of a process that serves sessions.
    fn named(folder: &Path, name: &str) -> Child {
        let program = folder.join(name);
        std::fs::copy("/bin/sleep", &program).expect("copy");
        Command::new(&program).arg("1000").spawn().expect("a copy of sleep")
    }

    fn write_down(folder: &Path, child: &Child, later: u64, ago: u64) {
        let start_time = ProcessIdentity::of(child.id()).expect("stat").start_time + later;
        let at =
            std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_secs() - ago;
        std::fs::write(folder.join(FILE), format!("{} {start_time} {at}\n", child.id())).expect("write");
    }

    fn shell(line: &str) {
        assert!(Command::new("sh").args(["-c", line]).status().expect("sh").success(), "{line}");
    }

    fn is_alive(child: &mut Child) -> bool {
        child.try_wait().expect("wait").is_none()
    }

    #[test]
    fn a_shell_writes_down_its_parent() {
        let folder = tempfile::tempdir().expect("temporary folder");
        shell(&note(&folder.path().display().to_string()));
        let text = std::fs::read_to_string(folder.path().join(FILE)).expect("written");
        let own = ProcessIdentity::of(std::process::id()).expect("own stat");
        assert!(text.starts_with(&format!("{} {} 1", own.pid, own.start_time)), "{text}");
    }

    #[test]
    fn only_a_server_that_is_meant_is_ended() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let path = folder.path();
        let ways: [&dyn Fn(); 2] =
            [&|| end(path), &|| shell(&format!("{}; true", end_if_silent(&path.display().to_string(), 10)))];
        for end_it in ways {
            // No file.
            end_it();
            let (mut server, mut stranger) = (named(path, "sshd-session"), named(path, "analysis"));
            write_down(path, &stranger, 0, 60);
            end_it();
            write_down(path, &server, 1, 60);
            end_it();
            assert!(is_alive(&mut stranger) && is_alive(&mut server));
            write_down(path, &server, 0, 60);
            end_it();
            assert_eq!(server.wait().expect("wait").signal(), Some(libc::SIGTERM));
            stranger.kill().expect("kill");
            stranger.wait().expect("wait");
            std::fs::remove_file(path.join(FILE)).expect("remove");
        }
    }

    #[test]
    fn one_that_has_just_served_goes_on() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let mut server = named(folder.path(), "sshd");
        write_down(folder.path(), &server, 0, 3);
        shell(&format!("{}; true", end_if_silent(&folder.path().display().to_string(), 10)));
        assert!(is_alive(&mut server));
        server.kill().expect("kill");
        server.wait().expect("wait");
    }
}
