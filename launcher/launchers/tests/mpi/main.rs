//! The launcher of mpiexec's sets, with the real Open MPI and MPICH. A script stands in for the engine.

mod hello;
mod life;
mod support;
mod trouble;

/// Makes a test for each MPI of this host.
macro_rules! with_each_mpi {
    ($($name:ident),* $(,)?) => {
        mod open_mpi {
            $(#[test] fn $name() { super::$name(crate::support::Mpi::Open); })*
        }
        mod mpich {
            $(#[test] fn $name() { super::$name(crate::support::Mpi::Mpich); })*
        }
    };
}
pub(crate) use with_each_mpi;
