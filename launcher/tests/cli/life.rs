//! Running clusters: other processes find, query and stop them, and remove what they left.

use super::support::{PATIENCE, User};
use ipclusterz_host::system;
use std::process::{Command, Stdio};

#[test]
fn a_cluster_is_found_and_stopped_from_another_process() {
    let user = User::new();
    let cluster = user.start_sleeping("-n 2", 2);
    let list = user.run("list --json").json();
    assert_eq!(list["clusters"][0]["state"], "starting");
    assert_eq!(list["clusters"][0]["launcher_pid"], cluster.launcher.id());

    // The controller answers while engines are still starting.
    let waiting = user.run("wait --engines 0 --timeout 30 --json");
    assert_eq!(waiting.code, Some(0), "{}", waiting.stderr);
    let status = user.run("status --json").json();
    assert_eq!(status["state"], "starting");
    assert_eq!(status["controller"]["engines"], serde_json::json!([]));
    let late = user.run("wait --engines 2 --timeout 0.2");
    assert_eq!(late.code, Some(6), "{}", late.stderr);
    assert!(late.stderr.contains("error: cluster \"default\" has 0 of 2 engines after 0.2 s"), "{}", late.stderr);

    let abort = user.run("abort default");
    assert_eq!((abort.code, abort.stdout), (Some(0), String::new()));
    assert_eq!(abort.stderr, "cluster \"default\": 0 calls waited, 0 wait now\n");
    user.run("abort lab")
        .assert_fails(3, "error: there is no cluster \"lab\"\nhint: clusters there are: default (--cluster NAME)\n");
    assert_eq!(user.run("abort lab --cluster lob").code, Some(2));

    let second = user.run("start -n 1 --python /bin/true");
    assert_eq!(second.code, Some(4));
    let launcher = cluster.launcher.id();
    assert!(second.stderr.starts_with("error: cluster \"default\" is starting on "), "{}", second.stderr);
    assert!(second.stderr.contains(&format!(
        "(launcher pid {launcher})\nhint: choose another name with --cluster NAME, or stop it: `ipclusterz stop`\n"
    )));
    user.run("status --cluster defualt").assert_fails(
        3,
        "error: there is no cluster \"defualt\"\nhint: did you mean \"default\"? clusters there are: default (--cluster NAME)\n",
    );

    let stop = user.run("stop --json");
    assert_eq!(stop.code, Some(0), "{}", stop.stderr);
    let stopped = &stop.json()["stopped"][0];
    assert_eq!((&stopped["cluster"], &stopped["forced"]), (&"default".into(), &false.into()));
    let (code, stderr) = cluster.end();
    assert_eq!(code, Some(130), "{stderr}");
    user.assert_clean("default");
    assert_eq!(user.run("list").stdout, "");
}

#[test]
fn a_launcher_that_control_z_has_stopped_is_ended_as_quickly_as_another() {
    let user = User::new();
    let cluster = user.start_sleeping("start lab -n 1", 1);
    cluster.signal(libc::SIGSTOP);
    let stop = user.run("stop lab --json");
    assert_eq!(stop.code, Some(0), "{}", stop.stderr);
    let stopped = &stop.json()["stopped"][0];
    assert_eq!(stopped["forced"], false, "{stopped}");
    assert!(stopped["seconds"].as_f64().is_some_and(|seconds| seconds < 8.0), "{stopped}");
    let (code, stderr) = cluster.end();
    assert_eq!(code, Some(130), "{stderr}");
    user.assert_clean("lab");
}

#[test]
fn a_terminal_that_is_closed_is_said_to_be_the_reason() {
    let user = User::new();
    let cluster = user.start_sleeping("-n 1", 1);
    cluster.signal(libc::SIGHUP);
    let (code, stderr) = cluster.end();
    assert_eq!(code, Some(130), "{stderr}");
    assert!(stderr.ends_with("error: SIGHUP before all engines were ready\n"), "{stderr}");
    user.assert_clean("default");
}

