//! Connections: checks of host keys, authentication, jumps, and hosts that do not answer.

use super::sshd::{PATIENCE, Script, Sshd, on_both_backends, until};
use ipclusterz_host::failure::Failure;
use ipclusterz_host::system;
use ipclusterz_profile::tables::ssh::{BackendKind, SshTable};
use ipclusterz_ssh::{Nobody, SshError, connect};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};
use std::time::Instant;

on_both_backends!(
    an_unknown_host_key_is_refused,
    a_changed_host_key_is_refused,
    a_revoked_host_key_is_refused,
    the_key_of_an_alias_is_accepted_as_the_hint_says,
    keys_on_the_way_are_accepted_as_the_hints_say,
    a_hashed_host_is_known,
    the_error_says_what_was_tried,
    a_passphrase_is_asked_for,
    the_agent_is_asked,
    over_another_host,
    a_host_that_is_not_there,
    a_host_that_is_silent,
    nothing_is_left_behind,
);

fn fingerprint(server: &Sshd, key: &str) -> String {
    let output = Command::new("ssh-keygen").args(["-l", "-f", &server.text(key)]).output().expect("ssh-keygen");
    String::from_utf8_lossy(&output.stdout).split_whitespace().nth(1).expect("a fingerprint").to_owned()
}

fn an_unknown_host_key_is_refused(backend: BackendKind) {
    let server = Sshd::start();
    server.know(&[]);
    let failure = Failure::from(server.refused(&server.table(backend)));
    let (port, file) = (server.port, server.text("known_hosts"));
    assert_eq!(
        failure.message,
        format!(
            "the host key of [127.0.0.1]:{port} is not known (ED25519 key, fingerprint {}); looked in {file}",
            fingerprint(&server, "host_key")
        )
    );
    let public = fs::read_to_string(server.path("host_key.pub")).expect("a key");
    let key = public.split_whitespace().take(2).collect::<Vec<_>>().join(" ");
    let command = format!("echo '[127.0.0.1]:{port} {key}' >> {file}");
    assert!(failure.hint.as_ref().expect("a hint").ends_with(&format!("accept the key: {command}")), "{failure:?}");
    accept(failure);
    server.connect(backend);
}

/// Runs the command of the hint.
#[track_caller]
fn accept(failure: Failure) {
    let hint = failure.hint.expect("a hint");
    let command = hint.split_once("accept the key: ").expect("a command").1;
    assert!(Command::new("sh").args(["-c", command]).output().expect("sh").status.success(), "{command}");
}

/// A `Host` block of `ssh_config`.
fn host_block(name: &str, server: &Sshd) -> String {
    let (port, key) = (server.port, server.text("id"));
    format!("Host {name}\n  HostName 127.0.0.1\n  Port {port}\n  IdentityFile {key}\n  IdentitiesOnly yes\n")
}

/// The refusal of a host whose key is not known.
#[track_caller]
fn unknown(host: &str, table: &SshTable) -> Failure {
    match connect(host, table, &mut Nobody) {
        Err(error @ SshError::UnknownHostKey { .. }) => error.into(),
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("let in"),
    }
}

/// The name of the key has neither the host's address nor its port.
fn the_key_of_an_alias_is_accepted_as_the_hint_says(backend: BackendKind) {
    let server = Sshd::start();
    fs::write(server.path("config"), host_block("far", &server) + "  HostKeyAlias my-alias\n").expect("write");
    let table = server.table(backend);
    fs::write(server.path("known_hosts"), "").expect("write");
    accept(unknown("far", &table));
    connect("far", &table, &mut Nobody).expect("let in");
    // The same when another key is known.
    let other = fs::read_to_string(server.path("other_host_key.pub")).expect("a key");
    fs::write(server.path("known_hosts"), format!("my-alias {other}")).expect("write");
    let Err(error) = connect("far", &table, &mut Nobody) else { panic!("let in") };
    remove_and_accept(error.into());
    connect("far", &table, &mut Nobody).expect("let in");
}

/// One after the other: a host's key is seen only once the host before it is accepted.
fn keys_on_the_way_are_accepted_as_the_hints_say(backend: BackendKind) {
    let (gate, inner) = (Sshd::start(), Sshd::start());
    gate.know(&[]);
    let config = host_block("gate", &gate) + &host_block("inner", &inner) + "  ProxyJump gate\n";
    fs::write(gate.path("config"), config).expect("write");
    let mut table = gate.table(backend);
    table.identity_files.clear();
    for server in [&gate, &inner] {
        let failure = unknown("inner", &table);
        assert!(failure.message.contains(&format!("[127.0.0.1]:{}", server.port)), "{failure:?}");
        accept(failure);
    }
    connect("inner", &table, &mut Nobody).expect("let in");
}

