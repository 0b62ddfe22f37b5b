use super::*;
use crate::batch::commands::Printed;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

fn values(account: Option<&str>) -> Values {
    let mut values = Values::default();
    values.set("account", account);
    values.set("partition", Some("short"));
    values.set("nodes", Some(9));
    values.set("user", Some("anna"));
    values.set("qos", None::<&str>);
    values
}

fn refusal(about: &[&str], valid: &[&str], hint: &str) -> Refusal {
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    Refusal { pattern: "Invalid".to_owned(), about: words(about), valid: words(valid), hint: hint.to_owned() }
}

fn error() -> CommandError {
    let printed = Printed { stdout: String::new(), stderr: "sbatch: error: Invalid account\n".to_owned() };
    CommandError::Failed { command: "sbatch job.sh".to_owned(), status: ExitStatus::from_raw(256), printed }
}

/// The failure when the command that lists what is valid prints this; `None`: it fails.
fn told(refusal: &Refusal, account: Option<&str>, printed: Option<&str>) -> Failure {
    explained("Slurm", refusal, &values(account), &error(), |command| {
        assert_eq!(command, ["list", "user=anna"]);
        printed.map(str::to_owned).ok_or_else(error)
    })
}

const LIST: [&str; 3] = ["list", "user={user}", "qos={qos}"];

#[test]
fn the_value_and_the_valid_ones_are_named() {
    let account = refusal(&["account"], &LIST, "");
    let failure = told(&account, Some("phisics"), Some("physics\nchemistry,root|physics\n(null)\n"));
    assert_eq!(
        failure.message,
        "Slurm refuses batch.account = \"phisics\": `sbatch job.sh` failed (exit status: 1)\n    \
         sbatch: error: Invalid account"
    );
    assert_eq!(
        failure.hint.as_deref(),
        Some("did you mean \"physics\"? batch.account may be: chemistry, physics, root")
    );
    assert_eq!(failure.exit(), Exit::StartFailed);
}

#[test]
fn a_value_that_is_missing_or_does_not_go_with_another_is_told() {
    let account = refusal(&["account", "partition"], &LIST, "a partition may be closed");
    let failure = told(&account, None, Some("physics"));
    let expected = "Slurm refuses a job without batch.account, with batch.partition = \"short\": ";
    assert!(failure.message.starts_with(expected), "{}", failure.message);
    assert_eq!(failure.hint.as_deref(), Some("batch.account may be: physics; a partition may be closed"));

    let failure = told(&account, Some("physics"), Some("physics"));
    let expected = "Slurm refuses batch.account = \"physics\", with batch.partition = \"short\": ";
    assert!(failure.message.starts_with(expected), "{}", failure.message);
    let expected = "you may use \"physics\" (physics), but not with the rest of what the job asks for; a partition";
    assert!(failure.hint.as_deref().is_some_and(|hint| hint.starts_with(expected)), "{failure:?}");
}

#[test]
fn without_a_list_the_command_is_named() {
    let account = refusal(&["account"], &LIST, "");
    let hint = |printed| told(&account, Some("x"), printed).hint.expect("a hint");
    assert_eq!(hint(Some("\n")), "`list user=anna` names none that you may use: ask your site's support");
    assert_eq!(hint(None), "`list user=anna` lists the valid ones, but failed just now");
    let many: String = (0..30).map(|number| format!("project{number:02}\n")).collect();
    assert!(hint(Some(&many)).ends_with("project19 and 10 more"), "{}", hint(Some(&many)));

    let whole = told(&refusal(&[], &LIST, "name one in queue.directives"), None, Some("mpi\nsmp\n"));
    assert!(whole.message.starts_with("Slurm refuses the job: "), "{}", whole.message);
    assert_eq!(whole.hint.as_deref(), Some("there are: mpi, smp; name one in queue.directives"));

    let never = |_: &[String]| -> Result<String, CommandError> { panic!("there is nothing to ask") };
    let nodes = refusal(&["nodes"], &[], "");
    let failure = explained("Slurm", &nodes, &values(None), &error(), never);
    assert!(failure.message.starts_with("Slurm refuses batch.nodes = 9: "), "{}", failure.message);
    assert_eq!(failure.hint.as_deref(), Some("set another batch.nodes in the profile"));
}
