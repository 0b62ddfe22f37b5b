//! A controller that dies while its cluster goes on, and one that cannot come back.

use super::support::{PATIENCE, Sleeping, User};
use ipclusterz_host::system;
use serde_json::Value;
use std::net::{SocketAddr, TcpListener};
use std::time::{Duration, Instant};

/// The pid of the controller that the status tells of.
fn pid_of(status: &Value) -> u32 {
    let pid = status["controller"]["pid"].as_u64().unwrap_or_else(|| panic!("no pid in {status}"));
    u32::try_from(pid).expect("a pid")
}

fn kill(pid: u32) {
    system::signal_process(pid, libc::SIGKILL).expect("kill");
    assert!(system::wait_for_end(pid, PATIENCE).expect("wait"), "{pid} does not end");
}

/// The status, once a controller answers that is not `before`.
fn status_after(user: &User, before: u32) -> Value {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let outcome = user.run("status --json");
        // The connection may break while the question is under way.
        if outcome.code == Some(0) && pid_of(&outcome.json()) != before {
            return outcome.json();
        }
        assert!(Instant::now() < deadline, "{}", outcome.stderr);
    }
}

fn json_file(user: &User, name: &str) -> Value {
    let path = user.path("home/clusters/default").join(name);
    serde_json::from_slice(&std::fs::read(path).expect("read")).expect("JSON")
}

/// Has the controller die, and does something to it before its launcher hears of that.
fn kill_and(user: &User, cluster: &Sleeping, meanwhile: impl FnOnce(&Value)) {
    let status = user.run("status --json").json();
    cluster.signal(libc::SIGSTOP);
    kill(pid_of(&status));
    meanwhile(&status);
    cluster.signal(libc::SIGCONT);
}

/// The lines about a controller that was started again.
fn restarts(stderr: &str) -> usize {
    stderr.matches("the controller died (signal: 9 (SIGKILL)) and was started again in ").count()
}

#[test]
fn a_controller_that_was_killed_comes_back_as_the_same() {
    let user = User::new();
    let cluster = user.start_sleeping("-n 1 --timeout 300 --listen 127.0.0.1:0", 1);
    let first = user.run("status --json").json();
    let (client, engine) = (json_file(&user, "client.json"), json_file(&user, "engine.json"));
    assert_eq!(client["keeper"]["pid"], cluster.launcher.id());
    kill(pid_of(&first));
    let second = status_after(&user, pid_of(&first));
    for field in ["addresses", "launcher_pid", "state", "log_directory"] {
        assert_eq!(first[field], second[field], "{field}");
    }
    for (before, name) in [(client, "client.json"), (engine, "engine.json")] {
        let after = json_file(&user, name);
        for field in ["addresses", "run_id", "curve", "keeper", "shared_memory"] {
            assert_eq!(before[field], after[field], "{field} of {name}");
        }
        assert_eq!(after["controller"]["pid"], pid_of(&second));
    }
    assert_eq!(json_file(&user, "cluster.json")["controller"]["pid"], pid_of(&second));
    assert_eq!(user.run("list --json").json()["clusters"][0]["state"], "starting");
    assert_eq!(user.run("wait --engines 0 --timeout 30").code, Some(0));

    let stop = user.run("stop --json");
    assert_eq!((stop.code, &stop.json()["stopped"][0]["forced"]), (Some(0), &false.into()));
    let (code, stderr) = cluster.end();
    assert_eq!((code, restarts(&stderr)), (Some(130), 1), "{stderr}");
    user.assert_clean("default");
}

#[test]
fn a_controller_that_is_killed_ten_times_comes_back_ten_times() {
    let user = User::new();
    let cluster = user.start_sleeping("-n 1 --timeout 300", 1);
    let mut pid = pid_of(&user.run("status --json").json());
    for _ in 0..10 {
        kill(pid);
        pid = pid_of(&status_after(&user, pid));
    }
    assert_eq!(user.run("stop").code, Some(0));
    let (_, stderr) = cluster.end();
    assert_eq!(restarts(&stderr), 10, "{stderr}");
    user.assert_clean("default");
}

#[test]
fn without_restart_a_cluster_ends_with_its_controller() {
    let user = User::new();
    let cluster = user.start_sleeping("-n 1 --timeout 300 --set controller.restart=false", 1);
    assert_eq!(json_file(&user, "client.json").get("keeper"), None);
    kill(pid_of(&user.run("status --json").json()));
    let (code, stderr) = cluster.end();
    assert_eq!(code, Some(5), "{stderr}");
    assert!(stderr.contains("error: the controller has died (signal: 9 (SIGKILL)); the end of "), "{stderr}");
    user.assert_clean("default");
}

