//! Compiles the few names of `mpi.h` that are macros and that rsmpi has no copy of.

fn main() {
    println!("cargo::rerun-if-changed=src/names.c");
    println!("cargo::rerun-if-env-changed=MPICC");
    let library = match build_probe_mpi::probe() {
        Ok(library) => library,
        Err(errors) => {
            for error in &errors {
                println!("cargo::warning={error}");
            }
            println!("cargo::error=no MPI was found: is mpicc on PATH, or named by the variable MPICC?");
            return;
        }
    };
    cc::Build::new().file("src/names.c").includes(&library.include_paths).compile("ipclusterz_mpi_names");
}
