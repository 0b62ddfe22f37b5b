//! A thread that gives memory back.
//!
//! The kernel frees the pages of a large segment at the last `munmap` or `unlink`: 10 ms for 64 MiB. Neither the
//! controller's loop nor user code should wait for that.

use std::sync::OnceLock;
use std::sync::mpsc::{Sender, channel};

type Job = Box<dyn FnOnce() + Send>;

/// The thread's queue, and the process that it is a thread of: a fork has the queue without the thread.
static REAPER: OnceLock<(u32, Sender<Job>)> = OnceLock::new();

/// Does `job` soon, in another thread; here and now where there is none.
pub fn later(job: impl FnOnce() + Send + 'static) {
    let (pid, queue) = REAPER.get_or_init(start);
    let job: Job = Box::new(job);
    if *pid != crate::system::process_id() {
        return job();
    }
    // The thread could not be started: then its end of the queue is gone, and the job comes back.
    if let Err(back) = queue.send(job) {
        back.0();
    }
}

/// Starts the thread, unless there is one.
pub fn begin() {
    REAPER.get_or_init(start);
}

/// Waits until everything handed over before is done.
pub fn finish() {
    let (done, wait) = channel();
    later(move || drop(done));
    // An error is what is waited for: the other end is gone.
    let _ = wait.recv() as Result<(), _>;
}

fn start() -> (u32, Sender<Job>) {
    let (queue, jobs) = channel::<Job>();
    let work = move || {
        crate::system::block_all_signals();
        jobs.iter().for_each(|job| job());
    };
    let started = std::thread::Builder::new().name("ipclusterz-free".to_owned()).spawn(work);
    if let Err(error) = started {
        tracing::warn!("no thread to free memory in: {error}");
    }
    (crate::system::process_id(), queue)
}