#[test]
fn control_c_stops_everything() {
    let user = User::new();
    let cluster = user.start_sleeping("-n 2 --json", 2);
    cluster.signal(libc::SIGINT);
    let (code, stderr) = cluster.end();
    assert_eq!(code, Some(130));
    assert!(stderr.ends_with("error: Ctrl-C before all engines were ready\n"), "{stderr}");
    user.assert_clean("default");
}

#[test]
fn nothing_survives_a_killed_launcher_and_its_remains_are_cleaned() {
    let user = User::new();
    for cleaner in ["stop", "start"] {
        let cluster = user.start_sleeping("-n 2", 2);
        let controller = user.run("wait --engines 0 --timeout 30");
        assert_eq!(controller.code, Some(0), "{}", controller.stderr);
        let controller = user.run("status --json").json()["controller"]["pid"].as_u64().expect("a pid");
        cluster.signal(libc::SIGKILL);
        let (code, _) = cluster.end();
        assert_eq!(code, None, "killed");
        let controller = u32::try_from(controller).expect("a pid");
        assert!(system::wait_for_end(controller, PATIENCE).expect("wait"), "the controller lives on");

        assert_eq!(user.run("list --json").json()["clusters"][0]["state"], "stale");
        let status = user.run("status");
        assert_eq!(status.code, Some(3));
        assert!(
            status.stderr.starts_with("error: cluster \"default\" is stale: its launcher (pid "),
            "{}",
            status.stderr
        );
        if cleaner == "stop" {
            let stop = user.run("stop");
            assert_eq!(stop.code, Some(0), "{}", stop.stderr);
            assert_eq!(stop.stderr, "cluster \"default\" was stale: its remains are removed\n");
        } else {
            let start = user.run("start -n 1 --python /bin/false");
            assert_eq!(start.code, Some(5));
            assert!(start.stderr.starts_with("cluster \"default\" was stale: its launcher (pid "), "{}", start.stderr);
        }
        user.assert_clean("default");
    }
}

#[test]
fn a_cluster_ends_with_its_parent_when_asked_to() {
    let user = User::new();
    let python = user.python("exec sleep 1000");
    // The shell prints the launcher's pid, then waits to be killed.
    let launcher = user.command("");
    let mut shell = Command::new("sh");
    shell.arg("-c").arg("\"$@\" 2>/dev/null & echo $!; wait").arg("sh").arg(launcher.get_program());
    shell.envs(launcher.get_envs().filter_map(|(name, value)| Some((name, value?))));
    shell.args(["-n", "1", "--exit-with-parent", "--python"]).arg(python).stdout(Stdio::piped());
    let mut shell = shell.spawn().expect("sh");
    let mut line = String::new();
    let output = shell.stdout.take().expect("piped");
    std::io::BufRead::read_line(&mut std::io::BufReader::new(output), &mut line).expect("a pid");
    let launcher: u32 = line.trim().parse().expect("a pid");
    let waited = user.run("wait --engines 0 --timeout 30");
    assert_eq!(waited.code, Some(0), "{}", waited.stderr);

    shell.kill().expect("kill");
    shell.wait().expect("reap");
    assert!(system::wait_for_end(launcher, PATIENCE).expect("wait"), "the launcher lives on");
    user.assert_clean("default");
}

#[test]
fn several_clusters_live_side_by_side_and_are_stopped_together() {
    let user = User::new();
    let clusters = ["a", "b"].map(|name| user.start_sleeping(&format!("-n 1 --cluster {name}"), 1));
    let names: Vec<_> = user.run("list --json").json()["clusters"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|cluster| cluster["cluster"].clone())
        .collect();
    assert_eq!(names, ["a", "b"]);
    let stop = user.run("stop --all --json");
    assert_eq!(stop.code, Some(0), "{}", stop.stderr);
    assert_eq!(stop.json()["stopped"].as_array().map(Vec::len), Some(2));
    for (cluster, name) in clusters.into_iter().zip(["a", "b"]) {
        cluster.end();
        user.assert_clean(name);
    }
}
