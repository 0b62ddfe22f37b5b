//! The state that a series of events leads to. It consists of those of the events that still matter: whoever is given them
//! knows as much as whoever has followed all. Pure.

use crate::wire::message::{Happened, Seen, SessionBegan, Submission, TaskEnded, TaskName};
use ipclusterz_base::ids::{EngineId, PeerId, RequestId};
use std::collections::HashMap;

/// An event, and its place among all.
type Kept = (u64, Seen);

/// A request that has not ended, with all that is known of its tasks.
#[derive(Debug, Clone)]
struct Open {
    left: u32,
    events: Vec<Kept>,
}

/// A session, and its requests that have not ended.
#[derive(Debug, Clone, Default)]
struct Session {
    over: bool,
    events: Vec<Kept>,
    open: HashMap<RequestId, Open>,
}

/// What there is at a moment: sessions, engines, epochs, and the requests that have not ended.
#[derive(Debug, Clone, Default)]
pub struct Scene {
    next: u64,
    sessions: HashMap<PeerId, Session>,
    engines: HashMap<EngineId, Vec<Kept>>,
    epochs: HashMap<String, Kept>,
}

impl Scene {
    /// One event more has happened.
    pub fn apply(&mut self, seen: Seen) {
        self.next = self.next.saturating_add(1);
        let kept = (self.next, seen);
        match &kept.1.what {
            Happened::SessionBegan(SessionBegan { client, .. }) => {
                let session = self.sessions.entry(*client).or_default();
                (session.over, session.events) = (false, vec![kept]);
            }
            Happened::SessionParted { client } => {
                if let Some(session) = self.sessions.get_mut(client) {
                    session.events.truncate(1);
                    session.events.push(kept);
                }
            }
            Happened::SessionEnded { client } => self.session_ended(*client, kept),
            Happened::Submitted(submission) => {
                let Submission { client, request, .. } = **submission;
                let left = submission.left();
                // One whose client was gone before that is not told of.
                let over = || Session { over: true, ..Session::default() };
                let session = self.sessions.entry(client).or_insert_with(over);
                session.open.insert(request, Open { left, events: vec![kept] });
            }
            Happened::Given { task, .. } => self.moved(*task, Some(kept)),
            Happened::Returned { task } => self.moved(*task, None),
            Happened::Ended(ended) => {
                let TaskEnded { task, .. } = **ended;
                self.moved(task, Some(kept));
                self.task_ended(task);
            }
            Happened::EngineJoined(joined) => drop(self.engines.insert(joined.engine, vec![kept])),
            Happened::EngineAway { engine } | Happened::EngineUsage { engine, .. } => {
                let (engine, kind) = (*engine, std::mem::discriminant(&kept.1.what));
                let Some(events) = self.engines.get_mut(&engine) else { return };
                events.retain(|(_, seen)| std::mem::discriminant(&seen.what) != kind);
                events.push(kept);
            }
            Happened::EngineBack { engine } => {
                if let Some(events) = self.engines.get_mut(engine) {
                    events.retain(|(_, seen)| !matches!(seen.what, Happened::EngineAway { .. }));
                }
            }
            Happened::EngineLeft { engine, .. } => drop(self.engines.remove(engine)),
            Happened::EpochBegan { world, .. } => drop(self.epochs.insert(world.clone(), kept)),
            Happened::EpochEnded { world, .. } => drop(self.epochs.remove(world)),
        }
    }

    /// The events that lead there, in order.
    pub fn events(&self) -> Vec<Seen> {
        let of_sessions = self
            .sessions
            .values()
            .flat_map(|session| session.events.iter().chain(session.open.values().flat_map(|open| &open.events)));
        let mut events: Vec<&Kept> =
            of_sessions.chain(self.engines.values().flatten()).chain(self.epochs.values()).collect();
        events.sort_unstable_by_key(|(place, _)| *place);
        events.into_iter().map(|(_, seen)| seen.clone()).collect()
    }

    fn session_ended(&mut self, client: PeerId, kept: Kept) {
        let Some(session) = self.sessions.get_mut(&client) else { return };
        if session.open.is_empty() {
            self.sessions.remove(&client);
        } else {
            session.over = true;
            session.events.push(kept);
        }
    }

    /// What was known of a task's place is replaced.
    fn moved(&mut self, name: TaskName, kept: Option<Kept>) {
        let open = self.sessions.get_mut(&name.client).and_then(|session| session.open.get_mut(&name.request));
        if let Some(open) = open {
            open.events.retain(|(_, seen)| !matches!(seen.what, Happened::Given { task, .. } if task == name));
            open.events.extend(kept);
        }
    }

    fn task_ended(&mut self, name: TaskName) {
        let Some(session) = self.sessions.get_mut(&name.client) else { return };
        let Some(open) = session.open.get_mut(&name.request) else { return };
        open.left = open.left.saturating_sub(1);
        if open.left == 0 {
            session.open.remove(&name.request);
        }
        if session.over && session.open.is_empty() {
            self.sessions.remove(&name.client);
        }
    }
}
