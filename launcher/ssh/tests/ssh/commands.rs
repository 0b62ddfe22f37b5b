//! Commands and files.

use super::sshd::{PATIENCE, Sshd, bytes, on_both_backends};
use ipclusterz_profile::tables::ssh::BackendKind;
use ipclusterz_ssh::SshError;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, Instant};

on_both_backends!(
    a_command_has_input_output_and_status,
    much_goes_both_ways,
    a_command_that_hangs_is_given_up,
    a_file_is_written_whole_and_private,
    what_cannot_be_written_or_read,
    several_at_once_and_one_after_the_other,
);

fn soon() -> Instant {
    Instant::now() + PATIENCE
}

fn a_command_has_input_output_and_status(backend: BackendKind) {
    let server = Sshd::start();
    let mut remote = server.connect(backend);
    let output = remote.run("cat; echo to stderr >&2; exit 3", b"from stdin", soon()).expect("runs");
    assert_eq!((output.status, &output.stdout[..]), (3, &b"from stdin"[..]));
    assert_eq!(output.stderr, b"to stderr\n");
    assert_eq!(remote.run("kill -9 $$", b"", soon()).expect("runs").status, 255);
    assert_eq!(remote.run("exit 255", b"", soon()).expect("runs").status, 255);
    let error = remote.run("false", b"", soon()).expect("runs").text("n1", "false").expect_err("fails");
    assert_eq!(error.to_string(), "on n1: `false` ended with status 1");
}

fn much_goes_both_ways(backend: BackendKind) {
    let server = Sshd::start();
    let mut remote = server.connect(backend);
    let content = bytes(9_000_000);
    let output = remote.run("tee /dev/stderr", &content, soon()).expect("runs");
    assert!(output.stdout == content && output.stderr == content);
    // A command that does not read its input.
    let output = remote.run("exec 0<&-; echo x", &content, soon()).expect("runs");
    assert_eq!((output.status, &output.stdout[..]), (0, &b"x\n"[..]));
}

fn a_command_that_hangs_is_given_up(backend: BackendKind) {
    let server = Sshd::start();
    let mut remote = server.connect(backend);
    let error = remote.run("sleep 1000", b"", Instant::now() + Duration::from_millis(300)).expect_err("hangs");
    assert!(matches!(&error, SshError::Timeout { doing, .. } if doing == "running `sleep 1000`"), "{error}");
    assert_eq!(remote.run("echo on", b"", soon()).expect("goes on").stdout, b"on\n");
}

fn a_file_is_written_whole_and_private(backend: BackendKind) {
    let server = Sshd::start();
    let mut remote = server.connect(backend);
    let mode = |path: &str| fs::metadata(path).expect("stat").mode() & 0o777;
    let path = server.text("new/folders/it's a file");
    for content in [bytes(3_000_000), b"second".to_vec(), Vec::new()] {
        remote.upload(&path, &content, 0o600).expect("written");
        assert!(fs::read(&path).expect("read") == content);
        assert!(remote.download(&path).expect("read back") == content);
    }
    assert_eq!((mode(&path), mode(&server.text("new/folders")), mode(&server.text("new"))), (0o600, 0o700, 0o700));
    let script = server.text("new/script");
    remote.upload(&script, b"x", 0o755).expect("written");
    assert_eq!(mode(&script), 0o755);
    assert_eq!(fs::read_dir(server.path("new/folders")).expect("list").count(), 1, "no temporary file stays");
}

fn what_cannot_be_written_or_read(backend: BackendKind) {
    let server = Sshd::start();
    let mut remote = server.connect(backend);
    let missing = remote.download(&server.text("missing")).expect_err("missing");
    assert!(matches!(&missing, SshError::Missing { path, .. } if *path == server.text("missing")), "{missing}");
    let error = remote.upload("/proc/x/y", b"", 0o600).expect_err("cannot be made");
    assert!(matches!(&error, SshError::Transfer { path, .. } if path == "/proc/x/y"), "{error}");
    assert_eq!(remote.run("echo on", b"", soon()).expect("goes on").stdout, b"on\n");
}

fn several_at_once_and_one_after_the_other(backend: BackendKind) {
    let server = Sshd::start();
    let mut remote = server.connect(backend);
    for number in 0..30 {
        let output = remote.run(&format!("echo {number}"), b"", soon()).expect("runs");
        assert_eq!(output.stdout, format!("{number}\n").into_bytes());
    }
}
