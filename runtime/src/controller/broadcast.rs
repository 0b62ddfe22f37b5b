//! The thread that keeps what has happened, and tells those who look on; and its other end, which the controller has.
//!
//! Whoever looks on asks again and again, and is answered when something has happened: so the controller holds nothing for
//! one that is slow, and one that comes back after an outage goes on where it was.

use super::answering::{Answering, Answers, answers};
use crate::events::Ring;
use crate::events::ring::{Found as FoundEvents, Kept};
use crate::system::{block_all_signals, deadline};
use crate::transport::Route;
use crate::wire::message::{AskEvents, Found, Happened, Message, Seen};
use std::io;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

/// Most events that are handed over in one go.
const BATCH: usize = 4096;
/// How long events are gathered while somebody looks on.
const SHOWN_AFTER: Duration = Duration::from_millis(50);
/// The same while nobody does.
const KEPT_AFTER: Duration = Duration::from_secs(1);
/// Whoever has not asked for so long looks on no longer.
const LOOKS_ON: Duration = Duration::from_secs(10);
/// Longest time that a question waits for something to happen.
const WAIT_MAX: Duration = Duration::from_secs(30);
/// How long the thread sleeps when nobody waits for anything.
const IDLE: Duration = Duration::from_secs(3600);
/// Most questions that wait. Beyond, they are answered at once.
const WAITING_MAX: usize = 1024;

/// Events, by the core's clock.
type Notes = Vec<(Duration, Happened)>;

enum Job {
    Happened(Notes),
    Ask(Route, u64, AskEvents),
}

/// The controller's end.
pub(super) struct Broadcast {
    jobs: Sender<Job>,
    answers: Answers,
    gathered: Notes,
    /// When that is handed over.
    due: Option<Instant>,
    /// Until when somebody looks on.
    looks_on: Option<Instant>,
}

impl Broadcast {
    /// Starts the thread. `began`: when the core's clock began, seconds since 1970; `start`: which start of the controller this is.
    pub fn start(began: f64, start: u32, kept: Kept) -> io::Result<Broadcast> {
        let (jobs, receiver) = channel();
        let (answering, answers) = answers()?;
        let serve = move || {
            block_all_signals();
            Serving { began, ring: Ring::new(start, kept), waiting: Vec::new(), answering }.serve(&receiver);
        };
        std::thread::Builder::new().name("ipclusterz-show".to_owned()).spawn(serve)?;
        Ok(Broadcast { jobs, answers, gathered: Vec::new(), due: None, looks_on: None })
    }

    /// These have happened.
    pub fn tell(&mut self, mut notes: Notes) {
        if notes.is_empty() {
            return;
        }
        self.gathered.append(&mut notes);
        if self.gathered.len() >= BATCH {
            return self.flush();
        }
        if self.due.is_none() {
            let now = Instant::now();
            let shown = self.looks_on.is_some_and(|until| now < until);
            self.due = now.checked_add(if shown { SHOWN_AFTER } else { KEPT_AFTER });
        }
    }

    /// When [`Broadcast::flush_if_due`] has something to do.
    pub fn next_look(&self) -> Option<Instant> {
        self.due
    }

    /// Hands over what was gathered for long enough.
    pub fn flush_if_due(&mut self) {
        if self.due.is_some_and(|at| at <= Instant::now()) {
            self.flush();
        }
    }

    /// Asks. The answer comes when something has happened.
    pub fn ask(&mut self, route: Route, number: u64, ask: AskEvents) {
        self.looks_on = Some(deadline(LOOKS_ON));
        self.flush();
        let _ = self.jobs.send(Job::Ask(route, number, ask));
    }

    /// Its answers.
    pub fn answers(&self) -> &Answers {
        &self.answers
    }

    fn flush(&mut self) {
        self.due = None;
        if !self.gathered.is_empty() {
            // The thread lives as long as this end.
            let _ = self.jobs.send(Job::Happened(std::mem::take(&mut self.gathered)));
        }
    }
}

/// A question that waits until something happens.
struct Waiting {
    route: Route,
    number: u64,
    ask: AskEvents,
    until: Instant,
}

/// The thread's own state.
struct Serving {
    began: f64,
    ring: Ring,
    waiting: Vec<Waiting>,
    answering: Answering,
}

impl Serving {
    fn serve(&mut self, jobs: &Receiver<Job>) {
        loop {
            let until = self.waiting.iter().map(|waiting| waiting.until).min().unwrap_or_else(|| deadline(IDLE));
            match jobs.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(Job::Happened(notes)) => self.happened(notes),
                Ok(Job::Ask(route, number, ask)) => self.asked(route, number, ask),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            self.give_up();
        }
    }

    fn happened(&mut self, notes: Notes) {
        let began = self.began;
        let seen = |(at, what): (Duration, Happened)| Seen { at: began + at.as_secs_f64(), what };
        let events: Vec<Seen> = notes.into_iter().map(seen).collect();
        let now = events.last().map_or(0.0, |seen| seen.at);
        self.ring.push(&events, now);
        for Waiting { route, number, ask, .. } in std::mem::take(&mut self.waiting) {
            let found = self.ring.read(&ask).unwrap_or_else(|| self.ring.nothing());
            self.answer(route, number, found);
        }
    }

    fn asked(&mut self, route: Route, number: u64, ask: AskEvents) {
        match self.ring.read(&ask) {
            Some(found) => self.answer(route, number, found),
            None if ask.wait <= 0.0 || self.waiting.len() >= WAITING_MAX => {
                self.answer(route, number, self.ring.nothing());
            }
            None => {
                let wait = Duration::try_from_secs_f64(ask.wait).unwrap_or(WAIT_MAX).min(WAIT_MAX);
                self.waiting.push(Waiting { route, number, ask, until: deadline(wait) });
            }
        }
    }

    /// Nothing has happened for those who have waited for long enough.
    fn give_up(&mut self) {
        let now = Instant::now();
        let over: Vec<Waiting> = self.waiting.extract_if(.., |waiting| waiting.until <= now).collect();
        over.into_iter().for_each(|waiting| self.answer(waiting.route, waiting.number, self.ring.nothing()));
    }

    fn answer(&self, route: Route, number: u64, (events, payload): FoundEvents) {
        let found = Found { number, events: Some(events), ..Found::default() };
        self.answering.give((route, Message::Found(found), payload));
    }
}
