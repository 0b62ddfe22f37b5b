//! Keeps the logs of a running cluster within their bound, whoever writes them: engines, mpiexec, the jobs of a queue.

use ipclusterz_base::logs::LogLimit;
use ipclusterz_launchers::cluster::logs::LogFolder;
use std::io;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

/// The time between two looks.
const LOOK: Duration = Duration::from_secs(1);
/// The same when the last look has cut a log.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// Looks at the logs until it is dropped.
pub struct LogWatch {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl LogWatch {
    /// Starts to look.
    pub fn start(logs: LogFolder, limit: LogLimit) -> io::Result<Self> {
        let (stop, stopped) = channel();
        let thread =
            std::thread::Builder::new().name("logs".to_owned()).spawn(move || watch(&logs, limit, &stopped))?;
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for LogWatch {
    /// From here on nobody makes a file in the folder of logs.
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic of that thread was printed when it happened.
            let _ = thread.join();
        }
    }
}

fn watch(logs: &LogFolder, limit: LogLimit, stopped: &Receiver<()>) {
    let mut pause = LOOK;
    while stopped.recv_timeout(pause) == Err(RecvTimeoutError::Timeout) {
        pause = if logs.keep_within(limit) { LOOK_AGAIN } else { LOOK };
    }
}