#[test]
fn who_waits_goes_on_waiting_for_a_cluster_whose_controller_died_and_not_for_one_that_ended() {
    let user = User::new();
    let cluster = user.start_sleeping("-n 1 --timeout 300", 1);
    let first = pid_of(&user.run("status --json").json());
    let mut command = user.command("wait --engines 1 --timeout 300");
    let mut waiting = command.stderr(std::process::Stdio::piped()).spawn().expect("start");
    let deadline = Instant::now() + PATIENCE;
    // The launcher, the one that waits, and the one that asks.
    while user.run("status --json").json()["controller"]["clients"] != 3 {
        assert!(Instant::now() < deadline, "it does not connect");
    }
    kill(first);
    status_after(&user, first);
    assert_eq!(waiting.try_wait().expect("look"), None);
    assert_eq!(user.run("stop").code, Some(0));
    assert!(system::wait_for_end(waiting.id(), PATIENCE).expect("wait"), "it waits for ever");
    let output = waiting.wait_with_output().expect("reap");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{stderr}");
    assert!(stderr.contains("error: cluster \"default\" has ended: "), "{stderr}");
    cluster.end();
    user.assert_clean("default");
}

#[test]
fn a_cluster_without_a_controller_is_stopped_as_quickly_as_another() {
    let user = User::new();
    let cluster = user.start_sleeping("-n 2 --timeout 300", 2);
    let controller = pid_of(&user.run("status --json").json());
    cluster.signal(libc::SIGSTOP);
    kill(controller);
    let stop = user.run("stop --json");
    assert_eq!(stop.code, Some(0), "{}", stop.stderr);
    let stopped = &stop.json()["stopped"][0];
    assert_eq!(stopped["forced"], false);
    assert!(stopped["seconds"].as_f64().is_some_and(|seconds| seconds < 8.0), "{stopped}");
    cluster.end();
    user.assert_clean("default");
}

#[test]
fn a_cluster_without_a_controller_is_not_taken_for_dead() {
    let user = User::new();
    let cluster = user.start_sleeping("-n 1 --timeout 300", 1);
    kill_and(&user, &cluster, |_| {
        let outcome = user.run("status --timeout 0.3");
        assert_eq!(outcome.code, Some(7), "{}", outcome.stderr);
        assert!(outcome.stderr.contains("of cluster \"default\" does not answer"), "{}", outcome.stderr);
        assert!(outcome.stderr.contains("is gone"), "{}", outcome.stderr);
        assert_eq!(user.run("list --json").json()["clusters"][0]["state"], "starting");
        assert_eq!(user.run("gc").stdout, "");
    });
    assert_eq!(user.run("stop").code, Some(0));
    cluster.end();
    user.assert_clean("default");
}

/// Ends with a failure that has these words, a hint, and with nothing left behind but a journal.
fn ends_with(user: &User, cluster: Sleeping, words: &[&str]) {
    let (code, stderr) = cluster.end();
    assert_eq!(code, Some(5), "{stderr}");
    for part in words {
        assert!(stderr.contains(part), "no {part:?} in {stderr}");
    }
    let _ = std::fs::remove_dir_all(user.path("home/clusters/default/journal"));
    user.assert_clean("default");
}

#[test]
fn a_controller_whose_port_was_taken_ends_the_cluster_with_words() {
    let user = User::new();
    let cluster = user.start_sleeping("-n 1 --timeout 300 --listen 127.0.0.1:0", 1);
    let mut taken = None;
    kill_and(&user, &cluster, |status| {
        let addresses = status["addresses"].as_array().expect("a list").iter().filter_map(Value::as_str);
        let tcp = addresses.filter_map(|address| address.strip_prefix("tcp://")).next().expect("a TCP address");
        let address: SocketAddr = tcp.parse().expect("an address");
        taken = Some((TcpListener::bind(address).expect("bind"), tcp.to_owned()));
    });
    let (_listener, address) = taken.expect("a listener");
    let port = address.rsplit(':').next().expect("a port");
    let words = ["error: the controller could not be started again: cannot listen at ", "hint: "];
    ends_with(&user, cluster, &[words[0], words[1], &format!(":{port}: Address already in use")]);
}

#[test]
fn a_controller_whose_journal_is_damaged_ends_the_cluster_with_words() {
    let user = User::new();
    let cluster = user.start_sleeping("-n 1 --timeout 300", 1);
    kill_and(&user, &cluster, |_| {
        std::fs::write(user.path("home/clusters/default/journal/identity.json"), "{").expect("write");
    });
    ends_with(&user, cluster, &["error: the controller could not be started again: ", "identity.json", "damaged"]);
}

#[test]
fn a_cluster_whose_folder_is_gone_ends_when_its_controller_dies() {
    let user = User::new();
    let cluster = user.start_sleeping("-n 1 --timeout 300", 1);
    kill_and(&user, &cluster, |_| {
        std::fs::remove_dir_all(user.path("home/clusters/default")).expect("remove");
    });
    ends_with(&user, cluster, &["No such file or directory"]);
}

#[test]
fn a_cluster_whose_launcher_is_killed_while_its_controller_is_dead_is_stale() {
    let user = User::new();
    let cluster = user.start_sleeping("-n 1 --timeout 300", 1);
    let controller = pid_of(&user.run("status --json").json());
    cluster.signal(libc::SIGSTOP);
    kill(controller);
    cluster.signal(libc::SIGKILL);
    cluster.end();
    assert_eq!(user.run("list --json").json()["clusters"][0]["state"], "stale");
    let started = Instant::now();
    assert_eq!(user.run("wait --engines 1 --timeout 1").code, Some(6));
    assert!(started.elapsed() < Duration::from_secs(10));
    assert_eq!(user.run("stop").code, Some(0));
    user.assert_clean("default");
}
