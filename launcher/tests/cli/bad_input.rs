//! Mistakes, each with its exit code, message and hint; nothing is started.

use super::support::User;

const SEE_HELP: &str = "`ipclusterz --help` and `ipclusterz COMMAND --help` list what there is";

#[test]
fn no_engines() {
    User::new()
        .run("engine -n 0")
        .assert_fails(2, "error: --engines: 0 engines cannot do anything\nhint: give a whole number, such as `-n 4`\n");
}

#[test]
fn more_engines_than_the_host_allows() {
    let user = User::new();
    // So many that no machine has the memory, whatever its limits on processes are.
    for count in [100_000_000_u32, 1_000_000_000] {
        let outcome = user.run(&format!("start -n {count}"));
        assert_eq!(outcome.code, Some(2), "{}", outcome.stderr);
        let start = format!("error: {count} engines are more than this host allows: they need ");
        assert!(outcome.stderr.starts_with(&start), "{}", outcome.stderr);
        assert!(outcome.stderr.contains("\nhint: start at most "), "{}", outcome.stderr);
    }
    assert!(!user.path("home/clusters").exists(), "nothing was made");
}

#[test]
fn unknown_names_with_the_nearest() {
    let user = User::new();
    user.run("-n 4 --demonize").assert_fails(
        2,
        &format!("error: unknown option or argument \"--demonize\"\nhint: did you mean \"--daemonize\"? {SEE_HELP}\n"),
    );
    user.run("statsu")
        .assert_fails(2, &format!("error: unknown command \"statsu\"\nhint: did you mean \"status\"? {SEE_HELP}\n"));
    user.run("logs --engin 3").assert_fails(
        2,
        &format!("error: unknown option or argument \"--engin\"\nhint: did you mean \"--engine\"? {SEE_HELP}\n"),
    );
}

#[test]
fn nothing_to_do() {
    let outcome = User::new().run("");
    assert_eq!(outcome.code, Some(2));
    assert!(outcome.stderr.contains("hint: `ipclusterz -n 4` starts four engines"), "{}", outcome.stderr);
}

#[test]
fn an_unknown_key_in_a_profile() {
    let user = User::new();
    let path = user.path("config/ipclusterz/profiles/lab.toml");
    std::fs::write(&path, "# the lab\n[engines]\nresart = true\n").expect("write");
    let expected = "error: [USER]/config/ipclusterz/profiles/lab.toml:3:1: unknown key `engines.resart`\n\
                    hint: did you mean `restart`? keys known here: agent, bind, capture_output, count, directory, end_timeout, env, fork, gpus, hash_seed, \
                    launcher, lease, memory, min, on_rank_loss, pass_env, preload, python, resources, restart, restart_limit, restart_window, \
                    retries, \
                    setup, stage, startup_command, startup_script, tags, threads, timeout, wrap\n";
    user.run("start --profile lab").assert_fails(2, expected);
    user.run(&format!("start --profile {}", path.display())).assert_fails(2, expected);
    user.run("start --profile lob").assert_fails(
        2,
        "error: there is no profile \"lob\" in [USER]/config/ipclusterz/profiles or [USER]/site, nor among \
         the shipped ones\n\
         hint: did you mean \"lab\"? profiles there are: default, local, ssh, mpiexec, slurm, slurm-mpi, slurm-gpu, pbs, \
         lsf, sge, htcondor, lab; or give the path of a .toml file\n",
    );
}

#[test]
fn the_working_folders_project_is_honoured() {
    let user = User::new();
    std::fs::write(user.path("ipclusterz.toml"), "[engines]\ncount = -1\n").expect("write");
    let outcome = user.outcome(user.command("start").current_dir(user.path("")));
    outcome.assert_fails(
        2,
        "error: [USER]/ipclusterz.toml:2:9: `engines.count`: -1 is not a whole number from 0 on\n\
         hint: `ipclusterz profile show default` prints every key with an example of its type\n",
    );
    let outcome = user.outcome(user.command("start").env("IPCLUSTERZ_PROJECT", user.path("ipclusterz.toml")));
    assert!(outcome.stderr.starts_with("error: [USER]/ipclusterz.toml:2:9: "), "{}", outcome.stderr);
    let mut elsewhere = user.command("start --python /nowhere/python3");
    let outcome = user.outcome(elsewhere.current_dir(user.path("")).env("IPCLUSTERZ_PROJECT", "none"));
    assert!(outcome.stderr.starts_with("error: there is no Python"), "{}", outcome.stderr);
}

