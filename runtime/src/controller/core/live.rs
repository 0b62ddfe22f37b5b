//! What sessions there are, and their tasks that have not ended: read, and nothing changed.

use super::Core;
use crate::controller::history::{begins, name_of};
use crate::controller::limits::Limits;
use crate::controller::peer::{Peer, Presence};
use crate::controller::work::OpenTask;
use crate::transport::Route;
use crate::wire::message::{Filter, Message, SessionRecord, TaskRecord};
use ipclusterz_base::ids::{EngineId, PeerId, RequestId};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// What a session has that would be lost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftSession {
    /// What it is called.
    pub name: String,
    /// Somebody has given it that name.
    pub named: bool,
    /// Tasks that are to be done.
    pub tasks: u64,
    /// Answers that wait for its client.
    pub answers: u64,
}

impl Core {
    /// Whether a client is behind this connection.
    pub fn is_client(&self, route: Route) -> bool {
        let peer = self.registry.of_route(route).and_then(|(peer, _)| self.registry.peer(peer));
        peer.is_some_and(|peer| peer.engine_id.is_none())
    }

    /// Whether a process is that of a peer, as far as this is known.
    pub fn may_be_of(&self, peer: PeerId, pid: u32) -> bool {
        self.registry.peer(peer).is_none_or(|known| known.hello.pid == pid)
    }

    /// The `data` connection of the client that has this `control` connection.
    pub fn data_route(&self, control: Route) -> Option<Route> {
        self.registry.of_route(control).and_then(|(peer, _)| self.registry.peer(peer)?.data)
    }

    /// The id of the session with this name. One that is over is known by the beginning of its id.
    pub fn id_of_session(&self, name: &str) -> String {
        let peer = self.registry.of_session(name).and_then(|peer| self.registry.peer(peer));
        peer.map_or_else(|| name.to_owned(), |peer| peer.session.id.clone())
    }

    /// What sessions are called, by their ids.
    pub fn names_of_sessions(&self) -> BTreeMap<String, String> {
        self.registry.clients().map(|(_, peer)| (peer.session.id.clone(), peer.session.name.clone())).collect()
    }

    /// All sessions, but the launcher's.
    pub fn sessions(&self, now: Duration) -> Vec<SessionRecord> {
        let clients = self.registry.clients().filter(|(_, peer)| !peer.hello.launcher);
        clients.map(|(id, peer)| self.session(id, peer, now)).collect()
    }

    /// What would be lost with this state: of each session the tasks that some engine may still do, and the answers that its
    /// client has not come for. In a session with a name, what is open counts, whatever becomes of it.
    pub fn left(&self) -> Vec<LeftSession> {
        let clients = self.registry.clients().filter(|(_, peer)| !peer.hello.launcher);
        let left = clients.map(|(id, peer)| {
            let named = peer.session.named;
            let tasks = if named { self.work.open_of(id) } else { self.work.to_be_done_of(id) };
            let away = matches!(peer.presence, Presence::Away(_)) && !named;
            let answers = if away { peer.sent.count(|message| matches!(message, Message::Reply(_))) } else { 0 };
            LeftSession { name: peer.session.name.clone(), named, tasks, answers }
        });
        left.filter(|session| session.tasks > 0 || session.answers > 0).collect()
    }

    /// The limits that it has.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// The client of the session whose tasks have ids that begin so.
    pub(super) fn session_beginning(&self, begin: &str) -> Option<PeerId> {
        let its = |peer: &Peer| begins(&peer.session.id) == begin;
        self.registry.clients().find(|(_, peer)| its(peer)).map(|(id, _)| id)
    }

    /// The tasks of these requests that have not ended, with what they wait for, and whether they fit an engine. `session`: what their
    /// ids begin with.
    pub fn why(
        &self,
        session: &str,
        requests: &BTreeSet<RequestId>,
        engine: Option<EngineId>,
        began: f64,
    ) -> Vec<TaskRecord> {
        let Some(id) = self.session_beginning(session) else { return Vec::new() };
        let Some(peer) = self.registry.peer(id) else { return Vec::new() };
        let of_these = |request| requests.contains(&request);
        let tasks = self.open_of_client(id, peer, began, Explained::For(engine), &of_these);
        tasks.collect()
    }

