//! Precedence of the sources, and values that are refused.

use super::{Arguments, parser};
use clap::FromArgMatches;
use ipclusterz_host::exit_code::Exit;
use ipclusterz_host::failure::Failure;
use ipclusterz_profile::Places;
use ipclusterz_profile::environment::Variables;
use ipclusterz_profile::settings::{SettingsError, StartSettings};
use std::time::Duration;

/// Words are separated by spaces; a `~` stands for one.
fn settings_of(line: &str, variables: &[(&str, &str)], profile: Option<&str>) -> Result<StartSettings, SettingsError> {
    let matches =
        parser().try_get_matches_from(line.split_whitespace().map(|word| word.replace('~', " "))).expect("arguments");
    let arguments = Arguments::from_arg_matches(&matches).expect("arguments").start.settings;
    let variables = Variables::from_pairs(variables.iter().map(|(name, value)| (name.to_string(), value.to_string())));
    let folder = tempfile::tempdir().expect("temporary folder");
    if let Some(text) = profile {
        std::fs::write(folder.path().join("default.toml"), text).expect("write");
    }
    let places = Places { user: Some(folder.path().to_path_buf()), ..Places::default() };
    StartSettings::new(arguments.cluster.as_deref(), &arguments.options(), &variables, &places)
}

#[test]
fn option_beats_variable_beats_profile_beats_default() {
    let profile = Some("[engines]\ncount = 3\n");
    let variable = [("IPCLUSTERZ_ENGINES", "5")];
    let count = |line, variables: &[_], profile| settings_of(line, variables, profile).expect("settings").engines;
    assert_eq!(count("ipclusterz -n 7", &variable, profile), 7);
    assert_eq!(count("ipclusterz --json", &variable, profile), 5);
    assert_eq!(count("ipclusterz --json", &[], profile), 3);
    assert_eq!(count("ipclusterz --json", &[], None) as usize, ipclusterz_base::cores::available());
    let as_default = Some("[engines]\ncount = 0\n");
    assert_eq!(count("ipclusterz --json", &[], as_default), count("ipclusterz --json", &[], None));
}

#[test]
fn without_a_number_there_is_an_engine_for_each_place() {
    let count = |profile: &str| settings_of("ipclusterz --json", &[], Some(profile)).expect(profile).engines;
    let mpiexec = "[engines]\nlauncher = \"mpiexec\"\n";
    assert_eq!(count(mpiexec) as usize, ipclusterz_base::cores::available_whole());
    assert_eq!(count(&format!("{mpiexec}[mpiexec]\nhosts = [\"n1:4\", \"n2\"]\n")), 5);
    let slurm = |rest| settings_of(&format!("ipclusterz --profile slurm{rest}"), &[], None).expect(rest).engines;
    assert_eq!(slurm(""), 4);
    assert_eq!(slurm(" --set batch.nodes=2 --set batch.engines_per_node=3"), 6);
    // The host of the whole cluster finds out.
    assert_eq!(count("[ssh]\ncontroller = \"n1\"\n"), 0);
}

#[test]
fn inside_a_job_there_is_an_engine_for_each_of_its_tasks() {
    let job = [("SLURM_JOB_ID", "7"), ("SLURM_NTASKS", "6")];
    let of = |rest: &str, variables: &[_]| settings_of(&format!("ipclusterz --profile slurm{rest}"), variables, None);
    let count = |rest, variables: &[_]| of(rest, variables).expect(rest).engines;
    assert_eq!((count("", &job), count(" -n 2", &job), count(" --set engines.count=3", &job)), (6, 2, 3));
    assert_eq!(count("", &[job[0], job[1], ("IPCLUSTERZ_ENGINES", "5")]), 5);
    // What the environment says of another queue, or of another host, plays no part.
    assert_eq!((count(" --set ssh.controller=n1", &job), count("", &job[1..])), (4, 4));
    let silent = &job[..1];
    let error = of("", silent).expect_err("no number").to_string();
    let told = "job 7 (SLURM_JOB_ID) does not say how many tasks it has: SLURM_NTASKS is not set";
    assert_eq!(error, format!("engines.count: {told}"));
    assert_eq!((count(" -n 2", silent), count(" --set batch.nodes=2 --set batch.engines_per_node=3", silent)), (2, 6));
    // Nodes that are there are not asked for by groups.
    let groups = "[{name=\"a\",engines=2}]";
    let inside = of(&format!(" --set batch.groups={groups}"), &job).expect("settings");
    assert_eq!((inside.engines, inside.groups()), (6, vec![(None, 6)]));
}

