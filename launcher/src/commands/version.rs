//! `ipclusterz --version`.

use crate::report::versions::{Details, VersionReport};
use crate::versions::{beside, built};
use ipclusterz_base::release;
use ipclusterz_profile::environment::Variables;

/// The version of this program; if `verbose`, also what is in it and beside it.
pub fn run(verbose: bool, variables: &Variables) -> VersionReport {
    let details = verbose.then(|| Details { program: built::program(), python: beside::python(variables) });
    VersionReport { ipclusterz: release::number(), wire: release::wire_version(), details }
}
