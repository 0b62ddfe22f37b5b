//! Checks whether the nodes of a queue can have the folder of the clusters, as far as that is known from here.
//!
//! What another host mounts is not known without a job there. But a disk of this host alone is not theirs, unless this host
//! exports it.

use crate::report::finding::Finding;
use ipclusterz_base::places;
use ipclusterz_launchers::causes::{self, FOLDER};
use std::path::{Path, PathBuf};

const CHECK: &str = "folder";

/// File systems of one host.
const LOCAL: [&str; 17] = [
    "bcachefs", "btrfs", "devtmpfs", "exfat", "ext2", "ext3", "ext4", "f2fs", "jfs", "ntfs3", "overlay", "ramfs",
    "reiserfs", "tmpfs", "vfat", "xfs", "zfs",
];

/// Checks the folder of all clusters' records, for engines that are jobs of `queue`.
pub fn check(queue: &str) -> Finding {
    let root = match places::state_root() {
        Ok(root) => root,
        Err(error) => return Finding::of_failure(CHECK, error.into()),
    };
    let read = |file: &str| std::fs::read_to_string(file).unwrap_or_default();
    judge(&root, &existing(&root), queue, &read("/proc/self/mountinfo"), &read("/var/lib/nfs/etab"))
}

/// The folder itself or the next one above it that exists, without links.
fn existing(folder: &Path) -> PathBuf {
    let found = folder.ancestors().find_map(|folder| folder.canonicalize().ok());
    found.unwrap_or_else(|| PathBuf::from("/"))
}

/// `mounts` is the text of `/proc/self/mountinfo`, `exports` that of `/var/lib/nfs/etab`.
fn judge(root: &Path, real: &Path, queue: &str, mounts: &str, exports: &str) -> Finding {
    let root = root.display();
    let Some((at, kind)) = mount_of(real, mounts) else {
        return Finding::ok(CHECK, format!("{root}: its file system is not known"));
    };
    let exported = exports.lines().filter_map(|line| line.split_whitespace().next()).any(|path| real.starts_with(path));
    if exported || !LOCAL.contains(&kind) {
        let how = if exported { "which this host exports" } else { "which other hosts may have too" };
        return Finding::ok(CHECK, format!("{root} is on {kind} ({at}), {how}"));
    }
    let message = format!("{root} is on {kind} ({at}), which this host alone has: nodes of {queue} must see it too");
    Finding::warning(CHECK, message, causes::named(FOLDER).map(|cause| cause.hint(Path::new(""))).unwrap_or_default())
}

/// Where the file system of a folder is mounted, and its kind.
fn mount_of<'a>(folder: &Path, mounts: &'a str) -> Option<(&'a str, &'a str)> {
    let read = |line: &'a str| {
        // 36 35 98:0 /root /mount-point options [optional fields] - kind source options
        let (before, after) = line.split_once(" - ")?;
        Some((before.split(' ').nth(4)?, after.split(' ').next()?))
    };
    let around = mounts.lines().filter_map(read).filter(|(at, _)| folder.starts_with(at));
    // Of two at one place, the later one hides the other.
    around.max_by_key(|(at, _)| Path::new(at).components().count())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::finding::Level;

    const MOUNTS: &str = "\
22 1 254:0 / / rw,relatime - ext4 /dev/vda rw
30 22 0:26 / /home rw shared:1 - ext4 /dev/vdb rw
31 22 0:27 / /work rw shared:2 - nfs4 server:/work rw
32 22 0:28 / /run rw - tmpfs tmpfs rw
33 22 0:29 / /home rw - lustre mgs:/home rw
";

    fn judged(folder: &str, exports: &str) -> (Level, String) {
        let found = judge(Path::new(folder), Path::new(folder), "Q", MOUNTS, exports);
        (found.level, found.message)
    }

    #[test]
    fn a_disk_of_this_host_alone_is_told() {
        let (level, message) = judged("/var/lib/me", "");
        assert_eq!(level, Level::Warning);
        assert_eq!(message, "/var/lib/me is on ext4 (/), which this host alone has: nodes of Q must see it too");
        assert_eq!(judged("/run/user/7", "").0, Level::Warning);
    }

    #[test]
    fn what_others_may_have_is_well() {
        assert_eq!(
            judged("/work/me", ""),
            (Level::Ok, "/work/me is on nfs4 (/work), which other hosts may have too".into())
        );
        assert_eq!(judged("/home/me", "").0, Level::Ok, "the later mount hides the other");
        let exported = judged("/var/lib/me", "/srv 10.0.0.0/8(rw)\n/var/lib\t10.0.0.0/8(rw,sync)\n");
        assert_eq!(exported, (Level::Ok, "/var/lib/me is on ext4 (/), which this host exports".into()));
    }
}
