//! The hello of two ranks.

use super::support::{Mpi, PATIENCE};
use ipclusterz_launcher::launchers::program::Program;
use ipclusterz_launcher::launchers::program::check::{Hello, hello};
use ipclusterz_launcher::tables::mpiexec::MpiexecTable;
use std::path::Path;

crate::with_each_mpi!(two_ranks_say_hello, what_goes_wrong_is_shown);

fn find(table: &MpiexecTable) -> Program {
    Program::find(table, std::env::var_os("PATH").as_deref()).expect("a program")
}

fn two_ranks_say_hello(mpi: Mpi) {
    let scratch = tempfile::tempdir().expect("temporary folder");
    let table = mpi.table();
    // Isolated, so that an mpi4py of this user is not found.
    let python = scratch.path().join("python");
    std::os::unix::fs::symlink("/usr/bin/python3", &python).expect("link");
    let said = hello(&find(&table), &table, &python, scratch.path(), PATIENCE).expect("hello");
    assert!(matches!(said, Hello::Ok { .. }), "{said:?}");
}

fn what_goes_wrong_is_shown(mpi: Mpi) {
    let scratch = tempfile::tempdir().expect("temporary folder");
    let table = mpi.table();
    let said = hello(&find(&table), &table, Path::new("/no/such/python"), scratch.path(), PATIENCE).expect("hello");
    let Hello::Failed { errors, .. } = said else { panic!("{said:?}") };
    assert!(errors.contains("/no/such/python"), "{errors}");
}