#[test]
fn groups_say_how_many_engines_there_are_and_must_make_sense() {
    let of =
        |rest: &str, groups: &str| settings_of("ipclusterz --profile slurm", &[], Some(&format!("{rest}\n{groups}")));
    let good = "[[batch.groups]]\nname = \"big\"\nengines = 2\n[[batch.groups]]\nname = \"small\"\nnodes = 3\n";
    let settings = of("[batch]\nengines_per_node = 4\npartition = \"p\"\n", good).expect("settings");
    let named = |name: &str, count| (Some(name.to_owned()), count);
    assert_eq!((settings.engines, settings.groups()), (14, vec![named("big", 2), named("small", 12)]));
    let small = settings.tables.batch.of_group(Some("small"));
    assert_eq!((small.nodes, small.engines_per_node, small.partition.as_str()), (3, 4, "p"));
    let a = |rest: &str| format!("[[slurm.groups]]\nname = \"a\"\n{rest}\n");
    for (rest, groups, told) in [
        ("[engines]\ncount = 3\n[batch]\nengines_per_node = 4", good.to_owned(), "3 engines, but `batch.groups`"),
        ("", a(""), "nothing says how many engines group \"a\" has"),
        (
            "",
            a("engines = 9\nnodes = 2\nengines_per_node = 4"),
            "9 engines of group \"a\", but 2 nodes with 4 engines each",
        ),
        ("", a("engines = 1") + &a("engines = 1"), "two groups are called \"a\""),
        ("", a("engines = 1").replace("\"a\"", "\"a b\""), "\"a b\" is not a name for a group"),
        ("", a("engines = 1\nmemory = \"much\""), "memory of group \"a\": \"much\" is not a size"),
        ("", a("engines = 1\ntime_limit = \"1s\""), "time_limit of group \"a\":"),
        ("", a("engines = 1\nmemroy = \"1G\""), "unknown key `slurm.groups[0].memroy`"),
        ("[slurm]\nrenew = true", a("engines = 1"), "when a job's time is nearly over is not known"),
        (
            "[slurm]\nengines_per_node = 1\nblocks = { min = 0, max = 2, nodes = 1 }",
            a("engines = 1"),
            "jobs cannot be of groups and",
        ),
    ] {
        let error = of(rest, &groups).expect_err(told).to_string();
        assert!(error.contains(told), "{error}\n{told}");
    }
}

#[test]
fn each_variable_is_honoured() {
    let variables = [
        ("IPCLUSTERZ_CLUSTER", "lab"),
        ("IPCLUSTERZ_PYTHON", "/opt/python"),
        ("IPCLUSTERZ_TIMEOUT", "2.5"),
        ("IPCLUSTERZ_RESTART", "true"),
        ("IPCLUSTERZ_LISTEN", "127.0.0.1:0"),
        ("IPCLUSTERZ_ADVERTISE", "n1, n1.lab"),
    ];
    let settings = settings_of("ipclusterz -n 1", &variables, None).expect("settings");
    assert_eq!(settings.cluster, "lab");
    assert_eq!(settings.python.as_deref(), Some("/opt/python"));
    assert_eq!(settings.timeout, Duration::from_millis(2500));
    assert!(settings.restart);
    assert_eq!(settings.listen.as_deref(), Some("127.0.0.1:0"));
    assert_eq!(settings.advertise, ["n1", "n1.lab"]);
}

