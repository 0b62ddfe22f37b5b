//! Forwards in both directions.

use super::sshd::{PATIENCE, Sshd, bytes, echo_tcp, echo_unix, on_both_backends, talk, until};
use ipclusterz_profile::tables::ssh::BackendKind;
use ipclusterz_ssh::{Endpoint, LocalListener, Nobody, SshError, connect};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::sync::mpsc::channel;
use std::time::Instant;

on_both_backends!(
    from_here_to_there,
    back_from_there,
    back_from_there_after_signs_of_life,
    many_connections_at_once,
    much_through_one_connection,
    a_slow_reader_holds_up_nobody_else,
    nobody_listens_there,
    a_dropped_forward_listens_no_more,
    a_crash_is_told,
    a_command_that_is_cut_off_tells_why,
);

fn port_of(endpoint: &Endpoint) -> u16 {
    match endpoint {
        Endpoint::Tcp { port, .. } => *port,
        Endpoint::Unix(path) => panic!("{path:?} is no port"),
    }
}

fn talk_tcp(port: u16, content: Vec<u8>) {
    let stream = TcpStream::connect(("127.0.0.1", port)).expect("connect");
    talk(stream.try_clone().expect("clone"), stream, content);
}

fn talk_unix(path: &std::path::Path, content: Vec<u8>) {
    let stream = UnixStream::connect(path).expect("connect");
    talk(stream.try_clone().expect("clone"), stream, content);
}

fn from_here_to_there(backend: BackendKind) {
    let server = Sshd::start();
    let mut remote = server.connect(backend);
    // Only a socket in a folder of ours alone is connected to.
    ipclusterz_base::private::make_private_dir(&server.path("private")).expect("make");
    let socket = server.path("private/echo");
    echo_unix(&socket);
    for to in [Endpoint::loopback(echo_tcp()), Endpoint::Unix(socket)] {
        let listener = LocalListener::tcp(0).expect("listen");
        let forward = remote.forward_local(listener, &to).expect("forwards");
        talk_tcp(port_of(forward.listens()), bytes(100_000));
        talk_tcp(port_of(forward.listens()), Vec::new());
        let path = server.path("private/socket");
        let forward = remote.forward_local(LocalListener::unix(&path).expect("listen"), &to).expect("forwards");
        assert_eq!(forward.listens(), &Endpoint::Unix(path.clone()));
        talk_unix(&path, bytes(100_000));
    }
}

fn back_from_there(backend: BackendKind) {
    let server = Sshd::start();
    let mut remote = server.connect(backend);
    // Only a socket in a folder of ours alone is connected to.
    ipclusterz_base::private::make_private_dir(&server.path("private")).expect("make");
    let socket = server.path("private/echo");
    echo_unix(&socket);
    for to in [Endpoint::loopback(echo_tcp()), Endpoint::Unix(socket.clone())] {
        let forward = remote.forward_back(&Endpoint::loopback(0), &to).expect("forwards");
        let port = port_of(forward.listens());
        assert_ne!(port, 0);
        talk_tcp(port, bytes(300_000));
        talk_tcp(port, bytes(300_000));
        drop(forward);
        until("the port is closed", || TcpStream::connect(("127.0.0.1", port)).is_err());
    }
    let there = Endpoint::Unix(server.path("there"));
    let forward = remote.forward_back(&there, &Endpoint::Unix(socket));
    match backend {
        BackendKind::Libssh2 => {
            let error = forward.expect_err("libssh2 cannot");
            assert!(matches!(error, SshError::Unsupported(_)) && error.hint().contains("openssh"), "{error}");
        }
        BackendKind::Openssh => {
            let _forward = forward.expect("forwards");
            talk_unix(&server.path("there"), bytes(300_000));
        }
    }
}

fn back_from_there_after_signs_of_life(backend: BackendKind) {
    let server = Sshd::start();
    let mut table = server.table(backend);
    table.keep_alive = 1.0;
    let mut remote = connect(&server.host(), &table, &mut Nobody).expect("let in");
    let to = Endpoint::loopback(echo_tcp());
    for _ in 0..3 {
        // Several keep-alives are sent and answered meanwhile.
        let output = remote.run("sleep 3", b"", Instant::now() + PATIENCE).expect("sleeps");
        assert_eq!(output.status, 0);
        let forward = remote.forward_back(&Endpoint::loopback(0), &to).expect("forwards");
        talk_tcp(port_of(forward.listens()), bytes(300_000));
    }
}

fn many_connections_at_once(backend: BackendKind) {
    let server = Sshd::start();
    let mut remote = server.connect(backend);
    let to = Endpoint::loopback(echo_tcp());
    let forward = remote.forward_local(LocalListener::tcp(0).expect("listen"), &to).expect("forwards");
    let back = remote.forward_back(&Endpoint::loopback(0), &to).expect("forwards");
    let ports = [port_of(forward.listens()), port_of(back.listens())];
    let threads: Vec<_> = (0..60)
        .map(|number| std::thread::spawn(move || talk_tcp(ports[number % 2], bytes(50_000 + number * 1000))))
        .collect();
    // Commands run in between.
    assert_eq!(remote.run("echo x", b"", Instant::now() + PATIENCE).expect("runs").stdout, b"x\n");
    for thread in threads {
        thread.join().expect("talks");
    }
}

fn much_through_one_connection(backend: BackendKind) {
    let server = Sshd::start();
    let mut remote = server.connect(backend);
    let to = Endpoint::loopback(echo_tcp());
    let forward = remote.forward_local(LocalListener::tcp(0).expect("listen"), &to).expect("forwards");
    talk_tcp(port_of(forward.listens()), bytes(64 << 20));
}

