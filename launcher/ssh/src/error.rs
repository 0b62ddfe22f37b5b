//! The errors of SSH, with messages that name the host and the file, and hints on what to do.

use ipclusterz_base::error::PlacesError;
use ipclusterz_host::exit_code::Exit;
use ipclusterz_host::failure::Failure;
use ipclusterz_host::shell::quote;
use std::io;
use std::path::PathBuf;

/// A host's key as the host showed it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostKey {
    /// The host's name in known_hosts: `n1`, or `[n1]:2222`.
    pub name: String,
    /// `ED25519`, `ECDSA`, `RSA`.
    pub kind: String,
    /// `SHA256:…`; empty when it is not known.
    pub fingerprint: String,
    /// How to accept it.
    pub accept: Accept,
}

/// How to add a host's key to a file of known hosts. ssh-keyscan is no alternative: it knows neither aliases of a key
/// (HostKeyAlias) nor ways through other hosts (ProxyJump).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Accept {
    /// Append this line, which has the key as the host showed it.
    Line(String),
    /// Run `ssh` with these arguments, which asks.
    Login(String),
}

impl Accept {
    fn command(&self, file: &str) -> String {
        let file = quote(file);
        match self {
            Accept::Line(line) => format!("echo {} >> {file}", quote(line)),
            Accept::Login(arguments) => {
                format!("ssh -o StrictHostKeyChecking=ask -o UserKnownHostsFile={file} {arguments} true")
            }
        }
    }
}

/// Why an operation of SSH failed.
#[derive(Debug, thiserror::Error)]
pub enum SshError {
    /// The text is not a destination.
    #[error("{text:?} is no host for ssh: {why}")]
    BadTarget {
        /// What was given.
        text: String,
        /// What is wrong with it.
        why: String,
    },
    /// The configuration cannot be used.
    #[error("{path}: {message}")]
    Config {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        message: String,
    },
    /// Somebody else could have changed a file that says whom to trust.
    #[error(transparent)]
    Place(PlacesError),
    /// The configuration asks for something that only the system's ssh does.
    #[error("{path} sets {option} for {host:?}, which the built-in SSH cannot do")]
    NeedsOpenssh {
        /// The file.
        path: PathBuf,
        /// The option.
        option: String,
        /// The host as the user calls it.
        host: String,
    },
    /// The host name cannot be resolved.
    #[error("cannot find the address of {host:?}: {source}")]
    Lookup {
        /// The name.
        host: String,
        /// Why.
        source: io::Error,
    },
    /// Nothing that speaks SSH answers there.
    #[error("cannot connect to {host}: {message}")]
    Connect {
        /// Host and port.
        host: String,
        /// Why.
        message: String,
    },
    /// The operation timed out.
    #[error("{host}: {doing}: no answer within {seconds:.0} s")]
    Timeout {
        /// Which host.
        host: String,
        /// What was being done.
        doing: String,
        /// The timeout.
        seconds: f64,
    },
    /// The connection was given up before it was made: nobody waits for it any more.
    #[error("connecting to {host} was given up")]
    GivenUp {
        /// Which host.
        host: String,
    },
    /// The host's key is not known.
    #[error(
        "the host key of {} is not known ({} key, fingerprint {}); looked in {}",
        key.name, key.kind, unless_empty(&key.fingerprint), files.join(", ")
    )]
    UnknownHostKey {
        /// The key.
        key: Box<HostKey>,
        /// Where it was looked for.
        files: Vec<String>,
    },
    /// The host's key is not the known one.
    #[error(
        "the host key of {} HAS CHANGED: it shows a {} key with fingerprint {}, but {file}:{line} has another; \
         somebody may be intercepting the connection",
        key.name, key.kind, unless_empty(&key.fingerprint)
    )]
    ChangedHostKey {
        /// The key.
        key: Box<HostKey>,
        /// Where the known key is.
        file: String,
        /// The line in it, from 1.
        line: usize,
    },
    /// The host's key is marked as revoked.
    #[error(
        "the {} host key of {} (fingerprint {}) is revoked in {file}:{line}",
        key.kind, key.name, unless_empty(&key.fingerprint)
    )]
    RevokedHostKey {
        /// The key.
        key: Box<HostKey>,
        /// The file that revokes it.
        file: String,
        /// The line in it, from 1.
        line: usize,
    },
    /// The host does not accept the login.
    #[error("{host} does not let user {user:?} in: tried {}{}", listed(tried), accepts(methods))]
    Authentication {
        /// Which host.
        host: String,
        /// The user.
        user: String,
        /// What was tried, and how that went.
        tried: Vec<String>,
        /// The methods that the host accepts.
        methods: String,
    },
    /// The connection broke.
    #[error("the connection to {host} is lost: {reason}")]
    Lost {
        /// Which host.
        host: String,
        /// Why.
        reason: String,
    },
    /// A command on the host failed.
    #[error("on {host}: `{command}` ended with status {status}{}", indented(stderr))]
    Command {
        /// Which host.
        host: String,
        /// The command.
        command: String,
        /// Its exit status.
        status: i32,
        /// Its standard error.
        stderr: String,
    },
    /// There is no such file on the host.
    #[error("there is no file {path} on {host}")]
    Missing {
        /// Which host.
        host: String,
        /// The file.
        path: String,
    },
    /// A file could not be read or written.
    #[error("{doing} {path} on {host}: {message}")]
    Transfer {
        /// Which host.
        host: String,
        /// The file.
        path: String,
        /// What was being done.
        doing: &'static str,
        /// Why it failed.
        message: String,
    },
    /// A forward could not be opened.
    #[error("forwarding {what} through {host}: {message}")]
    Forward {
        /// Which host.
        host: String,
        /// From where to where.
        what: String,
        /// Why it failed.
        message: String,
    },
    /// The built-in SSH cannot do it.
    #[error("the built-in SSH cannot {0}")]
    Unsupported(&'static str),
    /// The system's ssh cannot be started.
    #[error("cannot run {program:?}: {source}")]
    Program {
        /// The program.
        program: String,
        /// Why.
        source: io::Error,
    },
    /// An operation on this host failed.
    #[error("{doing}: {source}")]
    Local {
        /// What was being done.
        doing: String,
        /// Why it failed.
        source: io::Error,
    },
}