#[test]
fn values_that_contradict_each_other() {
    let user = User::new();
    user.run("-n 1 --set engines.launcher=ssh").assert_fails(
        2,
        "error: --set: `engines.launcher`: \"ssh\", but `ssh.hosts` (default) names no host\n\
         hint: for example: [ssh] hosts = [{ host = \"n1\", engines = 4 }]\n",
    );
    user.run("-n 1 --set engines.launcher=slurm").assert_fails(
        2,
        "error: --set: `engines.launcher`: there is no `slurm`, expected one of `local`, `ssh`, `mpiexec`, `batch`\n\
         hint: \"slurm\" is a profile: `extends = \"slurm\"`, or `--profile slurm`\n",
    );
    let hint = "hint: `ipclusterz profile show default` prints every key with an example of its type\n";
    for (set, refusal) in [
        ("engines.count=x", "`engines.count`: \"x\" is not a whole number from 0 on"),
        ("engines.count=-1", "`engines.count`: -1 is not a whole number from 0 on"),
        ("engines.count=99999999999", "`engines.count`: 99999999999 is not a whole number from 0 on"),
        ("engines.timeout=soon", "`engines.timeout`: \"soon\" is not a number"),
        ("engines.restart=x", "`engines.restart`: \"x\" is neither true nor false"),
        ("restart=x", "`engines.restart`: \"x\" is neither true nor false"),
        ("controller.restart=x", "`controller.restart`: \"x\" is neither true nor false"),
        ("controller.journal=x", "`controller.journal`: there is no `x`, expected one of `on`, `off`, `best-effort`"),
        ("engines.threads=x", "`engines.threads`: \"x\" is not \"share\", \"unset\" or a whole number from 0 on"),
        ("engines.bind=socket", "`engines.bind`: there is no `socket`, expected one of `none`, `core`, `numa`"),
        (
            "engines.stage=yes",
            "`engines.stage`: \"yes\" is not true, false, or the path of an archive, such as \"/shared/env.tar.zst\"",
        ),
        ("engines.wrap=3", "`engines.wrap`: 3 is not a list"),
        ("ssh.hosts=[{}]", "`ssh.hosts[0]`: `host` is missing"),
    ] {
        user.run(&format!("start --set {set}")).assert_fails(2, &format!("error: --set: {refusal}\n{hint}"));
    }
    let gpus = "hint: give \"none\", \"auto\", or the GPUs: \"0,1,3\", [0, 1, 3] or [\"GPU-8f1d…\", \"MIG-2c6a…\"]\n";
    let memory = "hint: give a number and M, G or T, such as \"4G\", or \"\" for no limit\n";
    let endings = "hint: its name ends with one of: .tar, .tar.gz, .tgz, .tar.bz2, .tar.xz, .txz, .tar.zst, .tzst, .squashfs, \
                   .sqfs, .sqsh\n";
    for (set, refusal, hint) in [
        ("engines.stage=/x/env.zip", "`engines.stage`: \"/x/env.zip\" is not an archive that can be unpacked", endings),
        ("engines.gpus=all", "`engines.gpus`: \"all\" is not a GPU", gpus),
        ("engines.gpus=[0,1,0]", "`engines.gpus`: \"0\" is named twice", gpus),
        ("engines.gpus=[]", "`engines.gpus`: an empty list names no GPU", gpus),
        ("engines.gpus=true", "`engines.gpus`: \"true\" is not a GPU", gpus),
        ("engines.memory=4", "`engines.memory`: \"4\" is not a size", memory),
        ("engines.memory=4X", "`engines.memory`: \"4X\" is not a size", memory),
        ("engines.memory=1M", "`engines.memory`: \"1M\" is less than the 64.0 MiB that an engine needs", memory),
    ] {
        user.run(&format!("start --set {set}")).assert_fails(2, &format!("error: --set: {refusal}\n{hint}"));
    }
    user.run("-n 1 --set engines.cuont=2").assert_fails(
        2,
        "error: --set: unknown key `engines.cuont`\n\
         hint: did you mean `count`? keys known here: agent, bind, capture_output, count, directory, end_timeout, env, fork, gpus, hash_seed, launcher, \
         lease, memory, min, on_rank_loss, pass_env, preload, python, resources, restart, restart_limit, restart_window, retries, setup, \
         stage, startup_command, startup_script, tags, threads, timeout, wrap\n",
    );
}