#[test]
fn libssh2_carries_much_with_each_cipher() {
    for cipher in [
        "chacha20-poly1305@openssh.com",
        "aes128-gcm@openssh.com",
        "aes256-gcm@openssh.com",
        "aes128-ctr",
        "aes192-ctr",
        "aes256-ctr",
    ] {
        let server = Sshd::start_with(&format!("Ciphers {cipher}"));
        let mut remote = server.connect(BackendKind::Libssh2);
        let to = Endpoint::loopback(echo_tcp());
        let forward = remote.forward_local(LocalListener::tcp(0).expect("listen"), &to).expect("forwards");
        talk_tcp(port_of(forward.listens()), bytes(3 << 20));
    }
}

fn a_slow_reader_holds_up_nobody_else(backend: BackendKind) {
    let server = Sshd::start();
    let mut remote = server.connect(backend);
    let to = Endpoint::loopback(echo_tcp());
    let forward = remote.forward_local(LocalListener::tcp(0).expect("listen"), &to).expect("forwards");
    let port = port_of(forward.listens());
    let mut slow = TcpStream::connect(("127.0.0.1", port)).expect("connect");
    let mut writer = slow.try_clone().expect("clone");
    let content = bytes(32 << 20);
    let sent = content.clone();
    // Blocks when all buffers are full, because nothing is read.
    let sender = std::thread::spawn(move || {
        writer.write_all(&sent).expect("send");
    });
    for _ in 0..3 {
        talk_tcp(port, bytes(1 << 20));
    }
    let mut received = vec![0; content.len()];
    slow.read_exact(&mut received).expect("receive");
    sender.join().expect("send");
    assert!(received == content);
}

fn nobody_listens_there(backend: BackendKind) {
    let server = Sshd::start();
    let mut remote = server.connect(backend);
    let nobody = Endpoint::Unix(server.path("nobody"));
    let forward = remote.forward_local(LocalListener::tcp(0).expect("listen"), &nobody).expect("forwards");
    let mut stream = TcpStream::connect(("127.0.0.1", port_of(forward.listens()))).expect("somebody listens here");
    // Closed, by an end or a reset.
    assert_eq!(stream.read(&mut [0; 8]).unwrap_or(0), 0);
    // A connection that comes back and finds no listener here is closed there.
    let back = remote.forward_back(&Endpoint::loopback(0), &nobody).expect("forwards");
    let mut stream = TcpStream::connect(("127.0.0.1", port_of(back.listens()))).expect("somebody listens there");
    assert_eq!(stream.read(&mut [0; 8]).unwrap_or(0), 0);
    assert_eq!(remote.run("echo on", b"", Instant::now() + PATIENCE).expect("goes on").stdout, b"on\n");
}

fn a_dropped_forward_listens_no_more(backend: BackendKind) {
    let server = Sshd::start();
    let mut remote = server.connect(backend);
    let path = server.path("private/socket");
    let to = Endpoint::loopback(echo_tcp());
    let forward = remote.forward_local(LocalListener::unix(&path).expect("listen"), &to).expect("forwards");
    let mut stream = UnixStream::connect(&path).expect("connect");
    stream.write_all(b"x").expect("send");
    stream.read_exact(&mut [0]).expect("receive");
    drop(forward);
    assert_eq!(stream.read(&mut [0; 8]).unwrap_or(0), 0, "its connections end with it");
    until("the socket is gone", || !path.exists());
}

fn a_crash_is_told(backend: BackendKind) {
    let mut server = Sshd::start();
    let mut remote = server.connect(backend);
    let to = Endpoint::loopback(echo_tcp());
    let forward = remote.forward_local(LocalListener::tcp(0).expect("listen"), &to).expect("forwards");
    let mut stream = TcpStream::connect(("127.0.0.1", port_of(forward.listens()))).expect("connect");
    stream.write_all(b"x").expect("send");
    stream.read_exact(&mut [0]).expect("receive");
    let (sender, receiver) = channel();
    remote.when_lost(Box::new(move |reason| sender.send(reason).expect("somebody waits")));
    server.crash();
    let reason = receiver.recv_timeout(PATIENCE).expect("told");
    assert!(!reason.is_empty());
    assert_eq!(stream.read(&mut [0; 8]).unwrap_or(0), 0, "its connections end");
    let error = remote.run("true", b"", Instant::now() + PATIENCE).expect_err("lost");
    assert!(matches!(error, SshError::Lost { .. }), "{error}");
    let (sender, receiver) = channel();
    remote.when_lost(Box::new(move |reason| sender.send(reason).expect("somebody waits")));
    receiver.recv_timeout(PATIENCE).expect("told again");
}

fn a_command_that_is_cut_off_tells_why(backend: BackendKind) {
    let mut server = Sshd::start();
    let mut remote = server.connect(backend);
    let runs = server.path("runs");
    let command = format!("touch {}; exec sleep 60", runs.display());
    let error = std::thread::scope(|scope| {
        scope.spawn(|| {
            until("the command runs", || runs.exists());
            server.crash();
        });
        remote.run(&command, b"", Instant::now() + PATIENCE).expect_err("lost")
    });
    let SshError::Lost { reason, .. } = error else { panic!("{error}") };
    assert!(!reason.contains("thread") && !reason.contains("runs"), "{reason}");
    assert!(reason.len() < 120, "{reason}");
}