impl SshError {
    /// Makes a [`SshError::Local`], for `map_err`.
    pub fn local(doing: impl std::fmt::Display) -> impl FnOnce(io::Error) -> Self {
        let doing = doing.to_string();
        move |source| Self::Local { doing, source }
    }

    /// Whether a later retry may succeed. It may for a host that is down, but not for a wrong key.
    pub fn is_passing(&self) -> bool {
        matches!(
            self,
            SshError::Lookup { .. } | SshError::Connect { .. } | SshError::Timeout { .. } | SshError::Lost { .. }
        )
    }

    /// What the user can do about it; empty when there is no advice.
    pub fn hint(&self) -> String {
        match self {
            SshError::BadTarget { .. } => "give host, user@host, user@host:port, or a Host of ~/.ssh/config".to_owned(),
            SshError::Config { .. } => "correct the file, or name another one as ssh.config in the profile".to_owned(),
            SshError::Place(_) => "it says which hosts and programs are trusted as you".to_owned(),
            SshError::NeedsOpenssh { .. } => {
                "let the system's ssh do it: backend = \"openssh\" in [ssh] of the profile, `ipclusterz tunnel \
                 --backend openssh`, or Client(sshserver=..., sshbackend=\"openssh\")"
                    .to_owned()
            }
            SshError::Lookup { .. } => "check the spelling; a Host of ~/.ssh/config needs a HostName".to_owned(),
            SshError::Connect { .. } | SshError::Timeout { .. } => {
                "check that the host is up, that its port is right, and whether it needs a ProxyJump".to_owned()
            }
            SshError::UnknownHostKey { key, files } => {
                // Without a file of known hosts, no host is known.
                let Some(file) = files.first() else { return "name a file as known_hosts in [ssh]".to_owned() };
                format!(
                    "compare the fingerprint with one from the host's administrator, then accept the key: {}",
                    key.accept.command(file)
                )
            }
            SshError::ChangedHostKey { key, file, .. } => format!(
                "ask the host's administrator whether its key was replaced; if so, remove the old one: \
                 ssh-keygen -R '{}' -f {}, and accept the new one: {}",
                key.name,
                quote(file),
                key.accept.command(file)
            ),
            SshError::RevokedHostKey { .. } => "ask the host's administrator for its new key".to_owned(),
            SshError::Authentication { .. } => "check the user name; name a key with IdentityFile in ~/.ssh/config or \
                 identity_files in [ssh] of the profile, or add one to the agent with ssh-add"
                .to_owned(),
            SshError::Unsupported(_) => "use backend = \"openssh\" in [ssh] of the profile".to_owned(),
            SshError::Program { .. } => {
                "install OpenSSH's client, set program in [ssh] of the profile, or use backend = \"libssh2\"".to_owned()
            }
            SshError::Forward { .. } => {
                "check that the host allows it (AllowTcpForwarding, AllowStreamLocalForwarding of its sshd)".to_owned()
            }
            SshError::Lost { .. }
            | SshError::GivenUp { .. }
            | SshError::Command { .. }
            | SshError::Missing { .. }
            | SshError::Transfer { .. }
            | SshError::Local { .. } => String::new(),
        }
    }
}

