//! The whole cluster, as it is between two steps.

use crate::disk::Disk;
use crate::links::Late;
use crate::peers::{Client, Engine, Part, Peer, TABLE};
use crate::process::Process;
use crate::remembered::Remembered;
use crate::truth::{Key, Truth};
use ipclusterz_base::ids::{EngineId, PeerId, RequestId};
use ipclusterz_runtime::controller::Limits;
use ipclusterz_runtime::controller::core::{Core, Identity};
use ipclusterz_runtime::controller::image;
use ipclusterz_runtime::controller::oracle::Oracle;
use std::cell::Cell;
use std::time::Duration;

/// How long a client that has vanished is waited for.
pub const SESSION_GRACE: Duration = Duration::from_secs(120);

pub struct World {
    pub now: Duration,
    pub process: Option<Process>,
    pub disk: Disk,
    /// The image of the controller that died, if its log has all that it knew.
    pub lived: Option<Vec<u8>>,
    /// All that ever were.
    pub peers: Vec<Peer>,
    /// Whose each pair of connections is.
    pub owners: Vec<usize>,
    /// Connections that were cut, and what they still bring.
    pub late: Vec<Late>,
    /// The kernel has seen these processes end, and not told the controller yet.
    pub ends: Vec<(PeerId, u32)>,
    /// The launcher has seen these engines end, and not told the controller yet.
    pub words: Vec<String>,
    /// What engines that come next ask for.
    pub free_ids: Vec<EngineId>,
    /// Something has happened since this was last cleared.
    pub moved: bool,
    pub truth: Truth,
    pub remembered: Remembered,
}

pub fn limits() -> Limits {
    Limits { durable: true, session_grace: SESSION_GRACE, ..Limits::default() }
}

pub fn identity(pid: u32) -> Identity {
    Identity { cluster: "test".to_owned(), host: "here".to_owned(), pid, table: Some(TABLE) }
}

thread_local! {
    /// How often the world was asked something.
    static QUESTIONS: Cell<u64> = const { Cell::new(0) };
}

/// Never answers the same twice, so that a replay that asks again is found out.
pub fn oracle() -> Oracle {
    fn asked() -> u64 {
        QUESTIONS.with(|count| count.replace(count.get() + 1))
    }
    Oracle::new(|| format!("token {}", asked()), |_, _| None)
}

impl World {
    /// Engines and clients, all of which have their connections. `beside_of_all` has a bit for each that is on the controller's host, and a
    /// fifth one if the session of the last client has a name.
    pub fn new(beside_of_all: u8, engines: u8, clients: u8) -> World {
        QUESTIONS.with(|count| count.set(0));
        let core = Core::new(identity(1), limits(), oracle());
        let mut disk = Disk::default();
        disk.begin_anew(image::write(&core));
        let mut world = World {
            now: Duration::ZERO,
            process: Some(Process::new(core, 0)),
            disk,
            lived: None,
            peers: Vec::new(),
            owners: Vec::new(),
            late: Vec::new(),
            ends: Vec::new(),
            words: Vec::new(),
            free_ids: Vec::new(),
            moved: false,
            truth: Truth::default(),
            remembered: Remembered::default(),
        };
        for number in 0..engines + clients {
            let beside = beside_of_all >> number & 1 == 1;
            if number < engines {
                world.engine_comes(beside)
            } else {
                let named = beside_of_all >> 4 & 1 == 1 && number > engines;
                world.client_comes(beside, number == engines, named.then(|| "sweep".to_owned()))
            }
            world.exchange(world.peers.len() - 1);
        }
        world.commit_and_sync();
        world
    }

    pub fn client_comes(&mut self, beside: bool, launcher: bool, name: Option<String>) {
        let client = Client { launcher, name, first: self.peers.len(), ..Client::default() };
        self.comes(beside, Part::Client(Box::new(client)));
    }

    /// Another client comes in the session of one, which may live or not.
    pub fn succeeds(&mut self, which: u8, beside: bool) {
        let is_of_users = |part: &Part| matches!(part, Part::Client(client) if !client.launcher);
        let clients: Vec<&Peer> = self.peers.iter().filter(|peer| is_of_users(&peer.part)).collect();
        if clients.is_empty() {
            return;
        }
        let peer = clients[usize::from(which) % clients.len()];
        let Part::Client(client) = &peer.part else { unreachable!("it is one") };
        let name = client.name.clone().unwrap_or_else(|| peer.uuid[..8].to_owned());
        self.client_comes(beside, false, Some(name));
    }

    /// The key of a request of a client.
    pub fn key(&self, at: usize, request: RequestId) -> Key {
        match &self.peers[at].part {
            Part::Client(client) => (client.first as u32, request),
            Part::Engine(_) => panic!("{} is no client", self.peers[at].uuid),
        }
    }

    pub fn engine_comes(&mut self, beside: bool) {
        let engine = Engine { wanted: self.free_ids.pop(), ..Engine::default() };
        self.comes(beside, Part::Engine(Box::new(engine)));
    }

    fn comes(&mut self, beside: bool, part: Part) {
        let number = self.peers.len() as u32 + 100;
        self.peers.push(Peer::new(number, beside, part));
    }

    fn living(&self, which: u8, is_wanted: impl Fn(&Peer) -> bool) -> Option<usize> {
        let living: Vec<usize> =
            (0..self.peers.len()).filter(|at| self.peers[*at].alive && is_wanted(&self.peers[*at])).collect();
        (!living.is_empty()).then(|| living[usize::from(which) % living.len()])
    }

    pub fn any_peer(&self, which: u8) -> Option<usize> {
        self.living(which, |_| true)
    }

    pub fn any_engine(&self, which: u8) -> Option<usize> {
        self.living(which, |peer| matches!(peer.part, Part::Engine(_)))
    }

    /// A client that has a session.
    pub fn any_client(&self, which: u8) -> Option<usize> {
        self.living(which, |peer| matches!(&peer.part, Part::Client(client) if client.core.standing.is_some()))
    }

    pub fn launcher(&self) -> Option<usize> {
        let is_it = |peer: &Peer| matches!(&peer.part, Part::Client(client) if client.launcher && client.core.standing.is_some());
        self.living(0, is_it)
    }

    pub fn count(&self, is_wanted: impl Fn(&Part) -> bool) -> usize {
        self.peers.iter().filter(|peer| peer.alive && is_wanted(&peer.part)).count()
    }
}
