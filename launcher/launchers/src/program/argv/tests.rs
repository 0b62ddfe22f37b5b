//! The arguments of each program, as in its manual.

use super::super::flavour::tests::table;
use super::super::slots::check_room;
use super::*;

/// Everything that a table can ask for.
fn full() -> MpiexecTable {
    MpiexecTable {
        hosts: vec!["n1:2".to_owned(), "n2:2".to_owned()],
        oversubscribe: true,
        bind: Binding::Socket,
        allow_root: true,
        arguments: vec!["--more".to_owned(), "x y".to_owned()],
        ..table()
    }
}

fn build(flavour: Flavour, table: &MpiexecTable) -> Result<Invocation, ArgvError> {
    build_with(flavour, table, Survival::Ended)
}

fn build_with(flavour: Flavour, table: &MpiexecTable, survival: Survival) -> Result<Invocation, ArgvError> {
    let pass = ["LAB".to_owned(), "IPCLUSTERZ_SET".to_owned()];
    let request = Request {
        table,
        ranks: 4,
        directory: Path::new("/work"),
        pass: &pass,
        label: true,
        survival,
        scratch: Path::new("/tmp/set-1"),
        command: vec!["python".into(), "-m".into(), "engine".into()],
    };
    invocation(flavour, request)
}

#[track_caller]
fn assert_arguments(flavour: Flavour, table: &MpiexecTable, expected: &str) -> Invocation {
    let built = build(flavour, table).expect("arguments");
    let joined: Vec<&str> = built.arguments.iter().map(|one| one.to_str().expect("UTF-8")).collect();
    assert_eq!(joined.join(" "), expected);
    built
}

#[test]
fn open_mpi_is_told_everything_in_arguments() {
    assert_arguments(
        Flavour::OpenMpi,
        &table(),
        "-n 4 --wdir /work --tag-output -x LAB -x IPCLUSTERZ_SET python -m engine",
    );
    assert_arguments(
        Flavour::OpenMpi,
        &full(),
        "-n 4 --host n1:2,n2:2 --oversubscribe --bind-to socket --allow-run-as-root --wdir /work --tag-output -x LAB \
         -x IPCLUSTERZ_SET --more x y python -m engine",
    );
}

#[test]
fn ranks_that_are_to_outlive_others_are_asked_for_in_the_programs_words() {
    let arguments = |flavour, survival| {
        let built = build_with(flavour, &table(), survival).expect("arguments");
        built.arguments.iter().map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
    };
    assert!(arguments(Flavour::OpenMpi, Survival::Kept).contains(" --enable-recovery "));
    assert!(arguments(Flavour::OpenMpi, Survival::Ulfm).contains(" --with-ft ulfm "));
    let kept = arguments(Flavour::Srun, Survival::Kept);
    assert!(kept.contains(" --kill-on-bad-exit=0 --no-kill --wait=0 "), "{kept}");
}

#[test]
fn hydra_passes_the_environment_by_itself() {
    let common = "-genvall -wdir /work -prepend-rank -print-all-exitcodes -n 4";
    assert_arguments(Flavour::Mpich, &table(), &format!("{common} python -m engine"));
    assert_arguments(
        Flavour::Mpich,
        &full(),
        &format!("-hosts n1:2,n2:2 -bind-to socket {common} --more x y python -m engine"),
    );
    let intel = assert_arguments(
        Flavour::Intel,
        &full(),
        &format!("-machinefile /tmp/set-1/machines {common} --more x y python -m engine"),
    );
    assert_eq!(intel.machine_file, Some(("/tmp/set-1/machines".into(), "n1:2\nn2:2\n".to_owned())));
    assert_eq!(intel.environment, [("I_MPI_PIN_DOMAIN", OsString::from("socket"))]);
    let unbound = build(Flavour::Intel, &MpiexecTable { bind: Binding::None, ..table() }).expect("arguments");
    assert_eq!(unbound.environment, [("I_MPI_PIN", OsString::from("0"))]);
}

#[test]
fn cray_and_slurm_take_slots_for_all_hosts_together() {
    assert_arguments(
        Flavour::Cray,
        &full(),
        "-n 4 --envall --hosts n1,n2 --ppn 2 --cpu-bind socket --wdir /work --label --more x y python -m engine",
    );
    assert_arguments(
        Flavour::Srun,
        &full(),
        "--ntasks 4 --export=ALL --kill-on-bad-exit=1 --nodes 2 --nodelist n1,n2 --ntasks-per-node 2 --overcommit \
         --cpu-bind=sockets --chdir /work --label --more x y python -m engine",
    );
    let unequal = MpiexecTable { hosts: vec!["n1:1".to_owned(), "n2:3".to_owned()], ..table() };
    for flavour in [Flavour::Cray, Flavour::Srun] {
        assert_eq!(build(flavour, &unequal), Err(ArgvError::UnequalSlots(flavour)));
    }
}

#[test]
fn a_hostfile_is_named_by_its_whole_path() {
    let table = MpiexecTable { hostfile: "/etc/hosts.mpi".to_owned(), ..table() };
    let options = [
        (Flavour::OpenMpi, "--hostfile"),
        (Flavour::Mpich, "-f"),
        (Flavour::Intel, "-machinefile"),
        (Flavour::Cray, "--hostfile"),
        (Flavour::Srun, "--nodelist"),
    ];
    for (flavour, option) in options {
        let built = build(flavour, &table).expect("arguments");
        let pair = [OsString::from(option), OsString::from("/etc/hosts.mpi")];
        assert!(built.arguments.windows(2).any(|window| window == pair), "{flavour}: {:?}", built.arguments);
    }
}

#[test]
fn no_value_of_a_variable_is_an_argument() {
    // A request has only names, so that no value can get in. Whatever is not a name is rejected.
    let pass = ["LAB=secret".to_owned()];
    let table = table();
    let request = Request {
        table: &table,
        ranks: 1,
        directory: Path::new("/"),
        pass: &pass,
        label: false,
        survival: Survival::Ended,
        scratch: Path::new("/"),
        command: Vec::new(),
    };
    let error = invocation(Flavour::OpenMpi, request).expect_err("not a name");
    assert_eq!(error, ArgvError::BadVariable("LAB=secret".to_owned()));
}

#[test]
fn bad_hosts_are_named() {
    for bad in ["", ":4", "n1:", "n1:0", "n1:x", "-n1", "n1 n2", "n1,n2"] {
        let table = MpiexecTable { hosts: vec![bad.to_owned()], ..table() };
        assert_eq!(build(Flavour::Mpich, &table), Err(ArgvError::BadHost(bad.to_owned())), "{bad:?}");
    }
    let few = MpiexecTable { hosts: vec!["n1".to_owned(), "n2:2".to_owned()], ..table() };
    assert_eq!(build(Flavour::OpenMpi, &few), Err(ArgvError::TooFewSlots { slots: 3, ranks: 4 }));
    assert_eq!(check_room(&few, 3), Ok(()));
    assert_eq!(check_room(&few, 4), Err(ArgvError::TooFewSlots { slots: 3, ranks: 4 }));
    assert_eq!(check_room(&MpiexecTable { oversubscribe: true, ..few }, 4), Ok(()));
    assert_eq!(check_room(&table(), 1000), Ok(()), "no hosts, no limit");
}
