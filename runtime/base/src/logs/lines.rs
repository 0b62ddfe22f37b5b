//! Writes lines to a descriptor. A line that cannot be written is counted, and said when writing works again.

use super::limit::LogLimit;
use super::rotation::OwnLog;
use crate::words::without_codes;
use std::io;
use std::os::fd::RawFd;
use std::time::Duration;

/// Writes lines to a descriptor that stays open as long as this process runs, such as 2.
#[derive(Debug)]
pub struct Lines {
    descriptor: RawFd,
    /// How long a pipe or a terminal may take; none: for ever.
    patience: Option<Duration>,
    bounded: Option<(OwnLog, LogLimit)>,
    /// Bytes until the file's length is looked at.
    until_look: u64,
    /// How many lines could not be written since writing last worked; none: it works.
    lost: Option<u64>,
    why: String,
    /// The last line was written in part.
    torn: bool,
}

impl Lines {
    /// Of a terminal, a pipe, or a file that somebody else keeps within its bound.
    pub fn to(descriptor: RawFd) -> Self {
        let (patience, bounded) = (None, None);
        Lines { descriptor, patience, bounded, until_look: 0, lost: None, why: String::new(), torn: false }
    }

    /// The same, but a line for which there is no room in a pipe or terminal for so long is lost.
    pub fn with_patience(descriptor: RawFd, patience: Duration) -> Self {
        Lines { patience: Some(patience), ..Lines::to(descriptor) }
    }

    /// Keeps the file that is open now within this bound from here on, if it is one.
    pub fn set_limit(&mut self, limit: LogLimit) {
        self.bounded = OwnLog::of(self.descriptor).map(|log| (log, limit));
        self.until_look = 0;
    }

    /// Writes to another descriptor from here on, which is that of the same file.
    pub fn set_descriptor(&mut self, descriptor: RawFd) {
        self.descriptor = descriptor;
    }

    /// Writes `text`, whole lines or the beginning of one.
    pub fn write(&mut self, text: impl AsRef<[u8]>) {
        let text = text.as_ref();
        if let Some(lost) = self.lost {
            let begin = if self.torn { "\n" } else { "" };
            let note = format!("{begin}{} lost: {}\n", lines_were(lost.max(1)), self.why);
            if self.put(note.as_bytes()).is_err() {
                self.lost = Some(lost + lines_of(text));
                return;
            }
            (self.lost, self.torn) = (None, false);
        }
        if let Err(error) = self.put(text) {
            self.lost = Some(lines_of(text));
            self.why = without_codes(&error.to_string());
        }
        self.look(text.len() as u64);
    }

