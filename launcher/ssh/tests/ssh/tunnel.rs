//! A tunnel that outlives its connection.

use super::sshd::{PATIENCE, Sshd, bytes, echo_unix, on_both_backends, talk};
use ipclusterz_profile::tables::ssh::BackendKind;
use ipclusterz_ssh::remembering::Remembering;
use ipclusterz_ssh::tunnel::{Tunnel, Way};
use ipclusterz_ssh::{Endpoint, LocalListener, Nobody};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::Instant;

on_both_backends!(comes_back_after_a_crash, ends_in_the_middle_of_an_attempt);

fn open(server: &Sshd, backend: BackendKind, path: &Path) -> (Tunnel, Receiver<String>) {
    let socket = server.path("echo");
    echo_unix(&socket);
    let to = Endpoint::Unix(socket);
    let mut remote = server.connect(backend);
    let listener = LocalListener::unix(path).expect("listen");
    let forward = remote.forward_local(listener.try_clone().expect("clone"), &to).expect("forwards");
    let given_up = Arc::default();
    let asker = Remembering::new(Box::new(Nobody), Arc::clone(&given_up));
    let way = Way { host: server.host(), table: server.table(backend), asker, given_up };
    let (sender, said) = channel();
    let say = Box::new(move |line: &str| drop(sender.send(line.to_owned())));
    (Tunnel::keep(remote, forward, listener, to, way, say).expect("kept"), said)
}

#[track_caller]
fn heard(said: &Receiver<String>, expected: &str) {
    let line = said.recv_timeout(PATIENCE).expect(expected);
    assert!(line.contains(expected), "{line:?} is not {expected:?}");
}

fn comes_back_after_a_crash(backend: BackendKind) {
    let mut server = Sshd::start();
    let path = server.path("private/socket");
    let (tunnel, said) = open(&server, backend, &path);
    for _ in 0..2 {
        let mut broken = UnixStream::connect(&path).expect("connect");
        broken.write_all(b"x").expect("send");
        broken.read_exact(&mut [0]).expect("receive");
        server.crash();
        assert_eq!(broken.read(&mut [0; 8]).unwrap_or(0), 0, "who was connected is told at once");
        heard(&said, "is lost");
        heard(&said, "next attempt in 0.4 s");
        // A peer that connects now waits, and is served when the connection is restored.
        let mut waiting = UnixStream::connect(&path).expect("somebody listens");
        waiting.write_all(b"early").expect("send");
        assert!(server.listen(), "the port is taken");
        let mut early = [0; 5];
        waiting.read_exact(&mut early).expect("receive");
        assert_eq!(&early, b"early");
        while !said.recv_timeout(PATIENCE).expect("something is said").contains("connected to") {}
        let stream = UnixStream::connect(&path).expect("connect");
        talk(stream.try_clone().expect("clone"), stream, bytes(1 << 20));
    }
    drop(tunnel);
    assert!(!path.exists());
}

fn ends_in_the_middle_of_an_attempt(backend: BackendKind) {
    let mut server = Sshd::start();
    let path = server.path("private/socket");
    let (tunnel, said) = open(&server, backend, &path);
    server.crash();
    // A server that accepts connections and sends nothing.
    let listener = std::net::TcpListener::bind(("127.0.0.1", server.port)).expect("listen");
    heard(&said, "is lost");
    let _silent = listener.accept().expect("an attempt");
    let started = Instant::now();
    drop(tunnel);
    assert!(started.elapsed() < PATIENCE / 2, "it waited for the attempt");
    assert!(!path.exists());
}
