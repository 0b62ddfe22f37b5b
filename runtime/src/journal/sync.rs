//! A thread that brings what was written to the disk, one `fdatasync` after the other while somebody waits for that.

use super::faults;
use super::spilled::Copy;
use crate::system::block_all_signals;
use crate::transport::wake::Waker;
use std::fs::File;
use std::io;
use std::os::fd::RawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};

/// What the thread is asked for: this file is to be on disk, as it is now, which is position `until` of the journal.
struct Request {
    file: Arc<File>,
    until: u64,
    /// These, too, and copies of segments.
    others: Vec<Arc<File>>,
    copies: Vec<Copy>,
}

/// The thread's other end.
#[derive(Debug)]
pub struct Syncer {
    requests: Sender<Request>,
    shared: Arc<Shared>,
    asked: u64,
}

#[derive(Debug)]
struct Shared {
    synced: AtomicU64,
    failed: AtomicU64,
    waker: Waker,
}

impl Syncer {
    /// Starts the thread. Positions up to `synced` are on disk.
    pub fn start(synced: u64) -> io::Result<Syncer> {
        let (requests, receiver) = channel();
        let shared =
            Arc::new(Shared { synced: AtomicU64::new(synced), failed: AtomicU64::new(0), waker: Waker::new()? });
        let its = Arc::clone(&shared);
        std::thread::Builder::new().name("ipclusterz-sync".to_owned()).spawn(move || serve(&receiver, &its))?;
        Ok(Syncer { requests, shared, asked: synced })
    }

    /// Somebody waits until `until` is on disk.
    pub fn ask(&mut self, file: &Arc<File>, until: u64, others: Vec<Arc<File>>, copies: Vec<Copy>) {
        if until > self.asked || !others.is_empty() || !copies.is_empty() {
            self.asked = until;
            // It lives as long as this end.
            let _ = self.requests.send(Request { file: Arc::clone(file), until, others, copies });
        }
    }

    /// Up to here everything is on disk.
    pub fn synced(&self) -> u64 {
        self.shared.synced.load(Ordering::Acquire)
    }

    /// Up to here everything is on disk in another way.
    pub fn is_synced(&self, until: u64) {
        self.shared.synced.fetch_max(until, Ordering::Release);
    }

    /// How often the disk has refused.
    pub fn failures(&self) -> u64 {
        self.shared.failed.load(Ordering::Relaxed)
    }

    /// To be polled for reading: more is on disk. For a thread that has called `prepare` before.
    pub fn fd(&self) -> RawFd {
        self.shared.waker.fd()
    }

    /// See [`Waker`].
    pub fn prepare(&self) {
        self.shared.waker.prepare();
    }

    /// See [`Waker`].
    pub fn awake(&self) {
        self.shared.waker.awake();
    }
}

fn serve(requests: &Receiver<Request>, shared: &Shared) {
    block_all_signals();
    while let Ok(mut request) = requests.recv() {
        // What was asked for meanwhile is done by the same call, if it is of the same file.
        let mut next = None;
        loop {
            match requests.try_recv() {
                Ok(mut later) if Arc::ptr_eq(&later.file, &request.file) => {
                    later.others.append(&mut request.others);
                    later.copies.append(&mut request.copies);
                    request = later;
                }
                Ok(later) => next = Some(later),
                Err(TryRecvError::Empty | TryRecvError::Disconnected) => break,
            }
            if next.is_some() {
                break;
            }
        }
        for request in std::iter::once(request).chain(next) {
            faults::reach("sync.before");
            let others = request.others.iter().try_for_each(|file| file.sync_data());
            let copies = || request.copies.iter().try_for_each(Copy::make);
            match others.and_then(|()| copies()).and_then(|()| request.file.sync_data()) {
                Ok(()) => {
                    shared.synced.fetch_max(request.until, Ordering::Release);
                    faults::reach("sync.after");
                }
                Err(error) => {
                    shared.failed.fetch_add(1, Ordering::Relaxed);
                    tracing::error!("the journal cannot be brought to the disk: {error}");
                }
            }
            shared.waker.wake();
        }
    }
}
