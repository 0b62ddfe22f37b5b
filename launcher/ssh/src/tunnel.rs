//! One forward that is restored after an outage. The first connection is made by the caller.
//!
//! The listener here stays for as long as the tunnel does. While there is no connection, nothing accepts: peers that
//! connect wait in the kernel, with what they have sent already, and go on as soon as the connection is restored. That
//! is faster than refusing them: a peer that is refused waits before it retries, and longer each time. Connections that
//! were under way end with the outage, because the bytes in flight are lost; peers connect again.

use crate::connect::connect;
use crate::ends::{Endpoint, Forward, LocalListener};
use crate::error::SshError;
use crate::remembering::Remembering;
use crate::remote::{Remote, RunOutput};
use ipclusterz_profile::tables::ssh::SshTable;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Wait before the first attempt to reconnect; it doubles with each.
const BACK_OFF_MIN: Duration = Duration::from_millis(200);
/// The longest wait between attempts.
const BACK_OFF_MAX: Duration = Duration::from_secs(30);

/// Shows a line to the user.
pub type Say = Box<dyn FnMut(&str) + Send>;

/// How to reconnect to a tunnel's host.
pub struct Way {
    /// The host as the user wrote it.
    pub host: String,
    /// The settings of SSH.
    pub table: SshTable,
    /// Remembers the answers of the first login.
    pub asker: Remembering,
    /// Set when connections are to be given up; the asker reads it.
    pub given_up: Arc<AtomicBool>,
}

enum Event {
    Lost(String),
    /// The sender of the answer is dropped when there is no connection.
    Run {
        command: &'static str,
        stdin: Vec<u8>,
        deadline: Instant,
        answer: Sender<Result<RunOutput, SshError>>,
    },
    Stop,
}

/// See the module's documentation. The tunnel ends when this is dropped.
pub struct Tunnel {
    host: String,
    events: Sender<Event>,
    given_up: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Tunnel {
    /// Takes over a connection and its forward from `listener` to `to`, and restores both after every loss. `say` gets
    /// a line about each loss and each attempt.
    pub fn keep(
        remote: Box<dyn Remote>,
        forward: Forward,
        listener: LocalListener,
        to: Endpoint,
        way: Way,
        say: Say,
    ) -> Result<Self, SshError> {
        let (events, received) = channel();
        let given_up = Arc::clone(&way.given_up);
        let host = way.host.clone();
        let keeper = Keeper { listener, to, way, say, events: events.clone(), received };
        let work = move || keeper.run(remote, forward);
        let thread = std::thread::Builder::new().name("tunnel".to_owned()).spawn(work);
        let thread = thread.map_err(SshError::local("starting a thread"))?;
        Ok(Self { host, events, given_up, thread: Some(thread) })
    }

    /// A handle that runs commands through the same connection.
    pub fn runner(&self) -> Runner {
        Runner { host: self.host.clone(), events: self.events.clone() }
    }
}

/// Runs commands through the connection of a [`Tunnel`]. It may outlive the tunnel.
#[derive(Clone)]
pub struct Runner {
    host: String,
    events: Sender<Event>,
}

impl Runner {
    /// Runs a command as [`Remote::run`] does. While there is no connection it fails with [`SshError::Lost`]: at once,
    /// or at `deadline` at the latest during an attempt to reconnect.
    pub fn run(&self, command: &'static str, stdin: &[u8], deadline: Instant) -> Result<RunOutput, SshError> {
        let (answer, answered) = channel();
        let lost = || SshError::Lost { host: self.host.clone(), reason: "there is no connection".to_owned() };
        let event = Event::Run { command, stdin: stdin.to_vec(), deadline, answer };
        self.events.send(event).map_err(|_| lost())?;
        // The tunnel's thread may be connecting, which has a timeout of its own.
        answered.recv_timeout(deadline.saturating_duration_since(Instant::now())).map_err(|_| lost())?
    }
}

impl Drop for Tunnel {
    fn drop(&mut self) {
        self.given_up.store(true, Ordering::Release);
        let _ = self.events.send(Event::Stop);
        if let Some(thread) = self.thread.take() {
            // Every wait of that thread ends by one of the two above.
            let _ = thread.join();
        }
    }
}

struct Keeper {
    listener: LocalListener,
    to: Endpoint,
    way: Way,
    say: Say,
    events: Sender<Event>,
    received: Receiver<Event>,
}

impl Keeper {
    fn run(mut self, mut remote: Box<dyn Remote>, mut forward: Forward) {
        loop {
            let events = self.events.clone();
            remote.when_lost(Box::new(move |reason| drop(events.send(Event::Lost(reason)))));
            let reason = loop {
                match self.received.recv() {
                    Ok(Event::Lost(reason)) => break reason,
                    Ok(Event::Run { command, stdin, deadline, answer }) => {
                        // The caller may have stopped waiting.
                        let _ = answer.send(remote.run(command, &stdin, deadline));
                    }
                    Ok(Event::Stop) | Err(_) => return,
                }
            };
            drop(forward);
            drop(remote);
            (self.say)(&format!("the connection to {} is lost: {reason}; connecting again", self.way.host));
            let Some(restored) = self.reconnect() else { return };
            (remote, forward) = restored;
            (self.say)(&format!("connected to {} again", self.way.host));
        }
    }

    /// Retries until it is connected; `None` when told to stop.
    fn reconnect(&mut self) -> Option<(Box<dyn Remote>, Forward)> {
        let mut wait = BACK_OFF_MIN;
        loop {
            let until = Instant::now() + wait;
            loop {
                match self.received.recv_timeout(until.saturating_duration_since(Instant::now())) {
                    Ok(Event::Stop) | Err(RecvTimeoutError::Disconnected) => return None,
                    // These are about the previous connection.
                    Ok(Event::Lost(_) | Event::Run { .. }) => {}
                    Err(RecvTimeoutError::Timeout) => break,
                }
            }
            wait = next_wait(wait);
            match self.connect_once() {
                Ok(connected) => return Some(connected),
                Err(SshError::GivenUp { .. }) => return None,
                Err(error) => (self.say)(&format!(
                    "no connection to {} yet: {error}; next attempt in {:.1} s",
                    self.way.host,
                    wait.as_secs_f64()
                )),
            }
        }
    }

    fn connect_once(&mut self) -> Result<(Box<dyn Remote>, Forward), SshError> {
        let mut remote = connect(&self.way.host, &self.way.table, &mut self.way.asker)?;
        let listener = self.listener.try_clone().map_err(SshError::local("duplicating a socket"))?;
        let forward = remote.forward_local(listener, &self.to)?;
        Ok((remote, forward))
    }
}

fn next_wait(wait: Duration) -> Duration {
    (wait * 2).min(BACK_OFF_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_half_a_minute() {
        let waits: Vec<u128> = std::iter::successors(Some(BACK_OFF_MIN), |wait| Some(next_wait(*wait)))
            .map(|wait| wait.as_millis())
            .take(10)
            .collect();
        assert_eq!(waits, [200, 400, 800, 1600, 3200, 6400, 12_800, 25_600, 30_000, 30_000]);
    }
}
