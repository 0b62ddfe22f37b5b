//! What is written to descriptors 1 and 2 of this process: by programs that a task starts, and by code in C and Fortran.
//!
//! Both are pipes. What comes through them goes to the log, and to the client of the task that runs. A thread reads them, so
//! that it is seen at once; whoever prints or ends a task reads them too, before, so that its order is right and nothing comes
//! late. It needs no interpreter: C code that holds that, and writes, is read all the same.
//!
//! Programs that a task has left behind keep its pipes. The next task has others, and what still comes through the first goes to
//! the log alone. Where nothing was started, which the kernel says, the pipes stay.

use super::buffers::line_by_line;
use super::descriptors::{ReadEnd, check, inode, keep_last_words, lead, set_waiting};
use crate::wire::message::Stream;
use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::time::{Duration, Instant};

/// So much is read at once: what a pipe can hold.
const CHUNK: usize = 64 << 10;
/// Pipes may be made larger. More than this is left for the next look.
const CHUNKS: usize = 16;
/// So many pipes of former tasks are read.
const LEFT_MAX: usize = 240;
/// No character has more bytes.
const CHARACTER: usize = 4;
/// How soon waiting is tried again that has failed.
const AGAIN: Duration = Duration::from_millis(50);
/// A task that took less time than this has started no process: the kernel alone takes longer for that.
const QUICK: Duration = Duration::from_micros(50);
/// What was looked at so short a time ago is not looked at again behind a quick task.
const RECENT: Duration = Duration::from_micros(500);
const STREAMS: [Stream; 2] = [Stream::Stdout, Stream::Stderr];

/// Text for the log: whether it is of standard error, and what it is.
pub(super) type Logged = (bool, Vec<u8>);

/// The pipes behind descriptors 1 and 2.
#[derive(Debug)]
pub(super) struct Capture {
    logs: [OwnedFd; 2],
    epoll: OwnedFd,
    /// None: nothing is read, or user code has put something else there.
    current: [Option<ReadEnd>; 2],
    left: Vec<ReadEnd>,
    /// The beginning of a character whose rest is to come.
    begun: [Vec<u8>; 2],
    unlogged: Vec<Logged>,
    /// What children that have ended have used, as the kernel counts.
    children: [i64; 4],
    buffer: Vec<u8>,
    /// When all was looked at that a task must not have of others, and when the last one began and ended.
    looked: Instant,
    began: Instant,
    ended: Instant,
}

impl Capture {
    /// From here on they are pipes. `wakes` is polled, too.
    pub fn start(wakes: RawFd) -> io::Result<Capture> {
        let now = Instant::now();
        let logs = [io::stdout().as_fd().try_clone_to_owned()?, io::stderr().as_fd().try_clone_to_owned()?];
        // SAFETY: no memory involved; the descriptor is checked, and owned here.
        let epoll = unsafe { OwnedFd::from_raw_fd(check(libc::epoll_create1(libc::EPOLL_CLOEXEC))?) };
        let mut capture = Capture {
            logs,
            epoll,
            current: [None, None],
            left: vec![],
            begun: [vec![], vec![]],
            unlogged: vec![],
            children: of_children(),
            buffer: vec![0; CHUNK],
            looked: now,
            began: now,
            ended: now,
        };
        capture.follow(wakes)?;
        if let Err(error) = (0..2).try_for_each(|which| capture.open(which)) {
            capture.stop();
            return Err(error);
        }
        keep_last_words(capture.logs());
        line_by_line();
        Ok(capture)
    }

    /// Where descriptors 1 and 2 led.
    pub fn logs(&self) -> [RawFd; 2] {
        [self.logs[0].as_raw_fd(), self.logs[1].as_raw_fd()]
    }

    /// To be waited for by the thread that reads.
    pub fn epoll(&self) -> RawFd {
        self.epoll.as_raw_fd()
    }

    /// What is to be written to the log.
    pub fn take_unlogged(&mut self) -> Vec<Logged> {
        std::mem::take(&mut self.unlogged)
    }

    /// Whether something is to be written to the log.
    pub fn is_unlogged(&self) -> bool {
        !self.unlogged.is_empty()
    }

    /// What was written since the last look, as text: by the running task's processes and code, or between tasks.
    pub fn take(&mut self) -> Vec<(Stream, String)> {
        let mut taken = Vec::new();
        for which in self.ready() {
            let bytes = self.read(which);
            if !bytes.is_empty() {
                taken.push((STREAMS[which], self.text(which, &bytes)));
                self.log(which, bytes);
            }
        }
        taken
    }

