//! Removes the files of a cluster that has no process left. The caller makes sure of that.

use super::folder::ClusterFolder;
use super::handle::ClusterHandle;
use ipclusterz_base::places::PlacesError;
use ipclusterz_base::private;

/// Removes sockets, shared memory, uploads, connection files and, last, the record. Files that are missing are no error. Logs
/// stay; [`super::ended`] removes them. The journal stays: what it has may be wanted.
pub fn remove_files(folder: &ClusterFolder, handle: &ClusterHandle) -> Result<(), PlacesError> {
    let folders =
        [handle.socket_dir.clone(), handle.shared_memory_dir.clone(), folder.uploads(), folder.stage_meeting()];
    let connection = [folder.client_file(), folder.engine_file()];
    let files = connection.into_iter().chain([
        folder.setup_file(),
        folder.stage_file(),
        folder.alive_file(),
        folder.handle_file(),
    ]);
    let files: Vec<_> = files.collect();
    folders.iter().chain(&files).try_for_each(|path| private::remove(path))
}
