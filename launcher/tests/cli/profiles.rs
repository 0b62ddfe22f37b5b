//! `ipclusterz profile`: what is listed, shown, written and checked.

use super::support::User;
use std::os::unix::fs::PermissionsExt;

/// A Python that reports the package in the version of this program.
fn good_python() -> String {
    let version = env!("CARGO_PKG_VERSION");
    format!(r#"echo '{{"ipclusterz_probe": 1, "python": "3.12.1", "package": "{version}", "error": null}}'"#)
}

fn write(user: &User, path: &str, text: &str) {
    let path = user.path(path);
    std::fs::create_dir_all(path.parent().expect("a folder")).expect("create");
    std::fs::write(path, text).expect("write");
}

#[test]
fn profiles_are_listed_with_where_they_are_from() {
    let user = User::new();
    write(&user, "config/ipclusterz/profiles/slurm.toml", "# Our Slurm. With more to say.\nextends = \"slurm\"\n");
    write(&user, "site/lab.toml", "[engines]\ncount = 2\n");
    let outcome = user.run("profile list");
    assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""));
    let lines: Vec<&str> = outcome.stdout.lines().collect();
    assert!(lines[0].starts_with("profile    from                description"), "{}", outcome.stdout);
    assert!(lines.contains(&"slurm      user                Our Slurm."), "{}", outcome.stdout);
    assert!(lines.iter().any(|line| line.starts_with("slurm      shipped (shadowed)  ")), "{}", outcome.stdout);
    assert_eq!(lines.last(), Some(&"lab        site"));
    let json = user.run("profile list --json").json();
    let lab = json["profiles"].as_array().and_then(|all| all.iter().find(|one| one["name"] == "lab")).expect("lab");
    assert_eq!((&lab["from"], &lab["shadowed"]), (&"site".into(), &false.into()));
}

#[test]
fn a_shown_profile_is_complete_and_reads_back_equal() {
    let user = User::new();
    write(&user, "config/ipclusterz/profiles/lab.toml", "extends = \"slurm\"\n[slurm]\naccount = \"physics\"\n");
    let shown = user.run("profile show lab --set engines.count=7");
    assert_eq!(shown.code, Some(0), "{}", shown.stderr);
    assert!(shown.stdout.starts_with(
        "# Profile lab: [USER]/config/ipclusterz/profiles/lab.toml over profiles/slurm.toml over profiles/default.toml.\n\n[engines]\ncount = 7\n"
    ));
    write(&user, "again.toml", &shown.stdout);
    let again = user.run(&format!("profile show {} --json", user.path("again.toml").display())).json();
    let first = user.run("profile show lab --set engines.count=7 --json").json();
    assert_eq!(again["settings"], first["settings"]);
    assert_eq!(first["origins"]["engines.count"], "--set");

    let origins = user.run("profile show lab --origin").stdout;
    for line in [
        "account = \"physics\"  # [USER]/config/ipclusterz/profiles/lab.toml:3",
        "partition = \"\"  # default",
        "listen = \"0.0.0.0:0\"  # as engines.launcher is \"batch\"",
    ] {
        assert!(origins.lines().any(|shown| shown == line), "no {line}\n{origins}");
    }
    let mut with_variable = user.command("profile show lab --origin");
    let outcome = user.outcome(with_variable.env("IPCLUSTERZ_ACCOUNT", "chemistry"));
    assert!(outcome.stdout.contains("account = \"chemistry\"  # IPCLUSTERZ_ACCOUNT\n"), "{}", outcome.stdout);
}

#[test]
fn a_new_profile_is_private_commented_and_never_overwrites() {
    let user = User::new();
    std::fs::remove_dir_all(user.path("config")).expect("remove");
    let outcome = user.run("profile init lab --from ssh");
    assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(0), ""));
    let path = "[USER]/config/ipclusterz/profiles/lab.toml";
    assert_eq!(
        outcome.stderr,
        format!("wrote {path}, which extends ssh; edit it, then: ipclusterz profile check lab\n")
    );
    let file = user.path("config/ipclusterz/profiles/lab.toml");
    let mode = |path: &std::path::Path| path.metadata().expect("there").permissions().mode() & 0o777;
    assert_eq!((mode(&file), mode(file.parent().expect("folder"))), (0o600, 0o700));
    let text = std::fs::read_to_string(&file).expect("read");
    assert!(
        text.contains("\nextends = \"ssh\"\n") && text.contains("\n#hosts = []\n") && !text.contains("\n[batch]\n")
    );

    user.run("profile init lab").assert_fails(
        2,
        &format!(
            "error: there is a profile \"lab\" already: {path}\nhint: edit it, choose another name, or replace it with --force\n"
        ),
    );
    assert_eq!(std::fs::read_to_string(&file).expect("read"), text);
    assert_eq!(user.run("profile init lab --force").code, Some(0));
    assert!(std::fs::read_to_string(&file).expect("read").contains("\nextends = \"default\"\n"));
    user.run("profile init ../lab").assert_fails(
        2,
        "error: \"../lab\" is no name for a profile: 1 to 63 letters, digits, '_', '.' and '-', the first a letter or digit\n",
    );
    // Each shipped profile can be extended under its own name, and every commented-out key is a valid key.
    for name in ["local", "ssh", "mpiexec", "slurm", "slurm-mpi", "slurm-gpu", "pbs", "lsf", "sge", "htcondor"] {
        assert_eq!(user.run(&format!("profile init {name} --json")).json()["extends"], name);
        let path = user.path(&format!("config/ipclusterz/profiles/{name}.toml"));
        let text = std::fs::read_to_string(&path).expect("read");
        let is_key =
            |line: &str| line.starts_with('#') && line[1..].starts_with(|letter: char| letter.is_ascii_lowercase());
        let keys: Vec<String> =
            text.lines().map(|line| if is_key(line) { line[1..].to_owned() } else { line.to_owned() }).collect();
        std::fs::write(&path, keys.join("\n")).expect("write");
        let shown = user.run(&format!("profile show {name}"));
        assert_eq!(shown.code, Some(0), "{}", shown.stderr);
    }
}