#[test]
fn refused_values_name_their_origin() {
    type Case<'a> = (&'a str, &'a [(&'a str, &'a str)], Option<&'a str>, &'a str);
    let cases: [Case<'_>; 7] = [
        ("ipclusterz --json", &[("IPCLUSTERZ_ENGINES", "many")], None, "IPCLUSTERZ_ENGINES: \"many\""),
        ("ipclusterz --json", &[], Some("[engines]\nthreads = 0"), "default.toml:2:11: `engines.threads`: 0 threads"),
        ("ipclusterz -n 1 --timeout 0", &[], None, "--timeout: 0 is not"),
        ("ipclusterz -n 1 --timeout nan", &[], None, "--timeout: NaN is not"),
        ("ipclusterz -n 1 --listen 10101", &[], None, "--listen: \"10101\" has no port"),
        ("ipclusterz -n 1 --listen 0.0.0.0:99999", &[], None, "--listen: \"99999\" is not a port"),
        ("ipclusterz -n 1 --advertise n1", &[], None, "--advertise: there is no TCP port"),
    ];
    for (line, variables, profile, expected) in cases {
        let error = settings_of(line, variables, profile).expect_err(line);
        assert!(error.to_string().contains(expected), "{line}: {error}");
        let failure = Failure::from(error);
        assert_eq!(failure.exit(), Exit::Usage);
        assert!(failure.hint.is_some(), "{line} has no hint");
    }
}

