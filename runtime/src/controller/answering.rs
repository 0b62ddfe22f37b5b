//! Answers of threads beside the reactor, which wake it.

use crate::transport::Route;
use crate::transport::wake::Waker;
use crate::wire::{Frame, Message};
use std::io;
use std::os::fd::RawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};

/// An answer on its way: to whom, the message, and its payload.
pub type Answer = (Route, Message, Vec<Frame>);

/// The thread's end.
pub(super) struct Answering {
    answers: Sender<Answer>,
    waker: Arc<Waker>,
    /// Answers that nobody has taken.
    unread: Arc<AtomicU64>,
}

impl Answering {
    /// Gives an answer.
    pub fn give(&self, answer: Answer) {
        // The controller may be exiting.
        let _ = self.answers.send(answer);
        self.unread.fetch_add(1, Ordering::SeqCst);
        self.waker.wake();
    }
}

/// The reactor's end.
pub(super) struct Answers {
    answers: Receiver<Answer>,
    waker: Arc<Waker>,
    unread: Arc<AtomicU64>,
}

/// Both ends.
pub(super) fn answers() -> io::Result<(Answering, Answers)> {
    let (sender, receiver) = channel();
    let (waker, unread) = (Arc::new(Waker::new()?), Arc::default());
    let answering = Answering { answers: sender, waker: Arc::clone(&waker), unread: Arc::clone(&unread) };
    Ok((answering, Answers { answers: receiver, waker, unread }))
}

impl Answers {
    /// Those that are there.
    pub fn take(&self) -> impl Iterator<Item = Answer> {
        self.unread.store(0, Ordering::SeqCst);
        self.answers.try_iter()
    }

    /// Whether there may be some.
    pub fn has_some(&self) -> bool {
        self.unread.load(Ordering::SeqCst) > 0
    }

    /// To be polled for reading: there may be answers. For a thread that has called `prepare` before.
    pub fn fd(&self) -> RawFd {
        self.waker.fd()
    }

    /// See [`Waker`].
    pub fn waker(&self) -> &Waker {
        &self.waker
    }
}