fn a_changed_host_key_is_refused(backend: BackendKind) {
    let server = Sshd::start();
    server.know(&["other_host_key"]);
    let failure = Failure::from(server.refused(&server.table(backend)));
    let (port, file) = (server.port, server.text("known_hosts"));
    let start = format!(
        "the host key of [127.0.0.1]:{port} HAS CHANGED: it shows a ED25519 key with fingerprint {}, but {file}:1",
        fingerprint(&server, "host_key")
    );
    assert!(failure.message.starts_with(&start), "{}", failure.message);
    remove_and_accept(failure);
    server.connect(backend);
}

/// Runs the commands of the hint about a changed key.
#[track_caller]
fn remove_and_accept(failure: Failure) {
    let hint = failure.hint.expect("a hint");
    let (remove, accept) = hint
        .split_once("remove the old one: ")
        .expect("a command")
        .1
        .split_once(", and accept the new one: ")
        .expect("another");
    for command in [remove, accept] {
        assert!(Command::new("sh").args(["-c", command]).output().expect("sh").status.success(), "{command}");
    }
}

fn a_revoked_host_key_is_refused(backend: BackendKind) {
    let server = Sshd::start();
    let known = fs::read_to_string(server.path("known_hosts")).expect("read");
    fs::write(server.path("known_hosts"), format!("{known}@revoked {known}")).expect("write");
    let error = server.refused(&server.table(backend));
    assert!(matches!(error, SshError::RevokedHostKey { .. }), "{error}");
}

fn a_hashed_host_is_known(backend: BackendKind) {
    let server = Sshd::start();
    // Before it, a line of another host that has another key.
    let other = fs::read_to_string(server.path("other_host_key.pub")).expect("read");
    let known = fs::read_to_string(server.path("known_hosts")).expect("read");
    fs::write(server.path("known_hosts"), format!("elsewhere {other}{known}")).expect("write");
    let hashed = Command::new("ssh-keygen").args(["-H", "-f", &server.text("known_hosts")]).output();
    assert!(hashed.expect("ssh-keygen").status.success());
    assert!(!fs::read_to_string(server.path("known_hosts")).expect("read").contains("127.0.0.1"));
    server.connect(backend);
}

fn the_error_says_what_was_tried(backend: BackendKind) {
    let server = Sshd::start();
    server.keygen("locked", "a passphrase");
    let mut table = server.table(backend);
    table.identity_files = vec![server.text("stranger"), server.text("locked")];
    let error = server.refused(&table);
    let SshError::Authentication { tried, methods, .. } = &error else { panic!("{error}") };
    assert_eq!(methods, "publickey");
    assert!(tried.iter().any(|what| what.starts_with(&server.text("stranger"))), "{error}");
    assert!(!error.is_passing());
}

fn a_passphrase_is_asked_for(backend: BackendKind) {
    let server = Sshd::start();
    server.keygen("locked", "it's a \\ pass % phrase");
    fs::copy(server.path("locked.pub"), server.path("authorized_keys")).expect("copy");
    let mut table = server.table(backend);
    table.identity_files = vec![server.text("locked")];

    let mut script = Script::new(&["wrong", "it's a \\ pass % phrase"]);
    connect(&server.host(), &table, &mut script).expect("let in");
    assert_eq!(script.asked.len(), 2, "{:?}", script.asked);
    assert!(script.asked[0].contains(&server.text("locked")), "{:?}", script.asked);

    let mut script = Script::new(&["wrong", "wrong", "wrong", "wrong"]);
    let Err(error) = connect(&server.host(), &table, &mut script) else { panic!("let in") };
    assert!(matches!(error, SshError::Authentication { .. }), "{error}");
    assert_eq!(script.asked.len(), 3);

    let error = server.refused(&table);
    assert!(matches!(error, SshError::Authentication { .. }), "{error}");
}

struct Agent(Child);

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn the_agent_is_asked(backend: BackendKind) {
    let server = Sshd::start();
    let socket = server.text("agent");
    let agent = Command::new("ssh-agent").args(["-D", "-a", &socket]).stdout(std::process::Stdio::null()).spawn();
    let _agent = Agent(agent.expect("ssh-agent"));
    until("the agent listens", || UnixStream::connect(server.path("agent")).is_ok());
    for key in ["stranger", "id"] {
        let added = Command::new("ssh-add").args(["-q", &server.text(key)]).env("SSH_AUTH_SOCK", &socket).status();
        assert!(added.expect("ssh-add").success());
        fs::rename(server.path(key), server.path("moved")).expect("rename");
    }
    fs::write(server.path("config"), format!("Host *\n  IdentityAgent {socket}\n")).expect("write");
    let mut table = server.table(backend);
    table.identity_files = vec![server.text("stranger.pub")];
    table.agent = true;
    connect(&server.host(), &table, &mut Nobody).expect("let in");
    table.agent = false;
    let error = server.refused(&table);
    assert!(matches!(error, SshError::Authentication { .. }), "{error}");
}

