//! Keeps a log within its bound: beyond it, its content goes to `FILE.1`, and the file begins anew.
//!
//! The file itself stays, because others hold it open: engines, their children, mpiexec, a queue. They write at its end,
//! wherever that is (O_APPEND). Several processes may look at one log at the same time; the file's lock lets one of them act.

use super::limit::LogLimit;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::fd::{BorrowedFd, RawFd};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// An earlier part of a log: 1 is the latest.
pub fn part(log: &Path, number: u32) -> PathBuf {
    let mut name = log.as_os_str().to_owned();
    name.push(format!(".{number}"));
    PathBuf::from(name)
}

/// The regular file of this user that is behind one of this process's descriptors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnLog {
    path: PathBuf,
    identity: (u64, u64),
}

impl OwnLog {
    /// That of `descriptor`, if it is such a file and has a name. What is written there is put at its end from here on.
    pub fn of(descriptor: RawFd) -> Option<Self> {
        // SAFETY: fcntl on any number is harmless: one that is not open gives EBADF.
        let flags = unsafe { libc::fcntl(descriptor, libc::F_GETFL) };
        if flags < 0 {
            return None;
        }
        // SAFETY: the descriptor is open, as was just found out, and is only looked at.
        let open =
            File::from(unsafe { BorrowedFd::borrow_raw(descriptor) }.try_clone_to_owned().ok()?).metadata().ok()?;
        // SAFETY: geteuid cannot fail and touches no memory.
        let ours = open.is_file() && open.uid() == unsafe { libc::geteuid() };
        let path = fs::read_link(format!("/proc/self/fd/{descriptor}")).ok().filter(|_| ours)?;
        let log = OwnLog { path, identity: (open.dev(), open.ino()) };
        if !log.is_there() {
            return None;
        }
        if flags & libc::O_APPEND == 0 {
            // Otherwise the next write would leave a hole as large as what was there before.
            // SAFETY: as above.
            unsafe { libc::fcntl(descriptor, libc::F_SETFL, flags | libc::O_APPEND) };
        }
        Some(log)
    }

    /// Whether the name still is that of the file.
    fn is_there(&self) -> bool {
        fs::symlink_metadata(&self.path).is_ok_and(|there| (there.dev(), there.ino()) == self.identity)
    }

    /// See [`keep_within`].
    pub fn keep_within(&self, limit: LogLimit) -> io::Result<bool> {
        if self.is_there() { keep_within(&self.path, limit) } else { Ok(false) }
    }
}

