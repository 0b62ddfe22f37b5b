//! Finds the Python that runs the engines. Does not check what is installed in it.

use crate::exit_code::Exit;
use crate::failure::Failure;
use crate::hints;
use std::ffi::OsStr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Why no Python was found.
#[derive(Debug, thiserror::Error)]
pub enum PythonError {
    /// The Python that was asked for does not exist or is not executable.
    #[error("there is no Python {0:?} that could be run")]
    NotFound(String),
    /// No Python was asked for, and none was found.
    #[error("there is no python3 or python beside {} and no python3 on PATH", program.display())]
    NoneAnywhere {
        /// The ipclusterz program.
        program: PathBuf,
    },
}

impl From<PythonError> for Failure {
    fn from(error: PythonError) -> Self {
        Failure::new(Exit::Usage, error.to_string()).with_hint(hints::PYTHON)
    }
}

/// Finds the Python to run: `wanted` if given (a path, or a name on `search_path`), else the one in `program`'s folder,
/// else `python3` on `search_path`.
///
/// Links are not resolved: a virtual environment's `python3` is a link, and finds its environment by its own path.
pub fn find(wanted: Option<&str>, program: &Path, search_path: Option<&OsStr>) -> Result<PathBuf, PythonError> {
    if let Some(wanted) = wanted {
        return on_search_path(wanted, search_path).ok_or_else(|| PythonError::NotFound(wanted.to_owned()));
    }
    let beside = ["python3", "python"].map(|name| program.with_file_name(name));
    beside
        .into_iter()
        .find(|path| is_executable(path))
        .or_else(|| on_search_path("python3", search_path))
        .ok_or_else(|| PythonError::NoneAnywhere { program: program.to_path_buf() })
}

/// Resolves a program: a path, or a name that is looked up on `search_path`.
pub fn on_search_path(program: &str, search_path: Option<&OsStr>) -> Option<PathBuf> {
    if program.contains('/') {
        // Absolute, because a record of the path must mean the same in another working folder.
        return std::path::absolute(program).ok().filter(|path| is_executable(path));
    }
    let mut folders = std::env::split_paths(search_path.unwrap_or_default());
    folders.find_map(|folder| Some(folder.join(program)).filter(|path| is_executable(path)))
}

/// Whether `path` is a file that somebody may execute.
pub fn is_executable(path: &Path) -> bool {
    path.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn executable(path: &Path) {
        std::fs::write(path, "").expect("write");
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).expect("chmod");
    }

    #[test]
    fn the_one_beside_the_program_beats_the_search_path() {
        let (own, other) = (tempfile::tempdir().expect("folder"), tempfile::tempdir().expect("folder"));
        let program = own.path().join("ipclusterz");
        let search_path = Some(other.path().as_os_str());
        assert!(matches!(find(None, &program, search_path), Err(PythonError::NoneAnywhere { .. })));
        executable(&other.path().join("python3"));
        assert_eq!(find(None, &program, search_path).expect("on PATH"), other.path().join("python3"));
        executable(&own.path().join("python"));
        assert_eq!(find(None, &program, search_path).expect("beside"), own.path().join("python"));
    }

    #[test]
    fn a_python_that_was_asked_for_must_exist() {
        let folder = tempfile::tempdir().expect("folder");
        let program = folder.path().join("ipclusterz");
        let path = folder.path().join("python3.12");
        std::fs::write(&path, "").expect("write");
        let text = path.to_str().expect("UTF-8");
        assert!(find(Some(text), &program, None).is_err(), "not executable");
        executable(&path);
        assert_eq!(find(Some(text), &program, None).expect("path"), path);
        assert_eq!(find(Some("python3.12"), &program, Some(folder.path().as_os_str())).expect("name"), path);
        assert!(matches!(find(Some("python9"), &program, None), Err(PythonError::NotFound(_))));
    }
}
