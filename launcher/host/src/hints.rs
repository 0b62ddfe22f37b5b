//! What to do about the faults that both a start and `ipclusterz doctor` meet: one text for each. Those about folders
//! are with [`ipclusterz_base::places`], those about SSH with its errors.

use std::path::Path;

// What pip is told to install: a file, which the user has. The name alone would be looked up on PyPI, where it is not
// the project's yet and may be anybody's. The other places that say what to install are
// runtime/python/ipclusterz/wheels.py and the beginning of README.md; tests/docs/test_installing.py looks at all text.
macro_rules! wheel {
    () => {
        concat!("./ipclusterz-", env!("CARGO_PKG_VERSION"), "-*.whl")
    };
}

/// The wheel of this version, as an argument of `pip install` in the folder where it is.
pub const WHEEL: &str = wheel!();

/// No Python, or one that does not work.
pub const PYTHON: &str =
    "name a Python that has the package ipclusterz: `--python PATH`, IPCLUSTERZ_PYTHON or engines.python in a profile";

/// Program and package have different versions.
pub const VERSIONS: &str =
    concat!("install the same release of both: `python -m pip install ", wheel!(), "` brings program and package");

/// A command of the queue is not there.
pub const QUEUE_COMMANDS: &str =
    "is this a login node of the cluster? load its module, or give the full paths in [queue]";

/// The queue does not answer, or refuses.
pub const QUEUE_SERVER: &str = "is its server up, and may this host and user ask it?";

/// The queue does not take a job.
pub const QUEUE_REFUSES: &str = "it says what it does not take: change [batch] or batch.directives of the profile; \
                                 `ipclusterz start --print-script` shows what is submitted";

/// The package cannot be imported.
pub fn package_for(python: &Path) -> String {
    format!("install the package for that Python: {} -m pip install {WHEEL}; or {PYTHON}", python.display())
}
