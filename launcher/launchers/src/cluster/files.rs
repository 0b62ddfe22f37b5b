//! Removes the files of a cluster that has no process left. The caller makes sure of that.

use super::folder::ClusterFolder;
use super::handle::ClusterHandle;
use ipclusterz_host::removal::{RemoveError, removed};

/// Removes sockets, shared memory, uploads, connection files and, last, the record. Files that are missing are no
/// error. Logs stay; [`super::ended`] removes them.
pub fn remove_files(folder: &ClusterFolder, handle: &ClusterHandle) -> Result<(), RemoveError> {
    for directory in [&handle.socket_dir, &handle.shared_memory_dir, &folder.uploads()] {
        removed(directory, std::fs::remove_dir_all(directory))?;
    }
    for file in [folder.client_file(), folder.engine_file(), folder.handle_file()] {
        removed(&file, std::fs::remove_file(&file))?;
    }
    Ok(())
}
