//! Starts that fail: at once, with the reason, and with nothing left behind.

use super::support::User;
use ipclusterz_host::system;
use std::ffi::{CString, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

#[test]
fn an_engine_that_cannot_start_fails_the_start_with_the_end_of_its_log() {
    let user = User::new();
    let python = user.python("echo first\necho 'ImportError: site is broken' >&2\nexit 3");
    for extra in ["", " --daemonize"] {
        let outcome = user.run(&format!("-n 1 --python {}{extra}", python.display()));
        outcome.assert_fails(
            5,
            "stopping cluster \"default\"\n\
             error: engine 0 ended before all engines were ready (exit status: 3); it was run by [USER]/python3; \
             the end of [USER]/home/clusters/default/logs/forks.log:\n  first\n  ImportError: site is broken\n\
             hint: does `[USER]/python3 -m ipclusterz.engine --help` work? else name a Python that has the package \
             ipclusterz: `--python PATH`, IPCLUSTERZ_PYTHON or engines.python in a profile\n",
        );
        user.assert_clean("default");
    }
    let logs = user.run("logs --engine 0 -n 1");
    let expected =
        "ipclusterz: there is no process that this engine could be forked from: exit status: 3; see forks.log\n";
    assert_eq!((logs.code, logs.stdout.as_str()), (Some(0), expected));
    user.run("logs --engine 7").assert_fails(
        1,
        "error: cluster \"default\" has no log \"engine-7\"\nhint: logs there are: launcher, controller, forks, engine-0\n",
    );
    user.run(&format!("-n 1 --set engines.fork=false --python {}", python.display()));
    assert_eq!(user.run("logs --json --engine 0").json()["logs"][0]["lines"][0], "first");
}

#[test]
fn a_python_without_the_package_is_told_how_to_get_it() {
    let user = User::new();
    let python = user.python("echo \"$0: No module named ipclusterz\" >&2\nexit 1");
    let outcome = user.run(&format!("-n 3 --json --python {}", python.display()));
    assert_eq!(outcome.code, Some(5), "{}", outcome.stderr);
    let version = env!("CARGO_PKG_VERSION");
    let hint = "hint: install the package for that Python: [USER]/python3 -m pip install";
    assert!(outcome.stderr.contains(&format!("{hint} ./ipclusterz-{version}-*.whl; or")), "{}", outcome.stderr);
    assert_eq!(outcome.json()["error"]["kind"], "start_failed");
    user.assert_clean("default");
}

#[test]
fn a_cause_that_an_engine_s_log_tells_has_its_own_hint() {
    let user = User::new();
    let fails = |script: &str| {
        let outcome = user.run(&format!("-n 1 --python {}", user.python(script).display()));
        assert_eq!(outcome.code, Some(5), "{}", outcome.stderr);
        assert!(!outcome.stderr.contains("--help` work?") && !outcome.stderr.contains("run by"), "{}", outcome.stderr);
        outcome.stderr
    };
    let said = fails("echo 'bash: fork: retry: Resource temporarily unavailable' >&2; exit 254");
    assert!(said.contains("\nhint: no process or thread may be added there: raise `ulimit -u`, or pids.max"), "{said}");
    let said = fails("echo 'OSError: [Errno 28] No space left on device' >&2; exit 1");
    assert!(said.contains("\nhint: free some room there (`df`, `quota`)"), "{said}");
    let said = fails("kill -9 $$");
    assert!(said.contains("(signal: 9 (SIGKILL))") && said.contains("\nhint: nobody says who killed it"), "{said}");
    user.assert_clean("default");
}

#[test]
fn engines_that_never_register_are_named_at_the_deadline() {
    let user = User::new();
    let python = user.python("echo loading\nexec sleep 1000");
    let outcome = user.run(&format!("-n 2 --timeout 0.5 --cluster slow --python {}", python.display()));
    outcome.assert_fails(
        6,
        "stopping cluster \"slow\"\n\
         error: engines 0, 1 did not register within 0.5 s; the end of [USER]/home/clusters/slow/logs/forks.log:\n  loading\n\
         hint: a slow file system or host? give it more time with --timeout\n",
    );
    user.assert_clean("slow");
}

#[test]
fn an_address_that_cannot_be_listened_on() {
    let user = User::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("bind");
    let address = taken.local_addr().expect("address");
    let python = user.python("exec sleep 1000");
    let outcome = user.run(&format!("-n 1 --listen {address} --python {}", python.display()));
    assert_eq!(outcome.code, Some(5), "{}", outcome.stderr);
    let expected = format!("error: the controller could not start: cannot listen at {address}: ");
    assert!(outcome.stderr.contains(&expected), "{}", outcome.stderr);
    assert!(outcome.stderr.contains("hint: "), "{}", outcome.stderr);
    user.assert_clean("default");
}

/// A name that is no text.
fn bytes(start: &Path) -> OsString {
    let mut path = start.as_os_str().as_bytes().to_vec();
    path.extend(b"/caf\xe9");
    OsString::from_vec(path)
}

#[test]
fn folders_whose_names_are_no_text_are_refused_at_once() {
    let user = User::new();
    let odd = bytes(&user.path(""));
    std::fs::create_dir(&odd).expect("create");
    for (variable, folder) in [("IPCLUSTERZ_HOME", "caf\\xE9"), ("XDG_RUNTIME_DIR", "caf\\xE9/ipclusterz")] {
        let outcome = user.outcome(user.command("start -n 1 --python /bin/false").env(variable, &odd));
        outcome.assert_fails(
            1,
            &format!(
                "error: \"[USER]//{folder}\", which {variable} names, is not UTF-8 text\n\
                 hint: set {variable} to a folder with another name\n"
            ),
        );
    }
    for variable in ["IPCLUSTERZ_PROFILE", "IPCLUSTERZ_CLUSTER", "XDG_CONFIG_HOME"] {
        let outcome = user.outcome(user.command("start -n 1 --python /bin/false").env(variable, &odd));
        assert_eq!(outcome.code, Some(2), "{}", outcome.stderr);
        assert!(outcome.stderr.starts_with(&format!("error: {variable}: \"[USER]//caf\\xE9\" is not UTF-8 text\n")));
    }
    let mut for_a_queue = user.command("start -n 1 --profile slurm --python /bin/false");
    let outcome = user.outcome(for_a_queue.current_dir(&odd));
    assert_eq!(outcome.code, Some(2), "{}", outcome.stderr);
    assert!(outcome.stderr.starts_with("error: the working folder, \""), "{}", outcome.stderr);
    // Engines of this host are started in any folder.
    let python = user.python("exit 7");
    let outcome = user.outcome(user.command("start -n 1 --python").arg(python).current_dir(&odd));
    assert!(
        outcome.stderr.contains("engine 0 ended before all engines were ready (exit status: 7)"),
        "{}",
        outcome.stderr
    );
}

#[test]
fn a_start_ends_with_a_controller_that_cannot_even_begin() {
    let user = User::new();
    let mut command = user.command("-n 1 --timeout 300 --python /bin/false");
    let outcome = user.outcome(command.env("IPCLUSTERZ_LOG", "loud"));
    assert_eq!(outcome.code, Some(5));
    let expected = "error: the controller could not start: IPCLUSTERZ_LOG: there is no level \"loud\"";
    assert!(outcome.stderr.contains(expected), "{}", outcome.stderr);
    assert!(outcome.stderr.ends_with("hint: there are error, warn, info and debug\n"), "{}", outcome.stderr);
    user.assert_clean("default");
}

#[test]
fn a_launcher_hears_of_its_children_although_its_starter_does_not() {
    let user = User::new();
    let python = user.python("exit 3");
    // A shell that ignores SIGCHLD hands that on to what it starts.
    let mut shell = std::process::Command::new("sh");
    let start = user.command("");
    shell.arg("-c").arg("trap '' CHLD; exec \"$@\"").arg("sh").arg(start.get_program());
    shell.envs(start.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let outcome = user.outcome(shell.args(["-n", "1", "--timeout", "300", "--python"]).arg(python));
    assert_eq!(outcome.code, Some(5), "{}", outcome.stderr);
    assert!(outcome.stderr.contains("engine 0 ended before all engines were ready"), "{}", outcome.stderr);
}

/// A folder of another user, with the number of that user.
fn foreign(user: &User) -> (std::path::PathBuf, u32) {
    const NOBODY: u32 = 65_534;
    if system::effective_user() != 0 {
        return ("/usr".into(), 0);
    }
    let path = user.path("foreign");
    std::fs::create_dir(&path).expect("create");
    let name = CString::new(path.as_os_str().as_bytes()).expect("no zero byte");
    // SAFETY: the path ends with a zero byte.
    assert_eq!(unsafe { libc::chown(name.as_ptr(), NOBODY, NOBODY) }, 0);
    (path, NOBODY)
}

#[test]
fn a_folder_of_another_user_is_named_with_its_owner_and_its_variable() {
    let user = User::new();
    let (folder, owner) = foreign(&user);
    for variable in ["XDG_RUNTIME_DIR", "IPCLUSTERZ_HOME"] {
        let hint = format!("hint: set {variable} to a folder of yours");
        let outcome = user.outcome(user.command("start -n 1 --python /bin/false").env(variable, &folder));
        assert_eq!(outcome.code, Some(1), "{}", outcome.stderr);
        let shown = outcome.stderr.lines().next().unwrap_or_default();
        assert!(shown.contains(" belongs to user ") && shown.contains(&owner.to_string()), "{}", outcome.stderr);
        assert!(outcome.stderr.contains(&hint) && outcome.stderr.contains("`su -`"), "{}", outcome.stderr);
    }
    // `doctor` has the same words for it.
    let doctor = user.outcome(user.command("doctor --json").env("XDG_RUNTIME_DIR", &folder)).json();
    let checks = doctor["checks"].as_array().expect("a list").iter();
    let found = checks.filter(|one| one["check"] == "runtime folder").collect::<Vec<_>>();
    assert!(found[0]["message"].as_str().is_some_and(|text| text.contains("belongs to user")), "{found:?}");
    assert!(found[0]["hint"].as_str().is_some_and(|text| text.contains("XDG_RUNTIME_DIR")), "{found:?}");
}