#[test]
fn a_check_says_which_stage_fails() {
    let user = User::new();
    let python = user.python(&good_python());
    let line = format!("profile check --set engines.count=2 --set engines.python={}", python.display());
    let outcome = user.run(&line);
    assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""));
    let version = env!("CARGO_PKG_VERSION");
    let expected = format!(
        "ok       resolve    default: 2 engines, launcher local; profiles/default.toml\n\
         skipped  hosts      no engine is started through SSH\n\
         ok       python     [USER]/python3: Python 3.12.1, package {version}\n\
         skipped  MPI        no engine is started by mpiexec\n\
         skipped  scheduler  no engine is a job of a queue\n\
         skipped  folder     no engine is a job of a queue\n\
         skipped  script     no engine is a job of a queue\n\
         skipped  validate   no engine is a job of a queue\n"
    );
    assert_eq!(outcome.stdout, expected);

    let broken = user.run("profile check slurm --set batch.time_limit=soon --json");
    assert_eq!(broken.code, Some(1));
    let json = broken.json();
    assert_eq!((&json["ok"], &json["checks"][0]["level"]), (&false.into(), &"failed".into()));
    assert!(json["checks"][0]["message"].as_str().is_some_and(|text| text.starts_with("--set: `batch.time_limit`: ")));

    let missing = user.run("profile check slrum");
    assert_eq!(missing.code, Some(1));
    assert!(missing.stdout.starts_with("failed   resolve    there is no profile \"slrum\""), "{}", missing.stdout);
    assert!(missing.stdout.contains("hint: did you mean \"slurm\"?"), "{}", missing.stdout);
}

#[test]
fn a_queues_commands_script_and_validation_are_tried() {
    let user = User::new();
    let tool = |name: &str, script: &str| {
        let path = user.path(name);
        std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).expect("write");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("chmod");
        path.display().to_string()
    };
    let python = user.python(&good_python());
    let (submit, status) = (tool("submit", "exit 1"), tool("status", "echo no such job >&2; exit 1"));
    let validate = tool("validate", "head -1 \"$1\"; grep -c partition=gpu \"$1\"");
    let text = format!(
        "[engines]\nlauncher = \"batch\"\npython = {python:?}\n[batch]\npartition = \"gpu\"\n[queue]\nname = \"Q\"\nprefix = \"#Q\"\n\
         directives = [\"--partition={{partition}}\"]\nsubmit = [{submit:?}]\nstatus = [{status:?}, \"{{job_id}}\"]\n\
         status_line = '(?<id>\\d+) (?<state>.)'\nunknown = \"no such job\"\ncancel = [{submit:?}]\ncheck = [{validate:?}, \"{{script}}\"]\n",
    );
    write(&user, "config/ipclusterz/profiles/q.toml", &text);
    let outcome = user.run("profile check q");
    assert_eq!(outcome.code, Some(0), "{}{}", outcome.stdout, outcome.stderr);
    assert!(outcome.stdout.contains("ok       scheduler  Q answers `[USER]/status 1`\n"), "{}", outcome.stdout);
    let validated = "ok       validate   the queue would take the script: #!/bin/bash\n                    1\n";
    assert!(outcome.stdout.ends_with(validated), "{}", outcome.stdout);
    assert_eq!(std::fs::read_dir(user.path("home")).expect("home").count(), 0, "nothing is left");

    std::fs::write(user.path("status"), "#!/bin/sh\necho no server >&2\nexit 1\n").expect("write");
    let outcome = user.run("profile check q");
    assert_eq!(outcome.code, Some(1));
    assert!(
        outcome.stdout.contains("failed   scheduler  `[USER]/status 1` failed (exit status: 1)\n"),
        "{}",
        outcome.stdout
    );
    assert!(outcome.stdout.ends_with("skipped  validate   not tried: scheduler failed\n"), "{}", outcome.stdout);
}