    fn session(&self, id: PeerId, peer: &Peer, now: Duration) -> SessionRecord {
        let ends_in = match peer.presence {
            Presence::Away(until) if !peer.session.named => Some(until.saturating_sub(now).as_secs_f64()),
            _ => None,
        };
        SessionRecord {
            name: peer.session.name.clone(),
            id: peer.session.id.clone(),
            named: peer.session.named,
            connected: peer.is_here(),
            host: peer.hello.host.clone(),
            pid: peer.hello.pid,
            open: self.work.open_of(id),
            ends_in,
        }
    }

    /// Tasks that have not ended, as far as a filter means them, of these requests; if it names some, with what they wait for. `began`: when the clock began, seconds since 1970.
    pub fn open_tasks(&self, filter: &Filter, began: f64, of_these: impl Fn(RequestId) -> bool) -> Vec<TaskRecord> {
        let of = |peer: &Peer| filter.session.as_ref().is_none_or(|name| *name == peer.session.name);
        let clients = self.registry.clients().filter(|(_, peer)| of(peer));
        let explained = if filter.requests.is_some() { Explained::For(None) } else { Explained::Not };
        let of_client = |(id, peer)| self.open_of_client(id, peer, began, explained, &of_these);
        let mut tasks: Vec<TaskRecord> = clients.flat_map(of_client).collect();
        let name = filter.name.as_deref().unwrap_or_default();
        tasks.retain(|task| {
            (filter.states.is_empty() || filter.states.contains(&task.state))
                && task.submitted >= filter.since.unwrap_or_default()
                && task.name.contains(name)
        });
        tasks
    }

    /// The tasks of these requests of a session whose answers have not been sent, by their ids: those that have not ended, and those
    /// that were lost with an engine of which more may be known in a moment.
    pub fn unanswered(&self, session: &str, requests: &BTreeSet<RequestId>) -> Vec<TaskRecord> {
        let clients = self.registry.clients().filter(|(_, peer)| peer.session.name == session);
        let of_client = |(id, peer): (PeerId, &Peer)| {
            let open = self.work.open_tasks_of(id).map(|task| (task.request, task.position));
            let held = self.losses.held(id).map(|reply| (reply.request, reply.position));
            let these = open.chain(held).filter(|(request, _)| requests.contains(request));
            let record = |(request, position)| TaskRecord {
                session: session.to_owned(),
                id: id_of_task(peer, request, position),
                ..TaskRecord::default()
            };
            these.map(record).collect::<Vec<_>>()
        };
        clients.flat_map(of_client).collect()
    }

    fn open_of_client<'a>(
        &'a self,
        id: PeerId,
        peer: &'a Peer,
        began: f64,
        explained: Explained,
        of_these: &'a impl Fn(RequestId) -> bool,
    ) -> impl Iterator<Item = TaskRecord> + 'a {
        let tasks = self.work.open_tasks_of(id).filter(|task| of_these(task.request));
        tasks.map(move |task| {
            let Explained::For(engine) = explained else { return record(peer, &task, began) };
            let fits = engine.is_some_and(|engine| self.work.fits(task.task, engine));
            TaskRecord { waits: self.work.why(task.task), fits, ..record(peer, &task, began) }
        })
    }
}

/// What is to be said of tasks beyond what they are.
#[derive(Clone, Copy)]
enum Explained {
    /// Nothing.
    Not,
    /// What they wait for, and whether they fit this engine.
    For(Option<EngineId>),
}

/// What is said of a task of this client that has not ended.
fn record(peer: &Peer, task: &OpenTask<'_>, began: f64) -> TaskRecord {
    TaskRecord {
        session: peer.session.name.clone(),
        id: id_of_task(peer, task.request, task.position),
        name: name_of(task.name, task.op).to_owned(),
        state: task.state.to_owned(),
        engine: task.engine,
        submitted: began + task.submitted.as_secs_f64(),
        ..TaskRecord::default()
    }
}

fn id_of_task(peer: &Peer, request: RequestId, position: u32) -> String {
    format!("{}-{request}-{position}", begins(&peer.session.id))
}