impl From<SshError> for Failure {
    fn from(error: SshError) -> Self {
        let exit = match &error {
            SshError::BadTarget { .. }
            | SshError::Config { .. }
            | SshError::NeedsOpenssh { .. }
            | SshError::Unsupported(_) => Exit::Usage,
            SshError::Timeout { .. } => Exit::Timeout,
            SshError::GivenUp { .. } => Exit::Interrupted,
            SshError::Command { .. }
            | SshError::Transfer { .. }
            | SshError::Local { .. }
            | SshError::Program { .. } => Exit::Failure,
            _ => Exit::Unreachable,
        };
        Failure::new(exit, error.to_string()).with_hint(error.hint())
    }
}

fn unless_empty(text: &str) -> &str {
    if text.is_empty() { "not told" } else { text }
}

fn listed(tried: &[String]) -> String {
    if tried.is_empty() { "nothing".to_owned() } else { tried.join(", ") }
}

fn accepts(methods: &str) -> String {
    if methods.is_empty() { String::new() } else { format!("; it accepts {methods}") }
}

fn indented(stderr: &str) -> String {
    stderr.trim().lines().map(|line| format!("\n  {line}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_key_says_how_to_accept_it() {
        let key = Box::new(HostKey {
            name: "[n1]:2222".to_owned(),
            kind: "ED25519".to_owned(),
            fingerprint: "SHA256:abc".to_owned(),
            accept: Accept::Line("[n1]:2222 ssh-ed25519 AAAA".to_owned()),
        });
        let failure = Failure::from(SshError::UnknownHostKey { key, files: vec!["/x/known_hosts".to_owned()] });
        assert_eq!(
            failure.message,
            "the host key of [n1]:2222 is not known (ED25519 key, fingerprint SHA256:abc); looked in /x/known_hosts"
        );
        let hint = failure.hint.expect("a hint");
        assert!(hint.ends_with("accept the key: echo '[n1]:2222 ssh-ed25519 AAAA' >> /x/known_hosts"), "{hint}");
    }

    #[test]
    fn a_key_that_was_not_told_is_accepted_by_logging_in() {
        let key = Box::new(HostKey {
            name: "n1".to_owned(),
            kind: "ED25519".to_owned(),
            fingerprint: String::new(),
            accept: Accept::Login("-J gate n1".to_owned()),
        });
        let hint = SshError::ChangedHostKey { key, file: "/x y/known_hosts".to_owned(), line: 1 }.hint();
        let command = "ssh -o StrictHostKeyChecking=ask -o UserKnownHostsFile='/x y/known_hosts' -J gate n1 true";
        assert!(hint.ends_with(command), "{hint}");
    }

    #[test]
    fn a_login_that_is_refused_lists_what_was_tried() {
        let error = SshError::Authentication {
            host: "n1".to_owned(),
            user: "me".to_owned(),
            tried: vec!["key ~/.ssh/id_ed25519 (refused)".to_owned()],
            methods: "publickey".to_owned(),
        };
        let said = "n1 does not let user \"me\" in: tried key ~/.ssh/id_ed25519 (refused); it accepts publickey";
        assert_eq!(error.to_string(), said);
        assert!(error.hint().contains("IdentityFile"));
    }

    #[test]
    fn a_failed_command_shows_status_and_stderr() {
        let error = SshError::Command {
            host: "n1".to_owned(),
            command: "false".to_owned(),
            status: 1,
            stderr: "one\ntwo\n".to_owned(),
        };
        assert_eq!(error.to_string(), "on n1: `false` ended with status 1\n  one\n  two");
    }
}
