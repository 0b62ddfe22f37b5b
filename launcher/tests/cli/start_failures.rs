//! Starts that fail: at once, with the reason, and with nothing left behind.

use super::support::User;

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
             the end of [USER]/home/clusters/default/logs/engine-0.log:\n  first\n  ImportError: site is broken\n\
             hint: does `[USER]/python3 -m ipclusterz.engine --help` work? choose another Python with --python\n",
        );
        user.assert_clean("default");
    }
    let logs = user.run("logs --engine 0 -n 1");
    assert_eq!((logs.code, logs.stdout.as_str()), (Some(0), "ImportError: site is broken\n"));
    user.run("logs --engine 7").assert_fails(
        1,
        "error: cluster \"default\" has no log \"engine-7\"\nhint: logs there are: launcher, controller, engine-0\n",
    );
    assert_eq!(user.run("logs --json --engine 0").json()["logs"][0]["lines"][0], "first");
}

#[test]
fn a_python_without_the_package_is_told_how_to_get_it() {
    let user = User::new();
    let python = user.python("echo \"$0: No module named ipclusterz\" >&2\nexit 1");
    let outcome = user.run(&format!("-n 3 --json --python {}", python.display()));
    assert_eq!(outcome.code, Some(5), "{}", outcome.stderr);
    assert!(
        outcome.stderr.contains("hint: install the package for that Python: [USER]/python3 -m pip install ipclusterz")
    );
    assert_eq!(outcome.json()["error"]["kind"], "start_failed");
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
         error: engines 0, 1 did not register within 0.5 s; the end of [USER]/home/clusters/slow/logs/engine-0.log:\n  loading\n\
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
