//! Mistakes in the commands about tasks, and about journals that clusters leave.

use super::support::User;

const NO_CLUSTER: &str =
    "error: there is no cluster \"default\"\nhint: there are none at all; `ipclusterz -n 4` starts one\n";

#[test]
fn tasks_that_are_not_named_right_are_refused() {
    let user = User::new();
    let outcome = user.run("tasks");
    assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(2), ""));
    assert!(outcome.stderr.contains("`ipclusterz tasks --help` lists what there is"), "{}", outcome.stderr);
    for (arguments, refusal) in [
        ("show sweep-7-0", "\"sweep-7-0\" is no id of a task"),
        ("result 0f3c9a1e", "\"0f3c9a1e\" is no id of a task"),
        ("wait 0f3c9a1e-x", "\"0f3c9a1e-x\" is no id of a task"),
        ("abort 0f3c9a1e-1 nonsense", "\"nonsense\" is no id of a task"),
    ] {
        user.run(&format!("tasks {arguments}")).assert_fails(
            2,
            &format!("error: {refusal}\nhint: one looks like 0f3c9a1e-7-0; `ipclusterz tasks list` lists them\n"),
        );
    }
    user.run("tasks list --state runing").assert_fails(
        2,
        "error: --state: there is no state \"runing\"\n\
         hint: did you mean \"running\"? states there are: queued, waiting, held, running, ok, error, aborted, lost, rejected, rank_lost, \
         impossible, timed_out\n",
    );
    user.run("tasks query --since soon").assert_fails(
        2,
        "error: --since: \"soon\" is not a time\n\
         hint: give a time span, such as 45s, 30m, 2h or 3d, or a time, such as 2026-11-29 or 2026-11-29T14:00\n",
    );
    user.run("tasks list --limit -1").assert_fails(
        2,
        "error: --limit: -1 is not a number of tasks: it is below 0\nhint: give a whole number, such as `--limit 100`\n",
    );
    user.run(&format!("tasks list --session {}", "x".repeat(513)))
        .assert_fails(2, "error: --session: a name of 513 bytes is too long\nhint: names have at most 512 bytes\n");
    user.run("tasks wait --timeout 0").assert_fails(
        2,
        "error: --timeout: 0 is not a number of seconds to wait\nhint: give a number above 0, such as 30 or 0.5\n",
    );
    user.run("tasks purge").assert_fails(
        2,
        "error: purge drops results for good, and there is no terminal to ask on\nhint: --yes says that you mean it\n",
    );
    user.run("tasks purge --yes --state queued").assert_fails(
        2,
        "error: --state: tasks that are queued have not ended, and nothing is kept of them\n\
         hint: `ipclusterz tasks abort` gives tasks up\n",
    );
    assert_eq!(user.run("tasks abort").code, Some(2));
    assert_eq!(user.run("tasks wait 0f3c9a1e-1 --session sweep").code, Some(2));
}

#[test]
fn tasks_of_a_cluster_that_is_not_there() {
    let user = User::new();
    for command in ["list", "query", "sessions", "show 0f3c9a1e-7-0", "wait", "abort --session sweep", "purge -y"] {
        user.run(&format!("tasks {command}")).assert_fails(3, NO_CLUSTER);
    }
    assert_eq!(user.run("tasks list --json").json()["error"]["kind"], "no_cluster");
}

#[test]
fn a_journal_that_is_not_there_is_not_taken_up() {
    let user = User::new();
    let python = user.python("exit 3");
    user.run(&format!("start --resume lab -n 1 --python {}", python.display())).assert_fails(
        3,
        "error: --resume: cluster \"lab\" has left no journal\n\
         hint: no cluster has left one; leave out --resume to start an empty cluster\n",
    );
    user.run(&format!("start --resume -n 1 --set controller.journal=off --python {}", python.display())).assert_fails(
        2,
        "error: --resume: controller.journal is \"off\" for cluster \"default\"\n\
         hint: set it to \"on\" or \"best-effort\"\n",
    );
    for (options, message) in
        [("--resume --discard", " exclude each other\n"), ("--salvage", "error: --resume is missing\n")]
    {
        let outcome = user.run(&format!("start {options} -n 1"));
        assert_eq!(outcome.code, Some(2), "{}", outcome.stderr);
        assert!(outcome.stderr.contains(message), "{}", outcome.stderr);
    }
    user.run("stop --discard lab").assert_fails(
        3,
        "error: there is no cluster \"lab\"\nhint: there are none at all; `ipclusterz -n 4` starts one\n",
    );
    assert_eq!(user.run("gc --discard").stderr, "nothing was left behind\n");
}

#[test]
fn sizes_and_times_of_what_is_kept_are_checked() {
    let user = User::new();
    user.run("start -n 1 --set controller.keep_results_bytes=many").assert_fails(
        2,
        "error: --set: `controller.keep_results_bytes`: \"many\" is not a size\nhint: for example: \"1 GiB\"\n",
    );
    user.run("start -n 1 --set controller.keep_results=-1").assert_fails(
        2,
        "error: --set: `controller.keep_results`: -1 is not a number of seconds\nhint: give 0 or more\n",
    );
    user.run("start -n 1 --set controller.crash_limit=0")
        .assert_fails(2, "error: --set: `controller.crash_limit`: 0 engines are too few\nhint: give 1 or more\n");
    user.run("start -n 1 --set controller.engine_grace=-2").assert_fails(
        2,
        "error: --set: `controller.engine_grace`: -2 is not a number of seconds to wait\nhint: give a number above 0, such as 30 or 0.5\n",
    );
}

#[test]
fn a_journal_that_cannot_be_read_stays_as_it_is() {
    let user = User::new();
    let journal = user.path("home/clusters/lab/journal");
    std::fs::create_dir_all(&journal).expect("create");
    for folder in ["home/clusters", "home/clusters/lab", "home/clusters/lab/journal"] {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(user.path(folder), std::fs::Permissions::from_mode(0o700)).expect("chmod");
    }
    let write = |content: &str| {
        for name in ["image-1", "log-1"] {
            ipclusterz_base::private::write_private(&journal.join(name), content.as_bytes()).expect("write");
        }
    };
    let python = user.python("exit 3");
    let start = |options: &str| user.run(&format!("start lab -n 1 --python {} {options}", python.display()));
    write("ipclusterz journal 99, image 1\n");
    let version = "version 99; this ipclusterz reads version 1";
    for (outcome, code) in [(start(""), 8), (start("--resume"), 5), (user.run("stop lab"), 3)] {
        assert_eq!(outcome.code, Some(code), "{}", outcome.stderr);
        assert!(outcome.stderr.contains(version), "{}", outcome.stderr);
        assert!(outcome.stderr.contains("the release of ipclusterz that has written it"), "{}", outcome.stderr);
    }
    write("nonsense");
    for outcome in [start(""), start("--resume --salvage")] {
        let damage = "journal/image-1 is damaged at offset 0: its first line is no journal's";
        assert!(outcome.stderr.contains(damage), "{}", outcome.stderr);
    }
    assert_eq!(std::fs::read_to_string(journal.join("image-1")).expect("still there"), "nonsense");
    let outcome = user.run("gc");
    assert!(
        outcome.stderr.contains("the journal of cluster \"lab\" is kept: it cannot be read: "),
        "{}",
        outcome.stderr
    );
    assert_eq!(user.run("gc --discard --dry-run").stderr, "the journal of cluster \"lab\" would be dropped\n");
    assert!(journal.exists());
    assert_eq!(user.run("stop --discard lab").stderr, "cluster \"lab\" had ended; its journal is dropped\n");
    assert!(!journal.exists());
}
