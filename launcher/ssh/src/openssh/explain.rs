//! Turns what `ssh -v` writes to its standard error into errors. Parses text alone.

use crate::error::{Accept, HostKey, SshError};

/// What a connection was for, and with which settings.
#[derive(Debug, Clone)]
pub struct Attempt {
    /// The host as the user calls it.
    pub host: String,
    /// The arguments with which `ssh` connects to it.
    pub arguments: String,
    /// Files of known hosts.
    pub known_hosts: Vec<String>,
    /// Why questions were not answered.
    pub reason: String,
}

/// Beginnings of the lines that `-v` adds.
const DEBUG_PREFIXES: &[&str] = &["debug", "OpenSSH_", "Authenticated to ", "Transferred: ", "Bytes per second: "];

/// Beginnings of the lines that say why a connection has ended.
const CLOSING_PREFIXES: &[&str] = &[
    "Timeout, server ",
    "Connection to ",
    "Connection closed by ",
    "Connection reset by ",
    "Disconnected from ",
    "Disconnecting",
    "Received disconnect from ",
    "Read from remote host ",
    "Write to remote host ",
    "Bad packet length ",
    "Corrupted ",
    "Killed by signal ",
    "client_loop: ",
    "kex_exchange_identification: ",
    "packet_write_",
    "ssh: ",
    "ssh_dispatch_run_fatal: ",
    "ssh_packet_",
];

/// The lines that are for people, without those that `-v` adds.
pub fn without_debug(stderr: &str) -> String {
    let is_message =
        |line: &&str| !DEBUG_PREFIXES.iter().any(|start| line.starts_with(start)) && !line.trim().is_empty();
    stderr.lines().filter(is_message).map(|line| format!("{}\n", line.trim_end())).collect()
}

/// Why an established connection has ended. The output of `-v` contains our scripts, which have several lines, and all
/// but the first of them look like messages. So only lines that begin as the messages of ssh at an end do are taken.
pub fn closing_reason(stderr: &str) -> String {
    let said = without_debug(stderr);
    let known: Vec<&str> =
        said.lines().filter(|line| CLOSING_PREFIXES.iter().any(|start| line.starts_with(start))).collect();
    match (known.is_empty(), said.lines().next_back()) {
        (false, _) => known.join("; "),
        // Another version of ssh may use other words, in its last line.
        (true, Some(last)) => last.to_owned(),
        (true, None) => "ssh has ended".to_owned(),
    }
}

/// Why `ssh` could not connect. `shown` has the keys that hosts have shown, as lines of known_hosts, where ssh could
/// tell them.
pub fn explain(stderr: &str, attempt: &Attempt, shown: &str) -> SshError {
    let host = || attempt.host.clone();
    let between = |start: &str, end: &str| {
        stderr.lines().find_map(|line| line.split_once(start)?.1.split_once(end).map(|(text, _)| text.to_owned()))
    };
    let key = |name: String, kind: String| {
        let line = shown.lines().rev().find(|line| line.split(' ').next() == Some(name.as_str()));
        let accept = match line {
            Some(line) => Accept::Line(line.to_owned()),
            None => Accept::Login(attempt.arguments.clone()),
        };
        Box::new(HostKey { name, kind, fingerprint: fingerprint(stderr), accept })
    };
    let kind =
        || between("The ", " host key for").or_else(|| between("fingerprint for the ", " key")).unwrap_or_default();
    let offending = || {
        let place =
            stderr.lines().find_map(|line| line.strip_prefix("Offending ")?.split_once(" key in ").map(|(_, at)| at));
        let (file, line) = place.and_then(|place| place.trim().rsplit_once(':')).unwrap_or(("known_hosts", "0"));
        (file.to_owned(), line.parse().unwrap_or(0))
    };
    if let Some(name) = between("Host key for ", " has changed") {
        let (file, line) = offending();
        return SshError::ChangedHostKey { key: key(name, kind()), file, line };
    }
    if let Some(name) = between("host key for ", " is marked as revoked") {
        let (file, line) = offending();
        return SshError::RevokedHostKey { key: key(name, kind()), file, line };
    }
    if let Some(name) = between(" host key is known for ", " and you have requested") {
        let kind = between("No ", " host key is known for").unwrap_or_default();
        return SshError::UnknownHostKey { key: key(name, kind), files: attempt.known_hosts.clone() };
    }
    // ssh asked whether to trust a host on the way, and the answer was no.
    if let Some(name) =
        between("The authenticity of host '", " (").or_else(|| between("The authenticity of host '", "'"))
    {
        let kind =
            stderr.lines().find_map(|line| line.split_once(" key fingerprint is ").map(|(kind, _)| kind.to_owned()));
        return SshError::UnknownHostKey {
            key: key(name, kind.unwrap_or_default()),
            files: attempt.known_hosts.clone(),
        };
    }
    if let Some(line) = stderr.lines().find(|line| line.contains(": Permission denied (")) {
        let (who, methods) = line.split_once(": Permission denied (").unwrap_or((line, ""));
        let (user, denied_by) = who.rsplit_once('@').unwrap_or(("", who));
        // It may be a host on the way that refuses.
        let host = if attempt.host.contains(denied_by) {
            host()
        } else {
            format!("{} (on the way to {})", denied_by, attempt.host)
        };
        let methods = methods.trim_end_matches(['.', ')']).to_owned();
        return SshError::Authentication { host, user: user.to_owned(), tried: tried(stderr, attempt), methods };
    }
    let said = without_debug(stderr);
    if let Some((_, rest)) = said.split_once("Could not resolve hostname ")
        && let Some((name, why)) = rest.lines().next().unwrap_or_default().split_once(": ")
    {
        return SshError::Lookup { host: name.to_owned(), source: std::io::Error::other(why.to_owned()) };
    }
    let message = said.lines().map(|line| line.trim_start_matches("ssh: ")).collect::<Vec<_>>().join("; ");
    let message = if message.is_empty() { "ssh ended without a word".to_owned() } else { message };
    SshError::Connect { host: host(), message }
}