/// Begins the log anew if it is longer than `limit` allows; true if it was.
pub fn keep_within(log: &Path, limit: LogLimit) -> io::Result<bool> {
    let is_long = |metadata: &fs::Metadata| metadata.is_file() && metadata.len() > limit.bytes;
    if !is_long(&fs::symlink_metadata(log)?) {
        return Ok(false);
    }
    let mut file =
        OpenOptions::new().read(true).write(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(log)?;
    if file.try_lock().is_err() || !is_long(&file.metadata()?) {
        return Ok(false);
    }
    // Without room for a copy its content is lost: that makes room.
    let kept = keep_end(&mut file, log, limit);
    file.set_len(0)?;
    // A child that is being started may have this file open for a moment longer.
    file.unlock()?;
    kept.map(|()| true)
}

/// Copies the end of the log to `FILE.1`; a part may be a little longer than the bound, as the log itself may.
fn keep_end(file: &mut File, log: &Path, limit: LogLimit) -> io::Result<()> {
    let Some(last) = limit.files.checked_sub(1) else { return Ok(()) };
    for number in (1..=last).rev() {
        match fs::rename(part(log, number), part(log, number + 1)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    let latest = part(log, 1);
    // Not into what somebody else has put there.
    let _ = fs::remove_file(&latest);
    let mut copy = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&latest)?;
    let copied = copy_end(file, &mut copy, limit.bytes.saturating_add(limit.bytes / 4));
    if copied.is_err() {
        let _ = fs::remove_file(&latest);
    }
    copied
}

/// Copies the last `most` bytes, from the beginning of a line on.
fn copy_end(file: &mut File, copy: &mut File, most: u64) -> io::Result<()> {
    let length = file.metadata()?.len();
    let mut skipped = length.saturating_sub(most);
    file.seek(SeekFrom::Start(skipped))?;
    if skipped > 0 {
        let mut begin = vec![0; 4096];
        let read = file.read(&mut begin)?;
        let line = begin[..read].iter().position(|byte| *byte == b'\n').map_or(0, |end| end as u64 + 1);
        skipped += line;
        file.seek(SeekFrom::Start(skipped))?;
        writeln!(copy, "[{skipped} bytes were left out: they came too fast]")?;
    }
    // Others may go on writing meanwhile.
    io::copy(&mut file.take(most), copy).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsRawFd;

    fn limit(bytes: u64, files: u32) -> LogLimit {
        LogLimit { bytes, files }
    }

    #[test]
    fn parts_move_up_and_the_oldest_goes() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let log = folder.path().join("engine-0.log");
        for text in ["line 1\n", "line 2\n", "line 3\n", "line 4\n"] {
            fs::write(&log, text).expect("write");
            assert!(keep_within(&log, limit(6, 2)).expect("keep"));
            assert_eq!(fs::metadata(&log).expect("stat").len(), 0);
        }
        let read = |number| fs::read_to_string(part(&log, number)).ok();
        let kept = ["line 4\n", "line 3\n"].map(str::to_owned);
        assert_eq!([read(1), read(2), read(3)], [Some(kept[0].clone()), Some(kept[1].clone()), None]);
        fs::write(&log, "ab").expect("write");
        assert!(!keep_within(&log, limit(6, 2)).expect("keep"));
    }

    #[test]
    fn of_a_flood_the_end_is_kept_from_the_beginning_of_a_line() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let log = folder.path().join("engine-0.log");
        fs::write(&log, (0..1000).map(|number| format!("{number}\n")).collect::<String>()).expect("write");
        assert!(keep_within(&log, limit(10, 1)).expect("keep"));
        let kept = fs::read_to_string(part(&log, 1)).expect("read");
        assert_eq!(kept, "[3882 bytes were left out: they came too fast]\n998\n999\n");
        fs::write(&log, "more than nothing").expect("write");
        assert!(keep_within(&log, limit(1, 0)).expect("keep"));
        assert_eq!((fs::metadata(&log).expect("stat").len(), part(&log, 1).exists()), (0, true), "no part is made");
    }

    #[test]
    fn who_holds_the_file_open_writes_at_its_new_beginning() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let log = folder.path().join("job-0.log");
        // Opened without O_APPEND, as by a shell's `>`.
        let mut file = File::create(&log).expect("create");
        file.write_all(b"before\n").expect("write");
        let own = OwnLog::of(file.as_raw_fd()).expect("a log");
        assert!(own.keep_within(limit(1, 1)).expect("keep"));
        file.write_all(b"after\n").expect("write");
        assert_eq!(fs::read(&log).expect("read"), b"after\n");
        fs::remove_file(&log).expect("remove");
        fs::write(&log, "of somebody else").expect("write");
        assert!(!own.keep_within(limit(1, 1)).expect("keep"), "another file of that name");
    }

    #[test]
    fn what_is_no_log_of_ours_is_left_alone() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let log = folder.path().join("gone.log");
        let file = File::create(&log).expect("create");
        fs::remove_file(&log).expect("remove");
        let null = File::options().write(true).open("/dev/null").expect("open");
        for descriptor in [file.as_raw_fd(), null.as_raw_fd(), 1 << 20] {
            assert_eq!(OwnLog::of(descriptor), None);
        }
        std::os::unix::fs::symlink("/etc/passwd", &log).expect("link");
        assert!(!keep_within(&log, limit(1, 1)).expect("a link is not followed"));
    }

    #[test]
    fn only_one_of_several_acts() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let log = folder.path().join("set-0.log");
        fs::write(&log, "much").expect("write");
        let other = File::open(&log).expect("open");
        other.lock().expect("lock");
        assert!(!keep_within(&log, limit(1, 1)).expect("keep"));
        drop(other);
        assert!(keep_within(&log, limit(1, 1)).expect("keep"));
    }
}
