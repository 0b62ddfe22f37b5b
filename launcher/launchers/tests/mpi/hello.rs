//! The two ranks that say hello for `ipclusterz doctor`.

use super::support::{Mpi, PATIENCE};
use ipclusterz_launchers::program::Program;
use ipclusterz_launchers::program::check::{Hello, Ranks, hello};
use ipclusterz_profile::tables::mpiexec::MpiexecTable;
use std::collections::BTreeMap;
use std::path::Path;

crate::with_each_mpi!(two_ranks_say_hello, what_goes_wrong_is_shown);

fn find(table: &MpiexecTable) -> Program {
    Program::find(table, std::env::var_os("PATH").as_deref()).expect("a program")
}

fn two_ranks_say_hello(mpi: Mpi) {
    let scratch = tempfile::tempdir().expect("temporary folder");
    let table = mpi.table();
    // A link in an empty folder, so that Python does not find an mpi4py of this user.
    let python = scratch.path().join("python");
    std::os::unix::fs::symlink("/usr/bin/python3", &python).expect("link");
    let ranks = Ranks { python: &python, environment: &BTreeMap::new(), scratch: scratch.path() };
    let said = hello(&find(&table), &table, ranks, PATIENCE).expect("hello");
    assert!(matches!(said, Hello::Ok { .. }), "{said:?}");
}

fn what_goes_wrong_is_shown(mpi: Mpi) {
    let scratch = tempfile::tempdir().expect("temporary folder");
    let table = mpi.table();
    let python = Path::new("/no/such/python");
    let ranks = Ranks { python, environment: &BTreeMap::new(), scratch: scratch.path() };
    let said = hello(&find(&table), &table, ranks, PATIENCE).expect("hello");
    let Hello::Failed { errors, .. } = said else { panic!("{said:?}") };
    assert!(errors.contains("/no/such/python"), "{errors}");
}
