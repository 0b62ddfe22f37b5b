//! The process of a fork server, and a thread that reads what it reports.
//!
//! It ends with the launcher by the kernel's hand, and its engines with it in the same way.

use super::orders::{Report, Reports};
use crate::contract::Wake;
use ipclusterz_host::identity::ProcessIdentity;
use ipclusterz_host::spawn::{ChildOptions, ChildProcess};
use ipclusterz_host::system;
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::net::UnixStream;
use std::process::{Command, ExitStatus};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// How long a server may take to take orders: it does nothing else, and has room for thousands that it has not read.
const ORDER_PATIENCE: Duration = Duration::from_secs(5);
/// How long the kernel may take to act on SIGKILL.
const KILL_PATIENCE: Duration = Duration::from_secs(2);

/// A fork server that runs, or has ended and has not been reaped.
pub struct ForkServer {
    child: ChildProcess,
    socket: UnixStream,
    reports: Arc<Mutex<Vec<Report>>>,
    reader: Option<JoinHandle<()>>,
}

impl ForkServer {
    /// Starts `command`, to which the option is added by which the server finds its orders.
    pub fn start(command: impl FnOnce([String; 2]) -> Command, wake: Wake) -> io::Result<Self> {
        let (socket, there) = UnixStream::pair()?;
        socket.set_write_timeout(Some(ORDER_PATIENCE))?;
        // As many digits as the id of an engine may have: forks write their own command line over the server's.
        let command = command(["--fork-orders".to_owned(), format!("{:08}", there.as_raw_fd())]);
        let options = ChildOptions { signal_at_launcher_end: libc::SIGKILL, raise_file_limit: false };
        let child = ChildProcess::start_with(command, options, there.as_fd())?;
        let reports = Arc::default();
        let (stream, taken) = (socket.try_clone()?, Arc::clone(&reports));
        let read = move || read(stream, &taken, &wake);
        let reader = std::thread::Builder::new().name("fork-reports".to_owned()).spawn(read)?;
        Ok(Self { child, socket, reports, reader: Some(reader) })
    }

    /// Its process.
    pub fn identity(&self) -> ProcessIdentity {
        self.child.identity()
    }

    /// Gives it orders. One that does not take them is killed, and cannot be trusted with others.
    pub fn order(&mut self, orders: &[u8]) {
        if self.socket.write_all(orders).is_err() {
            self.child.signal_group(libc::SIGKILL);
        }
    }

    /// Continues it if somebody has stopped it: it could not report what ends.
    pub fn go_on(&self) {
        self.child.signal_group(libc::SIGCONT);
    }

    /// What it has reported since the last call.
    pub fn reports(&self) -> Vec<Report> {
        std::mem::take(&mut *self.reports.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// How it has ended; `None` while it runs. All that it reported before is there then.
    pub fn reap(&mut self) -> io::Result<Option<ExitStatus>> {
        let status = self.child.reap()?;
        if status.is_some() {
            self.end_reader();
        }
        Ok(status)
    }

    /// What has been sent can still be read.
    fn end_reader(&mut self) {
        let _ = self.socket.shutdown(Shutdown::Both);
        if let Some(reader) = self.reader.take() {
            // A panic of the thread was printed when it happened.
            let _ = reader.join();
        }
    }
}

impl Drop for ForkServer {
    fn drop(&mut self) {
        if self.reader.is_some() {
            self.child.signal_group(libc::SIGKILL);
            let _ = system::wait_for_end(self.identity().pid, KILL_PATIENCE);
            let _ = self.child.reap();
            self.end_reader();
        }
    }
}

/// Reads reports until the server has ended.
fn read(mut stream: UnixStream, taken: &Mutex<Vec<Report>>, wake: &Wake) {
    let (mut reports, mut bytes) = (Reports::default(), [0; 4096]);
    loop {
        let found = match stream.read(&mut bytes) {
            Ok(0) => return,
            Ok(length) => reports.read(&bytes[..length]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(_) => return,
        };
        if !found.is_empty() {
            taken.lock().unwrap_or_else(PoisonError::into_inner).extend(found);
            wake();
        }
    }
}