    /// What was written by what former tasks have left behind; it goes to the log.
    pub fn take_left(&mut self) {
        set_waiting(true);
        for pipe in std::mem::take(&mut self.left) {
            let count = pipe.read(&mut self.buffer);
            if let Ok(count @ 1..) = count {
                let bytes = self.buffer[..count].to_vec();
                self.log(pipe.which, bytes);
            }
            if !matches!(count, Ok(0)) {
                self.left.push(pipe);
            }
        }
    }

    /// A task begins: what stands in the pipes is not its own, nor what comes from processes that are there already.
    pub fn begin(&mut self) {
        let now = Instant::now();
        let was_quick = self.ended.saturating_duration_since(self.began) < QUICK;
        self.began = now;
        if was_quick && now.saturating_duration_since(self.looked) < RECENT {
            return;
        }
        self.looked = now;
        // For the log alone.
        drop(self.take());
        drop(self.end());
        if self.may_be_shared() {
            (0..2).for_each(|which| self.renew(which));
        }
    }

    /// A task ends: the beginning of a character will have no rest.
    pub fn end(&mut self) -> Vec<(Stream, String)> {
        self.ended = Instant::now();
        let ends = STREAMS.into_iter().zip(&mut self.begun).filter(|(_, begun)| !begun.is_empty());
        ends.map(|(stream, begun)| (stream, String::from_utf8_lossy(&std::mem::take(begun)).into_owned())).collect()
    }

    /// Both lead to the log again. What still comes through the pipes is read all the same.
    pub fn stop(&mut self) {
        (0..2).for_each(|which| self.leave(which));
    }

    // -- inside -------------------------------------------------------------------------------------------------

    /// Those that have something to be read, or no writer any more.
    fn ready(&self) -> impl Iterator<Item = usize> + use<> {
        let entry = |pipe: &Option<ReadEnd>| {
            let fd = pipe.as_ref().map_or(-1, ReadEnd::fd);
            libc::pollfd { fd, events: libc::POLLIN, revents: 0 }
        };
        let [output, errors] = &self.current;
        let mut entries = [entry(output), entry(errors)];
        // SAFETY: these are two valid entries; one that is negative is passed over.
        unsafe { libc::poll(entries.as_mut_ptr(), 2, 0) };
        (0..2).filter(move |which| entries[*which].revents != 0)
    }

    fn read(&mut self, which: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        // Before it is read: the process may end at any moment.
        set_waiting(true);
        for _ in 0..CHUNKS {
            let Some(pipe) = &self.current[which] else { break };
            match pipe.read(&mut self.buffer) {
                // User code has closed the descriptor.
                Ok(0) => self.current[which] = None,
                Ok(count) => {
                    bytes.extend_from_slice(&self.buffer[..count]);
                    if count < CHUNK {
                        break;
                    }
                }
                Err(_) => break,
            }
        }
        bytes
    }

    fn log(&mut self, which: usize, bytes: Vec<u8>) {
        self.unlogged.push((which == 1, bytes));
    }

    /// Bytes as text. The beginning of a character at their end waits for its rest.
    fn text(&mut self, which: usize, bytes: &[u8]) -> String {
        let mut all = std::mem::take(&mut self.begun[which]);
        all.extend_from_slice(bytes);
        let whole = all.len() - unfinished(&all);
        self.begun[which] = all.split_off(whole);
        String::from_utf8(all).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
    }

    /// Whether a process that was started since the last look may have the pipes.
    fn may_be_shared(&mut self) -> bool {
        let used = of_children();
        let changed = self.children != used;
        self.children = used;
        changed || self.current.iter().any(Option::is_none) || has_children()
    }

    /// Has the descriptor be another pipe, unless nobody else has the one that it is.
    fn renew(&mut self, which: usize) {
        let descriptor = RawFd::try_from(which + 1).unwrap_or(-1);
        // What user code has put there stays.
        let is_ours = self.is_ours(descriptor);
        let before = self.current[which].take();
        // Its end, if it comes to that now, is nothing to wake the thread for.
        before.iter().for_each(|pipe| self.unfollow(pipe.fd()));
        if is_ours && self.open(which).is_err() {
            // There are too many files. What is written goes to the log, as it would without pipes.
            let _ = lead(which, self.logs[which].as_raw_fd());
        }
        self.leave_pipe(before);
    }

    /// Whether a descriptor is a pipe of ours, or the log.
    fn is_ours(&self, descriptor: RawFd) -> bool {
        let Some(found) = inode(descriptor) else { return false };
        let mut pipes = self.current.iter().flatten().chain(&self.left);
        pipes.any(|pipe| pipe.inode == found) || self.logs().iter().any(|log| inode(*log) == Some(found))
    }

