//! Removes what a killed program and its ranks leave on this host: the shared memory files in `/dev/shm` through which
//! the ranks communicate, and the session folder of Open MPI.
//!
//! The files' names hardly show whose they are. So the launcher notes them while the ranks have them mapped, and
//! removes them when the set has ended, unless another file has taken the same name. It also writes them down in the set's
//! folder of the run, for the command that cleans up after a launcher that was killed. The session folder has the program's
//! pid in its name.

use ipclusterz_base::places::PlacesError;
use ipclusterz_base::private::{self, Trust};
use ipclusterz_host::identity::ProcessIdentity;
use ipclusterz_host::system;
use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Prefixes of the files of Open MPI 4 and 5, MPICH (also Cray's), UCX, Intel MPI and PSM. Other files that a rank has
/// mapped may be the user's, who may want to keep them.
const PREFIXES: [&str; 8] = [
    "vader_segment.",
    "sm_segment.",
    "mpich_shm_",
    "mpich_shar_tmp",
    "ucx_shm_posix_",
    "Intel_MPI_",
    "psm2_shm.",
    "psm3_shm.",
];

const FOLDER: &str = "/dev/shm/";

/// The file in the folder of a set: `INODE PATH` in each line.
const NOTES: &str = "segments";

/// The files of one set.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Segments(BTreeSet<(PathBuf, u64)>);

impl Segments {
    /// What the launcher of a run has written down, in the run's folder of sockets.
    pub fn of_run(run: &Path) -> Segments {
        let sets = private::names(run).unwrap_or_default();
        let notes = sets.iter().filter_map(|set| private::read_text(&run.join(set).join(NOTES), Trust::Ours).ok());
        Segments(notes.flat_map(|text| text.lines().filter_map(noted).collect::<Vec<_>>()).collect())
    }

    /// Writes the files down in the folder of their set.
    pub fn write_down(&self, set: &Path) -> Result<(), PlacesError> {
        let lines = self.0.iter().map(|(path, inode)| format!("{inode} {}\n", path.display()));
        private::write_private(&set.join(NOTES), lines.collect::<String>().as_bytes())
    }

    /// Those of another list, too.
    pub fn extend(&mut self, other: Segments) {
        self.0.extend(other.0);
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Notes the files that these processes have mapped.
    pub fn look(&mut self, processes: &[ProcessIdentity]) {
        for process in processes {
            if let Ok(maps) = std::fs::read_to_string(format!("/proc/{}/maps", process.pid)) {
                self.0.extend(maps.lines().filter_map(segment));
            }
        }
    }

    /// Whether none has been seen yet.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Removes the noted files. The processes must have ended.
    pub fn remove(&mut self) {
        for (path, inode) in std::mem::take(&mut self.0) {
            if std::fs::symlink_metadata(&path).is_ok_and(|metadata| metadata.ino() == inode) {
                // MPI may have just removed the file itself.
                let _ = private::remove(&path);
            }
        }
    }
}

/// Removes the session folder of the mpiexec that had this pid. It is in mpiexec's folder for temporary files:
/// `ompi.HOST.UID/pid.PID` of Open MPI 4, `ompi.PID` of version 5.
///
/// An option could put it elsewhere. But then version 4 wants the same place on each host, and ranks do not start when
/// the option is given for the local host alone.
pub fn remove_session(program: u32, temporary: &Path) {
    let user = system::effective_user();
    let ours = |path: &Path| std::fs::symlink_metadata(path).is_ok_and(|data| data.is_dir() && data.uid() == user);
    let Ok(entries) = std::fs::read_dir(temporary) else { return };
    for entry in entries.flatten() {
        let (name, path) = (entry.file_name(), entry.path());
        let Some(rest) = name.to_str().and_then(|name| name.strip_prefix("ompi.")) else { continue };
        if !ours(&path) {
            continue;
        }
        // Errors are ignored: nothing can be done about them, and MPI may be removing the folder at the same time.
        if rest == program.to_string() {
            let _ = private::remove(&path);
        } else if rest.ends_with(&format!(".{user}")) {
            let session = path.join(format!("pid.{program}"));
            if ours(&session) {
                let _ = private::remove(&session);
            }
            // Succeeds only when no other mpiexec of this user has a session in it. Our mpiexec may have been killed
            // just before it would have removed the folder.
            let _ = std::fs::remove_dir(path);
        }
    }
}

/// Path and inode of a segment that still has its name, from a line of `/proc/PID/maps` (proc_pid_maps(5)).
fn segment(line: &str) -> Option<(PathBuf, u64)> {
    let inode = line.split_ascii_whitespace().nth(4)?.parse().ok()?;
    let path = &line[line.find(FOLDER)?..];
    (is_of_mpi(path) && !path.ends_with(" (deleted)")).then(|| (path.into(), inode))
}

/// Path and inode from a line that was written down.
fn noted(line: &str) -> Option<(PathBuf, u64)> {
    let (inode, path) = line.split_once(' ')?;
    let inode = inode.parse().ok()?;
    is_of_mpi(path).then(|| (path.into(), inode))
}

fn is_of_mpi(path: &str) -> bool {
    let name = path.strip_prefix(FOLDER);
    name.is_some_and(|name| PREFIXES.iter().any(|prefix| name.starts_with(prefix)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_of_an_mpi_are_known_by_their_names() {
        let line =
            |path: &str| format!("7f1c2a000000-7f1c2a401000 rw-s 00000000 00:17 4711                       {path}");
        let known = "/dev/shm/vader_segment.vm.0.56f10001.2";
        assert_eq!(segment(&line(known)), Some((known.into(), 4711)));
        assert!(segment(&line("/dev/shm/mpich_shm_2ec69025_0")).is_some());
        assert_eq!(segment(&line("/dev/shm/ucx_shm_posix_3a185f26 (deleted)")), None);
        assert_eq!(segment(&line("/dev/shm/psm_1a2b3c4d")), None);
        assert_eq!(segment(&line("/usr/lib/libmpi.so.40")), None);
        assert_eq!(segment("7ffd5a7e6000-7ffd5a807000 rw-p 00000000 00:00 0"), None);
    }

    #[test]
    fn what_is_written_down_is_read_again() {
        let run = tempfile::tempdir().expect("temporary folder");
        let of = |names: &[(&str, u64)]| {
            Segments(names.iter().map(|(name, inode)| (Path::new(FOLDER).join(name), *inode)).collect())
        };
        assert_eq!(Segments::of_run(run.path()), Segments::default());
        let (first, second) =
            (of(&[("vader_segment.vm.0.56f10001.2", 4711), ("mpich_shm_x", 2)]), of(&[("ucx_shm_posix_7", 3)]));
        for (set, segments) in [("set-0", &first), ("set-3", &second)] {
            std::fs::create_dir(run.path().join(set)).expect("create");
            segments.write_down(&run.path().join(set)).expect("write");
        }
        let mut all = first;
        all.extend(second);
        assert_eq!((all.len(), &Segments::of_run(run.path())), (3, &all));
        // Nothing else is believed.
        std::fs::write(
            run.path().join("set-0").join(NOTES),
            "7 /etc/passwd\nx /dev/shm/mpich_shm_x\n7 /dev/shm/mine\n",
        )
        .expect("write");
        assert_eq!(Segments::of_run(run.path()), of(&[("ucx_shm_posix_7", 3)]));
    }

    #[test]
    fn only_the_session_of_that_program_is_removed() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let user = system::effective_user();
        let (four, five, other) = (format!("ompi.vm.{user}/pid.42"), "ompi.42", format!("ompi.vm.{user}/pid.421"));
        for name in [four.as_str(), five, "ompi.421", "ompi.vm.99999999/pid.42", &other] {
            std::fs::create_dir_all(folder.path().join(name).join("contact")).expect("create");
        }
        remove_session(42, folder.path());
        let exists = |name: &str| folder.path().join(name).exists();
        assert!(!exists(&four) && !exists(five));
        assert!(exists("ompi.421") && exists("ompi.vm.99999999/pid.42") && exists(&other));
        std::fs::remove_dir_all(folder.path().join(&other)).expect("remove");
        std::fs::create_dir_all(folder.path().join(&four)).expect("create");
        remove_session(42, folder.path());
        assert!(!exists(&format!("ompi.vm.{user}")));
    }

    #[test]
    fn a_file_that_took_the_place_stays() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let (ours, theirs) = (folder.path().join("ours"), folder.path().join("theirs"));
        for path in [&ours, &theirs] {
            std::fs::write(path, "").expect("write");
        }
        let inode = std::fs::metadata(&ours).expect("metadata").ino();
        let mut segments = Segments([(ours.clone(), inode), (theirs.clone(), inode)].into());
        segments.remove();
        assert!(!ours.exists() && theirs.exists());
    }
}