#[test]
fn a_cluster_that_is_not_there() {
    let user = User::new();
    for command in ["status", "stop", "logs"] {
        user.run(command).assert_fails(
            3,
            "error: there is no cluster \"default\"\nhint: there are none at all; `ipclusterz -n 4` starts one\n",
        );
    }
    let outcome = user.run("wait --engines 2 --timeout 0.05");
    assert_eq!(outcome.code, Some(3), "{}", outcome.stderr);
    assert_eq!(user.run("stop --all").code, Some(0));
    user.run("status --cluster a/b").assert_fails(
        2,
        "error: \"a/b\" is no name for a cluster: 1 to 63 letters, digits, '_', '.' and '-', the first a letter or digit\n",
    );
}

#[test]
fn failures_are_one_json_value_too() {
    let user = User::new();
    for (arguments, kind, code) in
        [("status --json", "no_cluster", 3), ("-n 100000000 --json", "usage", 2), ("start --json --bogus", "usage", 2)]
    {
        let outcome = user.run(arguments);
        assert_eq!(outcome.code, Some(code));
        let error = &outcome.json()["error"];
        assert_eq!(error["kind"], kind);
        assert_eq!(error["exit_code"], code);
        let message = error["message"].as_str().expect("a message");
        assert!(outcome.stderr.starts_with(&format!("error: {message}\nhint: ")), "{}", outcome.stderr);
    }
}

#[test]
fn the_python_that_was_asked_for_is_not_there() {
    let outcome = User::new().run("-n 1 --python /nowhere/python3");
    outcome.assert_fails(
        2,
        "error: there is no Python \"/nowhere/python3\" that could be run\n\
         hint: name a Python that has the package ipclusterz: `--python PATH`, IPCLUSTERZ_PYTHON or engines.python in a \
         profile\n",
    );
}

#[test]
fn help_and_completions_are_data() {
    let user = User::new();
    let help = user.run("--help");
    assert_eq!(help.code, Some(0));
    assert!(help.stdout.contains("Exit codes:") && help.stdout.contains("IPCLUSTERZ_HOME"), "{}", help.stdout);
    assert!(help.stdout.contains("source <(ipclusterz completions bash)"), "{}", help.stdout);
    for (shell, part) in [
        ("bash", "-F _clap_complete_ipclusterz ipclusterz"),
        ("zsh", "#compdef ipclusterz"),
        ("fish", "--command ipclusterz"),
        ("elvish", "edit:completion:arg-completer[ipclusterz]"),
        ("powershell", "-CommandName ipclusterz"),
    ] {
        let outcome = user.run(&format!("completions {shell}"));
        assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""));
        assert!(outcome.stdout.contains(part), "{shell}");
        let json = user.run(&format!("completions {shell} --json")).json();
        assert_eq!(json["script"].as_str(), Some(outcome.stdout.as_str()));
    }
}

