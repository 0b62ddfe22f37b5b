//! A log that never makes its writer wait: lines go through a bounded queue to a thread of their own.
//!
//! That thread alone waits for a disk, a terminal or a pipe, holds back lines that repeat, and writes them.

use super::limit::LogLimit;
use super::lines::Lines;
use super::repeats::Repeats;
use std::collections::VecDeque;
use std::io;
use std::os::fd::RawFd;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Bytes that may wait to be written. Lines beyond are counted, as those that cannot be written are.
const WAITING_MAX: usize = 4 << 20;

/// How many lines of one kind are written before others are held back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weight {
    /// What a stranger can cause.
    Problem,
    /// What happens in the ordinary course of things, to each of a thousand engines, too.
    Notice,
}

impl Weight {
    fn most(self) -> u32 {
        match self {
            Weight::Problem => 5,
            Weight::Notice => 1000,
        }
    }
}

#[derive(Debug, Default)]
struct Queue {
    lines: VecDeque<(String, Weight)>,
    bytes: usize,
    /// Lines for which there was no room.
    lost: u64,
    /// From here on the file is kept within this bound.
    limit: Option<LogLimit>,
    /// Somebody waits until all is written, also what is held back.
    hurry: bool,
    /// All is written.
    idle: bool,
}

#[derive(Debug, Default)]
struct Shared {
    queue: Mutex<Queue>,
    changed: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The log of this process. Clones write to the same one.
#[derive(Debug, Clone)]
pub struct Log {
    shared: Arc<Shared>,
}

impl Log {
    /// Starts to write to `descriptor`, which stays open as long as this process runs.
    pub fn start(descriptor: RawFd) -> io::Result<Log> {
        let shared = Arc::new(Shared::default());
        let writer = Writer { shared: Arc::clone(&shared), lines: Lines::to(descriptor), repeats: Repeats::default() };
        std::thread::Builder::new().name("log".to_owned()).spawn(move || writer.run())?;
        Ok(Log { shared })
    }

    /// Keeps the file within this bound from here on, if it is one.
    pub fn set_limit(&self, limit: LogLimit) {
        self.shared.lock().limit = Some(limit);
        self.shared.changed.notify_all();
    }

    /// Writes a line, which ends like one, soon.
    pub fn line(&self, line: String, weight: Weight) {
        let mut queue = self.shared.lock();
        if queue.bytes + line.len() > WAITING_MAX {
            queue.lost += 1;
            return;
        }
        queue.bytes += line.len();
        queue.lines.push_back((line, weight));
        queue.idle = false;
        drop(queue);
        self.shared.changed.notify_all();
    }

    /// Waits until all is written, also what is held back, but not for longer than `timeout`.
    pub fn flush(&self, timeout: Duration) {
        let deadline = Instant::now() + timeout;
        let mut queue = self.shared.lock();
        (queue.hurry, queue.idle) = (true, false);
        self.shared.changed.notify_all();
        while !queue.idle {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            queue = self.shared.changed.wait_timeout(queue, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

/// What the thread works with.
struct Writer {
    shared: Arc<Shared>,
    lines: Lines,
    repeats: Repeats,
}

impl Writer {
    fn run(mut self) {
        block_all_signals();
        let start = Instant::now();
        loop {
            let mut queue = self.wait(start);
            let (lines, lost) = (std::mem::take(&mut queue.lines), std::mem::take(&mut queue.lost));
            let (limit, hurry) = (queue.limit.take(), std::mem::take(&mut queue.hurry));
            queue.bytes = 0;
            drop(queue);
            if let Some(limit) = limit {
                self.lines.set_limit(limit);
            }
            let now = start.elapsed();
            let mut ready = self.repeats.due(now);
            ready.extend(lines.into_iter().filter_map(|(line, weight)| self.repeats.line(line, weight.most(), now)));
            ready.extend((lost > 0).then(|| format!("{lost} lines were lost: they came too fast\n")));
            if hurry {
                ready.extend(self.repeats.rest());
            }
            ready.iter().for_each(|line| self.lines.write(line));
            let mut queue = self.shared.lock();
            queue.idle = queue.lines.is_empty() && !queue.hurry;
            drop(queue);
            self.shared.changed.notify_all();
        }
    }

    /// Waits until there is something to do.
    fn wait(&self, start: Instant) -> MutexGuard<'_, Queue> {
        let mut queue = self.shared.lock();
        loop {
            let due = self.repeats.next_due().map(|at| at.saturating_sub(start.elapsed()));
            if !queue.lines.is_empty() || queue.hurry || queue.limit.is_some() || due.is_some_and(|left| left.is_zero())
            {
                return queue;
            }
            queue = match due {
                Some(left) => self.shared.changed.wait_timeout(queue, left).unwrap_or_else(PoisonError::into_inner).0,
                None => self.shared.changed.wait(queue).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }
}

/// Signals are for other threads.
fn block_all_signals() {
    // SAFETY: the set is initialised by sigfillset before it is used.
    unsafe {
        let mut all: libc::sigset_t = std::mem::zeroed();
        libc::sigfillset(&raw mut all);
        libc::pthread_sigmask(libc::SIG_BLOCK, &raw const all, std::ptr::null_mut());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::os::fd::AsRawFd;

    const SOON: Duration = Duration::from_secs(10);

    #[test]
    fn a_reader_that_does_not_read_holds_nobody_up_and_learns_what_was_lost() {
        let (mut reader, writer) = io::pipe().expect("pipe");
        let log = Log::start(writer.as_raw_fd()).expect("start");
        let line = format!("{}\n", "x".repeat(9999));
        for _ in 0..2000 {
            log.line(line.clone(), Weight::Notice);
        }
        log.flush(Duration::ZERO);
        let read = std::thread::spawn(move || {
            let mut text = Vec::new();
            while !text.ends_with(b"they came too fast\n") {
                let mut piece = [0; 65536];
                let count = reader.read(&mut piece).expect("read");
                text.extend_from_slice(&piece[..count]);
            }
            String::from_utf8(text).expect("text")
        });
        log.flush(SOON);
        let text = read.join().expect("no panic");
        let written = text.lines().filter(|line| line.starts_with('x')).count();
        let lost: usize = text.lines().last().and_then(|line| line.split(' ').next()?.parse().ok()).expect("a number");
        // What repeats is held back only behind its first thousand.
        assert!(lost > 1000 && written + lost <= 2000, "{written} written, {lost} lost");
    }

    #[test]
    fn what_is_held_back_is_written_at_the_end() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let path = folder.path().join("log");
        let file = std::fs::File::create(&path).expect("create");
        let log = Log::start(file.as_raw_fd()).expect("start");
        for number in 0..100 {
            log.line(format!("rejected: {number}\n"), Weight::Problem);
        }
        log.flush(SOON);
        let text = std::fs::read_to_string(&path).expect("read");
        assert_eq!(text.lines().count(), 6);
        assert!(text.ends_with("rejected: 99 (… and 94 more like it in 1 s)\n"), "{text}");
    }
}
