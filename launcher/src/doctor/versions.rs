//! Checks the versions of the program, Python, the package and libzmq.

use super::probe;
use crate::report::finding::Finding;
use ipclusterz_base::release;
use ipclusterz_host::failure::Failure;
use ipclusterz_host::python;
use ipclusterz_runtime::transport::context;
use std::ffi::OsStr;
use std::path::Path;

/// Reports the version of this program and of the library in it.
pub fn program(program: &Path) -> Vec<Finding> {
    let library = match context::check() {
        Ok(()) => Finding::ok("libzmq", format!("{} with CURVE and ROUTER_NOTIFY, built in", context::version())),
        Err(error) => {
            Finding::failed("libzmq", error.to_string(), "install an ipclusterz that was built as its own build does")
        }
    };
    vec![Finding::ok("program", format!("{}: version {}", program.display(), release::line())), library]
}

/// Checks the Python that engines on this host get. `wanted` is what the profile says.
pub fn python(wanted: &str, program: &Path, search_path: Option<&OsStr>) -> Finding {
    const CHECK: &str = "python";
    let wanted = Some(wanted).filter(|wanted| !wanted.is_empty());
    match python::find(wanted, program, search_path) {
        Ok(path) => probe::here(CHECK, &path),
        Err(error) => Finding::of_failure(CHECK, Failure::from(error)),
    }
}
