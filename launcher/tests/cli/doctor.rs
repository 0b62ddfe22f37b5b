//! `ipclusterz doctor`: what it finds on a host that is well, and on one that is not.

use super::support::User;

/// Runs `doctor` with a PATH without programs, so that it finds no MPI and no queue of this machine.
fn doctor(user: &User, arguments: &str) -> super::support::Outcome {
    let mut command = user.command(&format!("doctor {arguments}"));
    user.outcome(command.env("PATH", "/nowhere").env("IPCLUSTERZ_ENGINSE", "3"))
}

#[test]
fn a_host_that_is_well() {
    let user = User::new();
    let version = env!("CARGO_PKG_VERSION");
    let probe = format!(r#"{{"ipclusterz_probe": 1, "python": "3.12.1", "package": "{version}", "error": null}}"#);
    let python = user.python(&format!("echo '{probe}'"));
    let outcome = doctor(&user, &format!("--set engines.python={} --set engines.count=1", python.display()));
    assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""), "{}", outcome.stdout);
    for part in [
        "warning  environment     IPCLUSTERZ_ENGINSE is set but nothing reads it\n",
        "hint: did you mean IPCLUSTERZ_ENGINES? ",
        "ok       profile         default: 1 engine, launcher local; profiles/default.toml\n",
        " with CURVE and ROUTER_NOTIFY, built in\n",
        &format!("ok       python          [USER]/python3: Python 3.12.1, package {version}\n"),
        "ok       runtime folder  [USER]/run/ipclusterz: yours alone, and takes sockets\n",
        "ok       state folder    [USER]/home: writable, with locks, ",
        "ok       file clock      ",
        "skipped  hosts           the profile names no hosts in [ssh]\n",
        "skipped  scheduler       the profile describes no queue\n",
        "skipped  MPI             mpiexec.program: there is no program \"mpiexec\" that could be run\n",
    ] {
        assert!(outcome.stdout.contains(part), "no {part}\n{}", outcome.stdout);
    }
    assert!(!outcome.stdout.contains('\x1b'), "colours without a terminal");
    for folder in ["home", "run"] {
        assert_eq!(std::fs::read_dir(user.path(folder)).expect("folder").count(), 0, "something is left in {folder}");
    }
}

#[test]
fn each_trouble_is_one_line_with_a_hint_and_the_rest_is_still_looked_at() {
    let user = User::new();
    let python = user.python("echo 'no python today' >&2; exit 3");
    let outcome = doctor(&user, &format!("--profile slurm --json --set engines.python={}", python.display()));
    assert_eq!(outcome.code, Some(1), "{}", outcome.stderr);
    let json = outcome.json();
    let failed = |check: &str| {
        let all = json["checks"].as_array().expect("a list");
        let found = all.iter().find(|one| one["check"] == check && one["level"] == "failed");
        let found = found.unwrap_or_else(|| panic!("{check} did not fail: {json}"));
        assert!(found["hint"].is_string(), "{found}");
        found["message"].as_str().expect("text").to_owned()
    };
    assert_eq!(failed("python"), "[USER]/python3 is no working Python (exit status: 3): no python today");
    assert_eq!(failed("scheduler"), "Slurm: cannot find sbatch, squeue, scancel, scontrol on PATH");

    let outcome = doctor(&user, "--profile slrum --json");
    assert_eq!(outcome.code, Some(1));
    assert!(outcome.json()["checks"].as_array().is_some_and(|checks| checks.len() > 8));
}