#[test]
fn values_that_make_no_sense_alone_or_together_are_refused() {
    const QUEUE: &str = "[queue]\nname = \"Q\"\nsubmit = [\"s\"]\nstatus = [\"q\"]\ncancel = [\"c\"]\n\
        status_line = '(?<id>.) (?<state>.)'\n[engines]\nlauncher = \"batch\"\n";
    let queue = |more: &str| format!("{QUEUE}{more}");
    let cases = [
        (
            "[engines]\nlauncher = \"ssh\"".to_owned(),
            "default.toml:2:12: `engines.launcher`: \"ssh\", but `ssh.hosts` (default) names no host",
        ),
        (
            "[engines]\nlauncher = \"ssh\"\ncount = 3\n[ssh]\nhosts = [{ host = \"n\", engines = 2 }]".to_owned(),
            "default.toml:3:9: `engines.count`: 3 engines, but `ssh.hosts` (/",
        ),
        ("[ssh]\nhosts = [{ host = \"n\", engines = 0 }]".to_owned(), "`ssh.hosts`: host \"n\" with 0 engines"),
        (
            "[ssh]\nreverse = true".to_owned(),
            "`ssh.reverse`: nothing to forward back through: `engines.launcher` (default) is \"local\"",
        ),
        ("[ssh]\nconnect_timeout = -1".to_owned(), "`ssh.connect_timeout`: -1 is not"),
        ("[engines]\ntimeout = 1e300".to_owned(), "`engines.timeout`: 1000000"),
        ("[engines]\nrestart_window = 0".to_owned(), "`engines.restart_window`: 0 is not"),
        (
            "[engines]\non_rank_loss = \"shrink\"".to_owned(),
            "default.toml:2:16: `engines.on_rank_loss`: there are no ranks to lose: `engines.launcher` (default) is \"local\"",
        ),
        (
            "[engines]\non_rank_loss = \"stop\"\nrestart = true\nlauncher = \"mpiexec\"".to_owned(),
            "`engines.on_rank_loss`: \"stop\" starts nothing again, but `engines.restart` (/",
        ),
        (
            "[engines]\non_rank_loss = \"shrink\"\nlauncher = \"mpiexec\"\n[mpiexec]\narguments = [\"-K\"]".to_owned(),
            "`engines.on_rank_loss`: \"shrink\" keeps the other ranks, which -K in `mpiexec.arguments` (/",
        ),
        (
            queue("on_rank_loss = \"shrink\""),
            "`engines.on_rank_loss`: engines that need not be ranks of one world: `batch.check_world` (default) is false",
        ),
        ("[batch]\nidle_time = -1".to_owned(), "`batch.idle_time`: -1 is not"),
        ("[batch]\nmemory = \"16\"".to_owned(), "`batch.memory`: \"16\" is not a size"),
        (
            "[slurm]\ntime_limit = \"1:30\"".to_owned(),
            "`batch.time_limit`: \"1:30\" is not a time limit: give HH:MM:SS, ",
        ),
        (
            "[slurm]\ntime_limit = \"2\"".to_owned(),
            "default.toml:2:14: `batch.time_limit`: 00:02:00 is no longer than `batch.drain_before` (default), 120 seconds",
        ),
        (
            "[slurm]\nrenew = true".to_owned(),
            "default.toml:2:9: `batch.renew`: when a job's time is nearly over is not known: `batch.time_limit` (default) is",
        ),
        (
            "[batch]\nblocks = { min = 3, max = 2 }".to_owned(),
            "default.toml:2:18: `batch.blocks.min`: at least 3 blocks, but `batch.blocks.max` (/",
        ),
        ("[batch]\nblocks = { max = 2, nodes = 0 }".to_owned(), "`batch.blocks.nodes`: blocks of 0 nodes"),
        (
            "[slurm]\nengines_per_node = 1\nblocks = { max = 2 }\narray = true".to_owned(),
            "`batch.array`: the job cannot be an array and `batch.blocks.max`",
        ),
        ("[mpiexec]\nflavour = \"openmp\"".to_owned(), "`mpiexec.flavour`: there is no `openmp`, expected one of "),
        ("[mpiexec]\nbind = \"cores\"".to_owned(), "`mpiexec.bind`: there is no `cores`, expected one of "),
        (
            "[engines]\nlauncher = \"mpiexec\"\n[mpiexec]\nhosts = [\"a\"]\nhostfile = \"b\"".to_owned(),
            "`mpiexec.hosts`: hosts are named here and in `mpiexec.hostfile`",
        ),
        (
            "[engines]\nlauncher = \"batch\"".to_owned(),
            "`engines.launcher`: \"batch\", but `queue.name` (default) names no queue",
        ),
        ("[queue]\njob_id = '('".to_owned(), "`queue.job_id`: \"(\" is not a regular expression: unclosed group"),
        ("[queue]\nstatus_line = '(?<id>.)'".to_owned(), "`queue.status_line`: \"(?<id>.)\" has no group `state`"),
        (
            "[[queue.refusals]]\npattern = '('\nabout = [\"account\"]".to_owned(),
            "`queue.refusals`: \"(\" is not a regular expression: unclosed group",
        ),
        (
            "[[queue.refusals]]\npattern = 'no'\nabout = [\"acount\"]".to_owned(),
            "`queue.refusals`: about \"acount\", but there is no `batch.acount`",
        ),
        (queue("[batch]\narray = true"), "`batch.array`: the queue \"Q\" has no form of arrays"),
        (
            queue("[batch]\narray = true\ncheck_world = true")
                .replace("[queue]\n", "[queue]\narray = \"a\"\narray_index = \"i\"\n"),
            "`batch.array`: the tasks of an array cannot be the ranks of one MPI program, which `batch.check_world` (/",
        ),
        (
            queue("[batch]\nblocks = { max = 2 }"),
            "`batch.blocks.max`: `batch.engines_per_node` (default) says nothing of",
        ),
        (
            queue("count = 5\n[batch]\nnodes = 2\nengines_per_node = 2"),
            "`engines.count`: 5 engines, but `batch.nodes` (/",
        ),
        (
            queue("").replace("cancel = [\"c\"]\n", ""),
            "`queue.name`: \"Q\" cannot be used, for `queue.cancel` (default) is empty",
        ),
        (
            "[engines.env]\n\"A=B\" = \"\"".to_owned(),
            "`engines.env`: \"A=B\" and its value cannot be in an environment",
        ),
    ];
    for (text, expected) in cases {
        let error = settings_of("ipclusterz --json", &[], Some(&text)).expect_err(&text);
        assert!(error.to_string().contains(expected), "{text}\n{error}");
        assert!(Failure::from(error).hint.is_some(), "{text} has no hint");
    }
    assert!(settings_of("ipclusterz --json", &[], Some(&queue(""))).is_ok());
    // Jobs are not behind an SSH connection of ours; there is one line for what is wanted.
    let reverse = settings_of("ipclusterz --json", &[], Some(&queue("[ssh]\nreverse = true")));
    let failure = Failure::from(reverse.expect_err("reverse with a queue"));
    assert!(failure.message.contains("`ssh.reverse`: nothing to forward back through: "), "{failure:?}");
    assert!(failure.message.ends_with("is \"batch\""), "{failure:?}");
    assert!(failure.hint.expect("a hint").ends_with("[ssh] controller = \"me@login\""));
}