fn fingerprint(stderr: &str) -> String {
    let words = || stderr.lines().flat_map(str::split_whitespace);
    let shown = stderr
        .lines()
        .rev()
        .find(|line| line.contains("Server host key: "))
        .and_then(|line| line.split_whitespace().find(|word| word.starts_with("SHA256:")));
    let any = shown.or_else(|| words().find(|word| word.starts_with("SHA256:")));
    any.map(|word| word.trim_end_matches('.').to_owned()).unwrap_or_default()
}

/// Keys and methods in the order in which ssh tried them.
fn tried(stderr: &str, attempt: &Attempt) -> Vec<String> {
    let mut tried: Vec<String> = Vec::new();
    let mut push = |what: String| {
        if !tried.contains(&what) {
            tried.push(what);
        }
    };
    for line in stderr.lines().filter_map(|line| line.strip_prefix("debug1: ")) {
        if let Some(key) = line.strip_prefix("Offering public key: ") {
            let words: Vec<&str> = key.split_whitespace().collect();
            let file = words.first().copied().unwrap_or_default();
            push(if words.contains(&"agent") { format!("{file} (from the agent)") } else { file.to_owned() });
        } else if let Some(rest) = line.strip_prefix("Trying private key: ") {
            push(rest.to_owned());
        } else if let Some(method) = line.strip_prefix("Next authentication method: ")
            && method != "publickey"
        {
            push(format!("{method} ({})", attempt.reason));
        }
    }
    tried
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHOWN: &str = "n1 ssh-ed25519 AAAA1\n[127.0.0.1]:2231 ssh-ed25519 AAAA2\n";

    fn explained(stderr: &str) -> SshError {
        let attempt = Attempt {
            host: "root@127.0.0.1:2231".to_owned(),
            arguments: "-p 2231 root@127.0.0.1".to_owned(),
            known_hosts: vec!["/x/kh".to_owned()],
            reason: "nobody".to_owned(),
        };
        explain(stderr, &attempt, SHOWN)
    }

    // Recorded from OpenSSH 9.2.

    #[test]
    fn an_unknown_key() {
        let error = explained(
            "OpenSSH_9.2p1 Debian-2+deb12u10, OpenSSL 3.0.22 25 Aug 2026\r\n\
             debug1: Server host key: ssh-ed25519 SHA256:CJmvHQeEWQAYNxDnNGSjNfsfGxWNS6u5ydfYvyhu7N8\r\n\
             debug1: checking without port identifier\r\n\
             No ED25519 host key is known for [127.0.0.1]:2231 and you have requested strict checking.\r\n\
             Host key verification failed.\r\n",
        );
        let SshError::UnknownHostKey { key, files } = error else { panic!("{error}") };
        assert_eq!((key.name.as_str(), key.kind.as_str()), ("[127.0.0.1]:2231", "ED25519"));
        assert_eq!(key.accept, Accept::Line("[127.0.0.1]:2231 ssh-ed25519 AAAA2".to_owned()));
        assert_eq!(key.fingerprint, "SHA256:CJmvHQeEWQAYNxDnNGSjNfsfGxWNS6u5ydfYvyhu7N8");
        assert_eq!(files, ["/x/kh"]);
    }

    #[test]
    fn a_key_that_ssh_could_not_tell() {
        let error = explained("No ED25519 host key is known for an-alias and you have requested strict checking.\r\n");
        let SshError::UnknownHostKey { key, .. } = error else { panic!("{error}") };
        assert_eq!(key.accept, Accept::Login("-p 2231 root@127.0.0.1".to_owned()));
    }

    #[test]
    fn a_changed_key() {
        let error = explained(
            "@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @\r\n\
             The fingerprint for the ED25519 key sent by the remote host is\n\
             SHA256:CJmvHQeEWQAYNxDnNGSjNfsfGxWNS6u5ydfYvyhu7N8.\r\n\
             Please contact your system administrator.\r\n\
             Add correct host key in kh_bad to get rid of this message.\r\n\
             Offending ED25519 key in kh_bad:1\r\n\
             Host key for [127.0.0.1]:2231 has changed and you have requested strict checking.\r\n\
             Host key verification failed.\r\n",
        );
        let SshError::ChangedHostKey { key, file, line } = error else { panic!("{error}") };
        assert_eq!((key.kind.as_str(), file.as_str(), line), ("ED25519", "kh_bad", 1));
        assert_eq!(key.fingerprint, "SHA256:CJmvHQeEWQAYNxDnNGSjNfsfGxWNS6u5ydfYvyhu7N8");
    }

    #[test]
    fn a_refused_key() {
        let error = explained(
            "debug1: Authentications that can continue: publickey,password\n\
             debug1: Next authentication method: publickey\n\
             debug1: Offering public key: me@n0 ED25519 SHA256:x5SX agent\n\
             debug1: Offering public key: other ED25519 SHA256:x5SX explicit\n\
             debug1: Trying private key: /root/.ssh/id_dsa\n\
             debug1: Next authentication method: password\n\
             debug1: No more authentication methods to try.\n\
             root@127.0.0.1: Permission denied (publickey,password).\n",
        );
        let SshError::Authentication { host, user, tried, methods } = error else { panic!("{error}") };
        assert_eq!(
            (host.as_str(), user.as_str(), methods.as_str()),
            ("root@127.0.0.1:2231", "root", "publickey,password")
        );
        assert_eq!(tried, ["me@n0 (from the agent)", "other", "/root/.ssh/id_dsa", "password (nobody)"]);
    }

    #[test]
    fn a_host_that_is_not_there() {
        let error = explained("ssh: connect to host 127.0.0.1 port 1: Connection refused\r\n");
        assert_eq!(
            error.to_string(),
            "cannot connect to root@127.0.0.1:2231: connect to host 127.0.0.1 port 1: Connection refused"
        );
        let error = explained("ssh: Could not resolve hostname nowhere.invalid: Name or service not known\r\n");
        assert!(matches!(error, SshError::Lookup { host, .. } if host == "nowhere.invalid"));
    }
    #[test]
    fn a_host_that_fell_silent() {
        // The output of -v contains the script that was sent. Each of its lines but the first has no `debug1:`.
        let said = "Authenticated to 127.0.0.1 ([127.0.0.1]:22822) using \"publickey\".\r\n\
             debug1: Sending command: exec /bin/sh -c '\n\
             root=${IPCLUSTERZ_HOME:-$HOME/.local/state/ipclusterz}/clusters\n\
             printf '\\''host %s\\\\n'\\'' \"$(uname -n)\"\n\
             done'\r\n\
             debug1: client_input_channel_req: channel 2 rtype exit-status reply 0\r\n\
             Timeout, server 127.0.0.1 not responding.\r\n";
        assert_eq!(closing_reason(said), "Timeout, server 127.0.0.1 not responding.");
    }

    #[test]
    fn a_host_that_closed_the_connection() {
        let said = "debug1: channel 0: free: mux-control, nchannels 1\r\n\
             Connection to 127.0.0.1 closed by remote host.\r\n\
             Transferred: sent 3540, received 3336 bytes, in 0.3 seconds\r\n\
             Bytes per second: sent 11800.1, received 11120.2\r\n\
             debug1: Exit status -1\r\n";
        assert_eq!(closing_reason(said), "Connection to 127.0.0.1 closed by remote host.");
        assert_eq!(closing_reason("debug1: x\n"), "ssh has ended");
        assert_eq!(closing_reason("debug1: x\nin new words\n"), "in new words");
    }
}