/// Asks for completions as the script of bash does.
fn completions(user: &User, line: &str) -> Vec<String> {
    let words: Vec<&str> = line.split(' ').collect();
    let mut command = user.command("--");
    command.args(&words).env("IPCLUSTERZ_COMPLETE", "bash").env("_CLAP_IFS", "\n");
    command.env("_CLAP_COMPLETE_INDEX", (words.len() - 1).to_string()).env("_CLAP_COMPLETE_COMP_TYPE", "9");
    let outcome = user.outcome(&mut command);
    assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""), "{line}");
    outcome.stdout.lines().map(|line| line.trim_end().to_owned()).collect()
}

#[test]
fn commands_options_clusters_and_profiles_are_completed() {
    let user = User::new();
    std::fs::write(user.path("config/ipclusterz/profiles/lab.toml"), "[engines]\ncount = 1\n").expect("write");
    let _clusters = ["lab-1", "other"].map(|name| user.start_sleeping(&format!("-n 1 --cluster {name}"), 1));
    assert_eq!(completions(&user, "ipclusterz sta"), ["start", "status"]);
    assert_eq!(completions(&user, "ipclusterz status --time"), ["--timeout"]);
    for line in ["stop ", "status ", "--cluster ", "status --cluster ", "scale +1 "] {
        let names = completions(&user, &format!("ipclusterz {line}"));
        let names: Vec<&String> = names.iter().filter(|name| !name.starts_with('-')).collect();
        assert_eq!(names, ["lab-1", "other"], "{line}");
    }
    assert_eq!(completions(&user, "ipclusterz stop la"), ["lab-1"]);
    for line in ["start --profile l", "profile show l", "profile init x --from l", "doctor --profile l"] {
        assert_eq!(completions(&user, &format!("ipclusterz {line}")), ["local", "lsf", "lab"], "{line}");
    }
    assert_eq!(completions(&user, "ipclusterz completions z"), ["zsh"]);
}

#[test]
fn manual_pages_have_every_option() {
    let user = User::new();
    let page = user.run("man");
    assert_eq!((page.code, page.stderr.as_str()), (Some(0), ""));
    for part in [".TH ipclusterz 1", "\\-\\-engines", "ipclusterz\\-profile", "130  Ctrl\\-C", "IPCLUSTERZ_HOME"] {
        assert!(page.stdout.contains(part), "no {part}\n{}", page.stdout);
    }
    let page = user.run("man profile check --json").json();
    assert_eq!(page["name"], "ipclusterz-profile-check");
    assert!(page["page"].as_str().is_some_and(|page| page.contains("\\-\\-set")));
    user.run("man strat").assert_fails(
        2,
        "error: there is no command \"strat\"\nhint: did you mean \"start\"? commands there are: start, run, scale, restart, engine, abort, tasks, \
         events, timeline, stop, status, list, logs, wait, tunnel, gc, profile, doctor, completions, man\n",
    );
}

#[test]
fn errors_of_the_system_are_told_as_other_programs_do() {
    let outcome = User::new().run("start --profile /nowhere.toml");
    outcome.assert_fails(
        2,
        "error: cannot read the profile /nowhere.toml: No such file or directory\n\
         hint: is the path right, and the file readable by you?\n",
    );
}

#[test]
fn quiet_says_errors_alone() {
    let user = User::new();
    let outcome = user.run("list -q");
    assert_eq!((outcome.code, outcome.stdout.as_str(), outcome.stderr.as_str()), (Some(0), "", ""));
    user.run("--quiet stop lab").assert_fails(
        3,
        "error: there is no cluster \"lab\"\nhint: there are none at all; `ipclusterz -n 4` starts one\n",
    );
    let python = user.python("exit 3");
    for extra in ["", " --daemonize"] {
        let outcome = user.run(&format!("start -q -n 1 --python {}{extra}", python.display()));
        assert_eq!(outcome.code, Some(5));
        assert!(outcome.stderr.starts_with("error: engine 0 ended"), "{}", outcome.stderr);
    }
}

#[test]
fn an_empty_list_is_empty() {
    let user = User::new();
    let outcome = user.run("list");
    assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(0), ""));
    assert_eq!(user.run("list --json").json()["clusters"], serde_json::json!([]));
}