fn over_another_host(backend: BackendKind) {
    let (gate, inner, innermost) = (Sshd::start(), Sshd::start(), Sshd::start());
    let known: String = [&gate, &inner, &innermost]
        .map(|server| fs::read_to_string(server.path("known_hosts")).expect("read"))
        .concat();
    fs::write(gate.path("known_hosts"), known).expect("write");
    let behind = |name: &str, server: &Sshd, jump: &str| host_block(name, server) + &format!("  ProxyJump {jump}\n");
    let config =
        host_block("gate", &gate) + &behind("inner", &inner, "gate") + &behind("innermost", &innermost, "inner");
    fs::write(gate.path("config"), config).expect("write");
    let mut table = gate.table(backend);
    table.identity_files.clear();
    for (name, server) in [("inner", &inner), ("innermost", &innermost)] {
        let mut remote = connect(name, &table, &mut Nobody).expect(name);
        let output = remote.run("echo $SSH_CONNECTION", b"", Instant::now() + PATIENCE).expect("runs");
        let there = String::from_utf8(output.stdout).expect("UTF-8");
        assert_eq!(there.split_whitespace().nth(3), Some(server.port.to_string().as_str()), "{there}");
        assert_eq!(remote.host(), name);
    }
    // An unknown key of a host on the way is refused as well.
    fs::write(gate.path("known_hosts"), fs::read_to_string(inner.path("known_hosts")).expect("read")).expect("write");
    let Err(error) = connect("inner", &table, &mut Nobody) else { panic!("let in") };
    assert!(
        matches!(&error, SshError::UnknownHostKey { key, .. } if key.name.ends_with(&gate.port.to_string())),
        "{error}"
    );
}

fn a_host_that_is_not_there(backend: BackendKind) {
    let mut server = Sshd::start();
    server.crash();
    let error = server.refused(&server.table(backend));
    assert!(matches!(&error, SshError::Connect { .. }) && error.to_string().contains("Connection refused"), "{error}");
    assert!(error.is_passing());
    let Err(error) = connect("nowhere.invalid", &server.table(backend), &mut Nobody) else { panic!("let in") };
    assert!(matches!(&error, SshError::Lookup { host, .. } if host == "nowhere.invalid"), "{error}");
}

fn a_host_that_is_silent(backend: BackendKind) {
    let server = Sshd::start();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("listen");
    let mut table = server.table(backend);
    table.connect_timeout = 1.0;
    let host = listener.local_addr().expect("address").to_string();
    let Err(error) = connect(&host, &table, &mut Nobody) else { panic!("let in") };
    assert!(error.is_passing(), "{error}");
}

/// A connection leaves neither processes nor files, in whatever way it ends.
fn nothing_is_left_behind(backend: BackendKind) {
    let mut server = Sshd::start();
    // A wrapper of ssh that logs its processes.
    let (wrapper, pids) = (server.path("ssh"), server.path("pids"));
    let script = format!("#!/bin/sh\necho $$ \"$IPCLUSTERZ_ASKPASS\" >> {}\nexec ssh \"$@\"\n", pids.display());
    fs::write(&wrapper, script).expect("write");
    fs::set_permissions(&wrapper, fs::Permissions::from_mode(0o755)).expect("chmod");
    let mut table = server.table(backend);
    table.program = server.text("ssh");
    let mut remote = connect(&server.host(), &table, &mut Nobody).expect("let in");
    remote.run("true", b"", Instant::now() + PATIENCE).expect("runs");
    drop(remote);
    let remote = connect(&server.host(), &table, &mut Nobody).expect("let in");
    server.crash();
    drop(remote);
    server.refused(&table);
    let noted = fs::read_to_string(&pids).unwrap_or_default();
    assert_eq!(noted.is_empty(), backend == BackendKind::Libssh2);
    for line in noted.lines() {
        let (pid, folder) = line.split_once(' ').expect("two words");
        assert!(system::signal_process(pid.parse().expect("a pid"), 0).is_err(), "{pid} lives");
        assert!(folder.is_empty() || !std::path::Path::new(folder).exists(), "{folder} is left");
    }
    let _ = Command::new("true").process_group(0);
}
