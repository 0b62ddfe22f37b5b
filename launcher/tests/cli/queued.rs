//! A start whose job waits in a queue played by scripts: what other commands report about it, and its script.

use super::support::{PATIENCE, User};
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;
use std::time::{Duration, Instant};

/// A profile whose queue lets a job wait for resources forever.
fn profile(user: &User) -> String {
    let tool = |name: &str, script: &str| {
        let path = user.path(name);
        std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).expect("write");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("chmod");
        path.display().to_string()
    };
    let gone = user.path("cancelled").display().to_string();
    let submit = tool("submit", "echo 17");
    let status = tool("status", &format!("if [ -e {gone} ]; then echo no such job >&2; exit 1; fi; echo '17 PD full'"));
    let cancel = tool("cancel", &format!("touch {gone}"));
    let python = user.python("exit 1").display().to_string();
    let text = format!(
        "[engines]\nlauncher = \"batch\"\npython = {python:?}\n[batch]\npoll = 0.1\n\
         [queue]\nname = \"Q\"\nprefix = \"#Q\"\ndirectives = [\"--minutes={{minutes}}\"]\nsubmit = [{submit:?}]\n\
         status = [{status:?}]\nstatus_line = '^(?<id>\\d+) (?<state>\\S+) (?<reason>.*)$'\nunknown = \"no such job\"\n\
         cancel = [{cancel:?}]\nwaiting = [\"PD\"]\nrunning = [\"R\"]\nreasons = {{ full = \"waiting for resources\" }}\n",
    );
    let path = user.path("config/ipclusterz/profiles/q.toml");
    std::fs::write(&path, text).expect("write");
    "q".to_owned()
}

#[test]
fn why_engines_are_not_there_is_told_to_other_commands() {
    let user = User::new();
    let name = profile(&user);
    let mut command = user.command(&format!("-n 2 --profile {name}"));
    let mut launcher = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("start ipclusterz");

    let deadline = Instant::now() + PATIENCE;
    let reason = "job 17 is pending: waiting for resources; ";
    let status = loop {
        let outcome = user.run("status --json");
        if outcome.code == Some(0) && outcome.stdout.contains(reason) {
            break outcome.json();
        }
        assert!(Instant::now() < deadline, "{}{}", outcome.stdout, outcome.stderr);
        std::thread::sleep(Duration::from_millis(20));
    };
    let progress = &status["progress"];
    assert_eq!((&progress["wanted"], &progress["lost"]), (&2.into(), &serde_json::Value::Null));
    let set = &progress["sets"][0];
    assert_eq!((&set["state"], &set["first"], &set["count"]), (&"waiting".into(), &0.into(), &2.into()));
    assert_eq!(set["ready"], 0);
    assert!(set["seconds"].as_f64().is_some_and(|seconds| seconds < PATIENCE.as_secs_f64()), "{set}");

    let text = user.run("status").stdout;
    assert!(text.contains("\n2 of 2 wanted engines are not there yet:\n"), "{text}");
    assert!(text.contains(&format!("  engines 0 to 1: {reason}")), "{text}");
    let late = user.run("wait --engines 2 --timeout 0.2");
    let expected = format!("has 0 of 2 engines after 0.2 s; engines 0 to 1: {reason}");
    assert!(late.code == Some(6) && late.stderr.contains(&expected), "{}", late.stderr);
    let early = user.run("scale +1");
    assert_eq!(
        (early.code, early.stderr.contains("the cluster is still starting")),
        (Some(2), true),
        "{}",
        early.stderr
    );

    assert_eq!(user.run("stop").code, Some(0));
    launcher.wait().expect("reap");
    user.assert_clean("default");
}

#[test]
fn a_script_is_printed_as_it_is_or_as_json() {
    let user = User::new();
    let name = profile(&user);
    // A time limit in minutes needs no quotes.
    let line =
        format!("start -n 2 --profile {name} --set batch.time_limit=10 --set engines.hash_seed=7 --print-script");
    let plain = user.run(&line);
    assert_eq!(plain.code, Some(0), "{}", plain.stderr);
    assert!(plain.stdout.starts_with("#!/bin/bash\n#Q --minutes=10\n"), "{}", plain.stdout);
    let json = user.run(&format!("{line} --json")).json();
    let script = json["script"].as_str().expect("a text").replace(&user.path("").display().to_string(), "[USER]/");
    assert_eq!((script, &json["description"]), (plain.stdout, &serde_json::Value::Null));
}

#[test]
fn a_queue_that_does_not_take_the_job_is_the_reason_with_the_hint_of_the_doctor() {
    let user = User::new();
    let name = profile(&user);
    let fail = "#!/bin/sh\necho 'Unable to contact the controller' >&2\nexit 1\n";
    for tool in ["submit", "status"] {
        std::fs::write(user.path(tool), fail).expect("write");
    }
    let outcome = user.run(&format!("start -n 2 --profile {name}"));
    assert_eq!(outcome.code, Some(5), "{}", outcome.stderr);
    let expected = "error: engines 0, 1 could not be started: `[USER]/submit` failed (exit status: 1)\n    \
                    Unable to contact the controller\nhint: ";
    let hint = outcome.stderr.split_once(expected).unwrap_or_else(|| panic!("{}", outcome.stderr)).1.trim_end();
    let doctor = user.run(&format!("doctor --profile {name}")).stdout;
    assert!(doctor.contains(&format!("hint: {hint}")), "no {hint}: {doctor}");
    user.assert_clean("default");

    std::fs::remove_file(user.path("submit")).expect("remove");
    let outcome = user.run(&format!("start -n 2 --profile {name}"));
    let hint = outcome.stderr.split_once("hint: ").unwrap_or_else(|| panic!("{}", outcome.stderr)).1.trim_end();
    assert!(outcome.stderr.contains("cannot run `[USER]/submit`: No such file or directory\n"), "{}", outcome.stderr);
    let doctor = user.run(&format!("doctor --profile {name}")).stdout;
    assert!(doctor.contains(&format!("hint: {hint}")), "no {hint}: {doctor}");
}