    fn open(&mut self, which: usize) -> io::Result<()> {
        if self.left.len() >= LEFT_MAX {
            return Err(io::Error::other("too many programs still run"));
        }
        let (reader, writer) = ReadEnd::pipe(which)?;
        self.follow(reader.fd())?;
        lead(which, writer.as_raw_fd())?;
        self.current[which] = Some(reader);
        Ok(())
    }

    fn leave(&mut self, which: usize) {
        let before = self.current[which].take();
        before.iter().for_each(|pipe| self.unfollow(pipe.fd()));
        if let Some(pipe) = &before
            && RawFd::try_from(which + 1).ok().and_then(inode) == Some(pipe.inode)
        {
            let _ = lead(which, self.logs[which].as_raw_fd());
        }
        self.leave_pipe(before);
    }

    fn leave_pipe(&mut self, pipe: Option<ReadEnd>) {
        self.left.extend(pipe.filter(|pipe| pipe.is_open() && self.follow(pipe.fd()).is_ok()));
    }

    fn follow(&self, descriptor: RawFd) -> io::Result<()> {
        let mut event = libc::epoll_event { events: libc::EPOLLIN as u32, u64: 0 };
        // SAFETY: the event is valid; a descriptor that is not open gives EBADF.
        check(unsafe { libc::epoll_ctl(self.epoll(), libc::EPOLL_CTL_ADD, descriptor, &raw mut event) }).map(drop)
    }

    fn unfollow(&self, descriptor: RawFd) {
        // SAFETY: a descriptor that is not open, or not waited for, gives an error.
        unsafe { libc::epoll_ctl(self.epoll(), libc::EPOLL_CTL_DEL, descriptor, std::ptr::null_mut()) };
    }
}

/// Waits until there is something to be read.
pub(super) fn wait(epoll: RawFd) {
    let mut event = libc::epoll_event { events: 0, u64: 0 };
    // SAFETY: there is room for one event.
    if unsafe { libc::epoll_wait(epoll, &raw mut event, 1, -1) } < 0 {
        // User code has closed what is not its own, and will soon see what that means.
        std::thread::sleep(AGAIN);
    }
}

/// Whether this process has children, alive or not waited for yet.
fn has_children() -> bool {
    // SAFETY: the structure is plain numbers, which waitid fills in.
    unsafe {
        let mut info: libc::siginfo_t = std::mem::zeroed();
        libc::waitid(libc::P_ALL, 0, &raw mut info, libc::WEXITED | libc::WNOHANG | libc::WNOWAIT) == 0
    }
}

/// What changes with each child that has ended and was waited for.
fn of_children() -> [i64; 4] {
    // SAFETY: the structure is plain numbers, which getrusage fills in.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        libc::getrusage(libc::RUSAGE_CHILDREN, &raw mut usage);
        usage
    };
    [usage.ru_minflt, usage.ru_nvcsw, usage.ru_nivcsw, usage.ru_majflt]
}

/// How many bytes at the end are the beginning of a character.
fn unfinished(bytes: &[u8]) -> usize {
    let tail = &bytes[bytes.len() - bytes.len().min(CHARACTER - 1)..];
    (1..=tail.len()).rev().find(|count| begins(&tail[tail.len() - count..])).unwrap_or(0)
}

/// Whether these bytes are the beginning of one character, and not all of it.
fn begins(bytes: &[u8]) -> bool {
    matches!(std::str::from_utf8(bytes), Err(error) if error.valid_up_to() == 0 && error.error_len().is_none())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_beginning_of_a_character_is_seen() {
        let text = "aü€😀".as_bytes();
        let found: Vec<usize> = (0..=text.len()).map(|end| unfinished(&text[..end])).collect();
        assert_eq!(found, [0, 0, 1, 0, 1, 2, 0, 1, 2, 3, 0]);
        assert_eq!([&b"\xff"[..], b"\x80\x80", b"a\xe2\x28"].map(unfinished), [0, 0, 0], "no text at all");
    }

    proptest! {
        /// However bytes are cut, their text is that of the whole.
        #[test]
        fn text_in_pieces_is_the_text(text in ".{0,40}", cuts in proptest::collection::vec(0..160_usize, 0..6)) {
            let bytes = text.as_bytes();
            let mut places: Vec<usize> = cuts.into_iter().map(|cut| cut.min(bytes.len())).chain([0, bytes.len()]).collect();
            places.sort_unstable();
            let (mut begun, mut read) = (Vec::new(), String::new());
            for pair in places.windows(2) {
                begun.extend_from_slice(&bytes[pair[0]..pair[1]]);
                let rest = begun.split_off(begun.len() - unfinished(&begun));
                read += std::str::from_utf8(&begun).expect("whole characters");
                begun = rest;
            }
            prop_assert_eq!((read, begun.len()), (text, 0));
        }
    }
}