    /// Writes all of it, unless that fails.
    fn put(&mut self, text: &[u8]) -> io::Result<()> {
        let mut rest = text;
        while !rest.is_empty() {
            let most = if self.patience.is_some() { rest.len().min(libc::PIPE_BUF) } else { rest.len() };
            if !self.has_room() {
                self.torn |= rest.len() < text.len();
                return Err(io::Error::other("nobody reads them"));
            }
            // SAFETY: the buffer is valid for its length; a descriptor that is not open gives EBADF.
            let written = unsafe { libc::write(self.descriptor, rest.as_ptr().cast(), most) };
            match usize::try_from(written) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => rest = &rest[count..],
                Err(_) => {
                    let error = io::Error::last_os_error();
                    if error.kind() == io::ErrorKind::Interrupted {
                        continue;
                    }
                    self.torn |= rest.len() < text.len();
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    /// Whether `PIPE_BUF` bytes can be written at once, or an error be had. Once there was none, it is not waited for.
    fn has_room(&self) -> bool {
        let Some(patience) = self.patience else { return true };
        let milliseconds =
            if self.lost.is_some() { 0 } else { i32::try_from(patience.as_millis()).unwrap_or(i32::MAX) };
        let mut entry = libc::pollfd { fd: self.descriptor, events: libc::POLLOUT, revents: 0 };
        // SAFETY: entry is one valid pollfd.
        unsafe { libc::poll(&raw mut entry, 1, milliseconds) != 0 }
    }

    /// Looks at the file's length now and then. Where that fails, the next look tries again.
    fn look(&mut self, written: u64) {
        let Some((log, limit)) = &self.bounded else { return };
        self.until_look = self.until_look.saturating_sub(written);
        if self.until_look == 0 {
            self.until_look = limit.bytes / 16;
            let _ = log.keep_within(*limit);
        }
    }
}

/// How many lines end in a text.
fn lines_of(text: &[u8]) -> u64 {
    text.iter().filter(|byte| **byte == b'\n').count() as u64
}

fn lines_were(count: u64) -> String {
    if count == 1 { "1 line was".to_owned() } else { format!("{count} lines were") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logs::part;
    use std::fs::{self, File};
    use std::os::fd::AsRawFd;

    #[test]
    fn what_cannot_be_written_is_counted_and_said_when_it_works_again() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let full = File::options().write(true).open("/dev/full").expect("/dev/full");
        let path = folder.path().join("log");
        let file = File::create(&path).expect("create");
        let mut lines = Lines::to(full.as_raw_fd());
        (0..3).for_each(|_| lines.write("lost\n"));
        assert_eq!(lines.lost, Some(3));
        lines.descriptor = file.as_raw_fd();
        lines.write("kept\n");
        lines.write("kept too\n");
        let text = fs::read_to_string(&path).expect("read");
        assert_eq!(text, "3 lines were lost: No space left on device\nkept\nkept too\n");
    }

    #[test]
    fn a_closed_descriptor_and_a_broken_pipe_lose_lines_and_nothing_else() {
        let (reader, writer) = io::pipe().expect("pipe");
        drop(reader);
        let mut broken = Lines::to(writer.as_raw_fd());
        broken.write("one\n");
        let mut closed = Lines::to(1 << 20);
        closed.write("one\n");
        assert_eq!((broken.lost, closed.lost), (Some(1), Some(1)));
        assert_eq!((&*broken.why, &*closed.why), ("Broken pipe", "Bad file descriptor"));
    }

    #[test]
    fn a_pipe_that_nobody_reads_is_not_waited_for_again_and_again() {
        let (_reader, writer) = io::pipe().expect("pipe");
        let mut lines = Lines::with_patience(writer.as_raw_fd(), Duration::from_millis(10));
        let begin = std::time::Instant::now();
        (0..2000).for_each(|_| lines.write(format!("{}\n", "x".repeat(999))));
        assert!(lines.lost > Some(1900) && begin.elapsed() < Duration::from_secs(5), "{:?} lost", lines.lost);
    }

    #[test]
    fn its_file_stays_within_the_bound() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let path = folder.path().join("x.log");
        let file = File::options().append(true).create(true).open(&path).expect("create");
        let mut lines = Lines::to(file.as_raw_fd());
        lines.set_limit(LogLimit { bytes: 10_000, files: 2 });
        for number in 0..10_000 {
            lines.write(format!("line {number}\n"));
        }
        let sizes: Vec<u64> = fs::read_dir(folder.path())
            .expect("list")
            .map(|entry| entry.expect("entry").metadata().expect("stat").len())
            .collect();
        assert!(sizes.len() == 3 && sizes.iter().all(|size| *size < 11_000), "{sizes:?}");
        let last = [part(&path, 1), path].map(|path| fs::read_to_string(path).expect("read")).concat();
        let numbers: Vec<u32> = last.lines().filter_map(|line| line.strip_prefix("line ")?.parse().ok()).collect();
        assert!(numbers.last() == Some(&9999) && numbers.is_sorted() && numbers.len() > 500, "{}", numbers.len());
        assert!(numbers.windows(2).all(|pair| pair[0] + 1 == pair[1]), "none is missing between the parts");
    }
}
