//! A client or an engine, with the state that its process has.

use crate::links::Link;
use crate::truth::Target;
use ipclusterz_base::connection::Role;
use ipclusterz_base::ids::{EngineId, PeerId, RequestId, TaskId};
use ipclusterz_base::process::{Birth, Table};
use ipclusterz_runtime::client::Pending;
use ipclusterz_runtime::client::core::Core as ClientCore;
use ipclusterz_runtime::client::watched::Watched;
use ipclusterz_runtime::engine::core::Core as EngineCore;
use ipclusterz_runtime::engine::keeping::Keeping;
use ipclusterz_runtime::transport::Admitted;
use ipclusterz_runtime::wire::message::{Counts, Hello, Resume};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// The process table of the controller's host.
pub const TABLE: Table = Table { boot: (1, 2), namespace: 3 };
/// How long an engine without a connection goes on.
pub const LEASE: Duration = Duration::from_secs(30);

pub struct Peer {
    pub uuid: String,
    pub pid: u32,
    /// It is on the controller's host, and dials its unix socket.
    pub beside: bool,
    /// Its process.
    pub alive: bool,
    pub link: Option<Link>,
    pub resume: Option<Resume>,
    /// How many hellos it has said.
    pub attempt: u64,
    /// Its session, if it has one: as the controller numbers it, and a token of it.
    pub session: Option<(PeerId, String)>,
    /// The controller has put it out.
    pub put_out: bool,
    /// When it does not wait for a connection any longer.
    pub give_up: Option<Duration>,
    /// Since when something has been wrong with its connection, here or at the controller.
    pub trouble: Option<Duration>,
    /// A connection of it was closed, as the controller has seen: an engine is waited for shortly then.
    pub closed: bool,
    /// What the controller has said to have of this session.
    pub received: Counts,
    /// When its process has ended without a word to the controller.
    pub vanished: Option<Duration>,
    pub part: Part,
}

pub enum Part {
    Client(Box<Client>),
    Engine(Box<Engine>),
}

#[derive(Default)]
pub struct Client {
    pub core: ClientCore,
    pub watched: Arc<Watched>,
    /// It tells how engines ended.
    pub launcher: bool,
    /// The name of the session that it asks for.
    pub name: Option<String>,
    /// The first client of its session, by its place among the peers.
    pub first: usize,
    pub submitted: BTreeMap<RequestId, Arc<Pending>>,
    /// What was sent on `data` in this session: the requests among it.
    pub sent: Vec<Option<RequestId>>,
    /// Requests whose session has ended before their answers came.
    pub cut_off: Vec<RequestId>,
}

#[derive(Default)]
pub struct Engine {
    pub core: EngineCore,
    pub keeping: Keeping,
    pub id: Option<EngineId>,
    /// The id that it asks for.
    pub wanted: Option<EngineId>,
    /// Which session this is, counted from 1, and messages that it has sent on `data` in it.
    pub session: (u32, u64),
    /// What runs, and which target of a request that is.
    pub running: Option<TaskId>,
    pub target: Option<Target>,
    /// A session of it has ended, or its process: what it had may be lost.
    pub ended: bool,
}

impl Peer {
    pub fn new(number: u32, beside: bool, part: Part) -> Peer {
        let kind = if matches!(part, Part::Client(_)) { "client" } else { "engine" };
        Peer {
            // Sessions without names are called by its beginning.
            uuid: format!("{number:08} {kind}"),
            pid: number,
            beside,
            alive: true,
            link: None,
            resume: None,
            attempt: 0,
            session: None,
            put_out: false,
            give_up: None,
            trouble: None,
            closed: false,
            received: Counts::default(),
            vanished: None,
            part,
        }
    }

    pub fn role(&self) -> Role {
        if matches!(self.part, Part::Client(_)) { Role::Client } else { Role::Engine }
    }

    pub fn admitted(&self) -> Admitted {
        if self.beside { Admitted::Local } else { Admitted::Keyed(self.role()) }
    }

    pub fn hello(&self) -> Hello {
        let host = if self.beside { "here" } else { "there" };
        let plain = Hello::new(self.role(), self.uuid.clone(), host.to_owned(), self.pid);
        let (wanted_id, lease, launcher, session) = match &self.part {
            Part::Client(client) => (None, 0.0, client.launcher, client.name.clone()),
            Part::Engine(engine) => (engine.id.or(engine.wanted), LEASE.as_secs_f64(), false, None),
        };
        let birth = self.beside.then_some(Birth { table: TABLE, start_time: u64::from(self.pid) });
        Hello {
            wanted_id,
            lease,
            launcher,
            session,
            birth,
            resume: self.resume.clone(),
            attempt: self.attempt,
            ..plain
        }
    }

    pub fn client(&mut self) -> &mut Client {
        match &mut self.part {
            Part::Client(client) => client,
            Part::Engine(_) => panic!("{} is no client", self.uuid),
        }
    }

    pub fn engine(&mut self) -> &mut Engine {
        match &mut self.part {
            Part::Engine(engine) => engine,
            Part::Client(_) => panic!("{} is no engine", self.uuid),
        }
    }

    /// Messages that it keeps for the controller.
    pub fn kept(&self) -> usize {
        match &self.part {
            Part::Client(client) => client.core.kept(),
            Part::Engine(engine) => engine.keeping.kept(),
        }
    }
}