#[test]
fn what_nobody_chose_follows_from_the_rest() {
    let hosts =
        "[engines]\nlauncher = \"ssh\"\n[ssh]\nhosts = [{ host = \"n\", engines = 2 }, { host = \"m\", engines = 9 }]";
    let settings = settings_of("ipclusterz --json", &[], Some(hosts)).expect("good");
    assert_eq!((settings.engines, settings.listen.as_deref()), (11, Some("0.0.0.0:0")));
    let settings = settings_of("ipclusterz -n 1 --listen 127.0.0.1:0", &[], Some(hosts)).expect("good");
    assert_eq!((settings.engines, settings.listen.as_deref()), (1, Some("127.0.0.1:0")));
    assert_eq!(settings_of("ipclusterz -n 1", &[], None).expect("good").listen, None);
    let settings = settings_of("ipclusterz -n 1", &[], Some("[controller]\nlocal = false")).expect("good");
    assert_eq!((settings.local, settings.listen.as_deref()), (false, Some("127.0.0.1:0")));
}

#[test]
fn any_key_can_be_set_on_the_command_line() {
    let line = "ipclusterz -n 1 --set batch.blocks={~max~=~4~} --set slurm.partition=gpu --set engines.env.A=b";
    let tables = settings_of(line, &[], None).expect("good").tables;
    assert_eq!((tables.batch.blocks.max, tables.batch.partition.as_str()), (4, "gpu"));
    assert_eq!(tables.engines.env["A"], "b");
}

#[test]
fn a_controller_without_engines_has_to_be_asked_for() {
    for (line, variables) in [
        ("ipclusterz -n 0", &[][..]),
        ("ipclusterz --set engines.count=0", &[]),
        ("ipclusterz --json", &[("IPCLUSTERZ_ENGINES", "0")]),
    ] {
        assert_eq!(settings_of(line, variables, None).expect(line).engines, 0);
    }
    let elsewhere = Some("[ssh]\ncontroller = \"head\"\n[engines]\nlauncher = \"ssh\"\n");
    let error = settings_of("ipclusterz -n 0", &[], elsewhere).expect_err("no engines");
    assert!(error.to_string().contains("0 engines"), "{error}");
}

#[test]
fn what_engines_run_first_is_in_their_environment() {
    let profile = Some("[engines]\nstartup_script = \"~/first.py\"\nstartup_command = \"a = 1\\nb = 'x'\"\n");
    let environment = settings_of("ipclusterz -n 1", &[], profile).expect("good").engine_environment;
    assert_eq!(environment["IPCLUSTERZ_STARTUP_SCRIPT"], "~/first.py");
    assert_eq!(environment["IPCLUSTERZ_STARTUP_COMMAND"], "a = 1\nb = 'x'");
    let environment = settings_of("ipclusterz -n 1", &[], None).expect("good").engine_environment;
    assert!(environment.keys().all(|name| !name.contains("STARTUP")));
}

#[test]
fn variables_for_engines_come_from_the_profile() {
    let settings =
        settings_of("ipclusterz -n 1", &[], Some("[engines.env]\nOMP_NUM_THREADS = \"1\"\n")).expect("settings");
    assert_eq!(settings.engine_environment["OMP_NUM_THREADS"], "1");
}

#[test]
fn a_bad_name_of_a_cluster_is_refused() {
    let error = settings_of("ipclusterz -n 1 --cluster ../x", &[], None).expect_err("bad name");
    assert_eq!(Failure::from(error).exit(), Exit::Usage);
}
