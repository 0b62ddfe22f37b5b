//! What to do about the faults that both a start and `ipclusterz doctor` meet: one text for each. Those about folders
//! are with [`ipclusterz_base::places`], those about SSH with its errors.

use std::path::Path;

/// No Python, or one that does not work.
pub const PYTHON: &str =
    "name a Python that has the package ipclusterz: `--python PATH`, IPCLUSTERZ_PYTHON or engines.python in a profile";

/// Program and package have different versions.
pub const VERSIONS: &str =
    "install the same release of both: `python -m pip install ipclusterz` brings program and package";

/// A command of the queue is not there.
pub const QUEUE_COMMANDS: &str =
    "is this a login node of the cluster? load its module, or give the full paths in [queue]";

/// The queue does not answer, or refuses.
pub const QUEUE_SERVER: &str = "is its server up, and may this host and user ask it?";

/// The package cannot be imported.
pub fn package_for(python: &Path) -> String {
    format!("install the package for that Python: {} -m pip install ipclusterz; or {PYTHON}", python.display())
}
