//! What the command refuses, and with which words and exit code.

use std::path::Path;
use std::process::{Command, Output};

fn peers(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_ipclusterz-peers")).args(arguments).output().expect("it starts")
}

#[track_caller]
fn refused(arguments: &[&str], exit: i32, words: &[&str]) {
    let output = peers(arguments);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(exit), "{arguments:?}: {stderr}");
    assert!(output.stdout.is_empty(), "{arguments:?}");
    for word in words {
        assert!(stderr.contains(word), "{arguments:?}: {word:?} is not in {stderr}");
    }
}

#[test]
fn values_that_make_no_sense_are_named() {
    let engines = ["engines", "--connection", "engine.json", "-n"];
    let clients = ["clients", "--connection", "client.json", "-n", "1", "--tasks", "1"];
    refused(&[&engines[..], &["0"]].concat(), 2, &["'0'", "1..=65535"]);
    refused(&[&engines[..], &["1", "--busy", "2..1"]].concat(), 2, &["\"2..1\"", "0..0.002"]);
    refused(&[&engines[..], &["1", "--fail", "1.5"]].concat(), 2, &["\"1.5\"", "from 0 to 1"]);
    refused(&["engines", "-n", "1"], 2, &["--connection <FILE>"]);
    refused(&["engines", "-n", "1", "--", "python", "-m", "x"], 3, &["\"python -m x\"", "--connection-file"]);
    refused(&[&clients[..], &["--direct", "half"]].concat(), 2, &["\"half\"", "from 0 to 1"]);
    refused(&[&clients[..], &["--window", "0"]].concat(), 2, &["'0'", "1..=4294967295"]);
    refused(&[&clients[..], &["--window", "7", "--one-by-one"]].concat(), 2, &["cannot be used with"]);
    refused(&[&clients[..], &["--deadline=-1"]].concat(), 2, &["\"-1\"", "not below 0"]);
}

#[test]
fn a_connection_file_that_is_not_there_is_named() {
    for (command, more) in [("engines", &[][..]), ("clients", &["--tasks", "1"])] {
        let arguments = [&[command, "--connection", "/nonexistent/file.json", "-n", "1"], more].concat();
        refused(&arguments, 3, &["/nonexistent/file.json"]);
    }
}

#[test]
fn the_connection_file_of_the_other_role_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("file.json");
    let write = |role: &str| {
        let text = format!(
            r#"{{"version": 1, "role": "{role}", "cluster": "c", "run_id": "r", "host": "h", "addresses": [], "forwarded": false}}"#
        );
        std::fs::write(&path, text).expect("written");
        private(&path);
    };
    let file = path.to_str().expect("UTF-8");
    write("client");
    refused(&["engines", "--connection", file, "-n", "1"], 3, &["file.json", "for clients", "for engines"]);
    write("engine");
    refused(
        &["clients", "--connection", file, "-n", "1", "--tasks", "1"],
        3,
        &["file.json", "for engines", "for clients"],
    );
}

fn private(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).expect("changed");
}
