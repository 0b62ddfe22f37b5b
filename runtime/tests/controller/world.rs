//! A controller with models of everybody else around it.

use crate::model::{Goes, ModelClient, ModelEngine};
use ipclusterz_base::connection::Role;
use ipclusterz_base::ids::{EngineId, PeerId, RequestId, TaskId};
use ipclusterz_base::process::{Birth, Table};
use ipclusterz_runtime::controller::Limits;
use ipclusterz_runtime::controller::core::{Core, Identity};
use ipclusterz_runtime::controller::event::{Action, Event};
use ipclusterz_runtime::controller::image;
use ipclusterz_runtime::controller::oracle::{Answer, Oracle};
use ipclusterz_runtime::transport::{Admitted, Route};
use ipclusterz_runtime::wire::Frame;
use ipclusterz_runtime::wire::message::*;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// The client's `control` route, and its request.
pub type Key = (u32, RequestId);

/// A controller with models of everybody else around it.
pub struct World {
    pub core: Core,
    pub now: Duration,
    pub next_route: u32,
    /// By `control` route; `data` is the next number.
    pub engines: BTreeMap<u32, ModelEngine>,
    pub clients: BTreeMap<u32, ModelClient>,
    pub greeted: BTreeMap<u32, Welcome>,
    pub function_asks: Vec<(u32, TaskId)>,
    pub balanced: BTreeMap<Key, Goes>,
    /// How the first targets of requests have ended, as clients were told.
    pub fates: BTreeMap<Key, Fate>,
    /// What the tasks belong to, as their payload says.
    pub keys: BTreeMap<TaskId, Key>,
    /// Whose the tasks are, as the controller says.
    pub askers: BTreeMap<TaskId, PeerId>,
    pub unlinked: Vec<String>,
    /// Clients that left in order.
    pub goodbyes: BTreeSet<u32>,
    /// What runs is to be interrupted now.
    pub interrupts: bool,
    /// The launcher's `control` route, once it is there, and those of engines that died.
    pub launcher: Option<u32>,
    pub dead: Vec<u32>,
    /// As the last status has them.
    pub losses: Vec<EngineLoss>,
    /// The ids of engines that died.
    pub gone: BTreeSet<EngineId>,
    /// What dead engines had, and what named them when none of its engines was there: what becomes of it is told when it is known how
    /// they ended.
    pub had: BTreeSet<Key>,
    /// Peers are processes of the controller's host, which it can watch; those that it does, with their `control` routes.
    pub here: bool,
    pub watched: BTreeMap<PeerId, u32>,
    /// Peers whose processes have ended while their connections stand.
    pub over: Vec<u32>,
    /// All events so far, as the journal has them, and the state before the first one.
    pub journal: Vec<(Event, Duration, Vec<Answer>)>,
    /// What those who look on were told since this controller began.
    pub seen: Vec<Seen>,
    pub image: Vec<u8>,
}

/// Where processes of the controller's host are.
const TABLE: Option<Table> = Some(Table { boot: (1, 2), namespace: 3 });

/// Each token is another one.
fn oracle() -> Oracle {
    static TOKENS: AtomicU32 = AtomicU32::new(0);
    Oracle::new(|| format!("token {}", TOKENS.fetch_add(1, Ordering::Relaxed)), |_, _| None)
}

pub const FUNCTION: FunctionName = FunctionName([9; 16]);

pub fn at(engines: &[u32]) -> Placement {
    Placement::Engines(engines.iter().copied().map(EngineId).collect())
}

pub fn among(engines: &[u32]) -> Placement {
    let engines = engines.iter().copied().map(EngineId).collect();
    Placement::Balanced { retries: 0, engines: Some(engines), duration: None }
}

pub fn lasting(duration: f64) -> Placement {
    Placement::Balanced { retries: 0, engines: None, duration: Some(duration) }
}

pub const ANYWHERE: Placement = Placement::Balanced { retries: 0, engines: None, duration: None };

impl World {
    pub fn new() -> World {
        World::with(Limits::default())
    }

    pub fn with(limits: Limits) -> World {
        let identity = Identity { cluster: "test".to_owned(), host: "n1".to_owned(), pid: 1, table: TABLE };
        let mut core = Core::new(identity, limits, oracle());
        core.begin_to_observe();
        World {
            image: image::write(&core),
            journal: Vec::new(),
            seen: Vec::new(),
            core,
            now: Duration::ZERO,
            next_route: 2,
            engines: BTreeMap::new(),
            clients: BTreeMap::new(),
            greeted: BTreeMap::new(),
            function_asks: Vec::new(),
            balanced: BTreeMap::new(),
            fates: BTreeMap::new(),
            keys: BTreeMap::new(),
            askers: BTreeMap::new(),
            unlinked: Vec::new(),
            goodbyes: BTreeSet::new(),
            interrupts: false,
            launcher: None,
            dead: Vec::new(),
            losses: Vec::new(),
            gone: BTreeSet::new(),
            had: BTreeSet::new(),
            here: false,
            watched: BTreeMap::new(),
            over: Vec::new(),
        }
    }

    /// One whose peers are processes of its host.
    pub fn of_one_host(limits: Limits) -> World {
        World { here: true, ..World::with(limits) }
    }

    pub fn feed(&mut self, event: Event) {
        let actions = self.core.handle(event.clone(), self.now);
        self.journal.push((event, self.now, self.core.take_answers()));
        self.look_on();
        for action in actions {
            self.take(action);
        }
    }

    /// Goes on with the state as it is written down and read back.
    pub fn reload(&mut self) {
        let image = image::write(&self.core);
        self.core = image::read(&image, oracle()).expect("an image");
        assert_eq!(
            image::write(&self.core).escape_ascii().to_string(),
            image.escape_ascii().to_string(),
            "all of the state"
        );
        self.look_on_anew();
    }

    /// Another core that is given the same events comes to the same state.
    pub fn check_replay(&self) {
        let mut other = image::read(&self.image, Oracle::default()).expect("an image");
        for (event, now, answers) in self.journal.clone() {
            other.repeat_answers(answers);
            other.handle(event, now);
            other.take_answers();
        }
        assert_eq!(
            image::write(&other).escape_ascii().to_string(),
            image::write(&self.core).escape_ascii().to_string()
        );
    }

    pub fn tell(&mut self, route: u32, message: Message, payload: Vec<Frame>) {
        self.feed(Event::Message { route: Route(route), admitted: Admitted::Local, message, payload });
    }

    pub fn take(&mut self, action: Action) {
        match &action {
            Action::Unlink(name) => self.unlinked.push(String::from_utf8_lossy(name).into_owned()),
            Action::Watch { peer, pid, .. } => assert_eq!(self.watched.insert(*peer, *pid), None, "watched twice"),
            Action::Unwatch(peer) => assert!(self.watched.remove(peer).is_some(), "not watched"),
            _ => {}
        }
        let Action::Send { route: Route(route), message, payload, .. } = action else { return };
        let control = route & !1;
        if let Message::Welcome(welcome) = message {
            self.greeted.insert(control, welcome);
            return;
        }
        if self.engines.contains_key(&control) {
            self.engine_gets(route, message, &payload);
        } else if self.clients.contains_key(&control) {
            self.client_gets(route, message, &payload);
        } else {
            // The only thing that a connection without a peer may be told.
            assert!(matches!(message, Message::Refused(_)), "sent to nobody: {message:?}");
        }
    }

    pub fn join(&mut self, role: Role, wanted: Option<u32>) -> u32 {
        self.join_until(role, wanted, None, 0.0)
    }

    pub fn join_until(&mut self, role: Role, wanted: Option<u32>, ends_in: Option<f64>, drain_before: f64) -> u32 {
        self.join_offering(role, wanted, ends_in, drain_before, 0)
    }

    pub fn join_offering(
        &mut self,
        role: Role,
        wanted: Option<u32>,
        ends_in: Option<f64>,
        drain_before: f64,
        gpus: u64,
    ) -> u32 {
        let control = self.next_route;
        self.next_route += 2;
        match role {
            Role::Engine => drop(self.engines.insert(control, ModelEngine { gpus, ..ModelEngine::default() })),
            Role::Client => drop(self.clients.insert(control, ModelClient::default())),
        }
        let uuid = format!("uuid-{control}");
        let wanted_id = wanted.map(EngineId);
        let new = Hello::new(role, uuid, "host".to_owned(), control);
        let birth = TABLE.filter(|_| self.here).map(|table| Birth { table, start_time: 1 });
        let mut offers = Resources::default();
        offers.amounts.insert("gpus".to_owned(), Amount(gpus));
        let hello = Hello { wanted_id, shared_memory: true, ends_in, drain_before, birth, offers, ..new };
        let mut taken: BTreeSet<EngineId> = self.engines.values().filter_map(|engine| engine.id).collect();
        if let Some(id) = wanted_id {
            // It has the place of one whose process has ended.
            let over = |control: &u32| self.engines.get(control).is_some_and(|engine| engine.id == Some(id));
            if let Some(former) = self.over.iter().copied().find(over) {
                taken.remove(&id);
                self.forgotten(former);
            }
        }
        self.tell(control, Message::Hello(hello), vec![]);
        let Welcome { peer, token, engine_id, .. } = self.greeted[&control].clone();
        if let Some(engine) = self.engines.get_mut(&control) {
            let id = engine_id.expect("an engine gets an id");
            assert!(!taken.contains(&id), "id {id} is taken");
            let lowest = (0..).map(EngineId).find(|id| !taken.contains(id)).expect("a free id");
            assert!(id == lowest || Some(id.0) == wanted, "neither the lowest free id nor the one asked for");
            engine.id = Some(id);
            let end = ends_in.map(|seconds| self.now + Duration::from_secs_f64(seconds));
            engine.end = end.map(|end| (end, end.saturating_sub(Duration::from_secs_f64(drain_before))));
        }
        self.tell(control + 1, Message::Attach(Attach { peer, token }), vec![]);
        control
    }

    /// The launcher, which is a client too, and knows how engines end.
    pub fn launcher_joins(&mut self) -> u32 {
        let control = self.next_route;
        self.next_route += 2;
        self.clients.insert(control, ModelClient::default());
        let new = Hello::new(Role::Client, format!("uuid-{control}"), "host".to_owned(), control);
        self.tell(control, Message::Hello(Hello { launcher: true, ..new }), vec![]);
        let Welcome { peer, token, .. } = self.greeted[&control].clone();
        self.tell(control + 1, Message::Attach(Attach { peer, token }), vec![]);
        self.launcher = Some(control);
        control
    }

    /// A peer is known no more.
    fn forgotten(&mut self, control: u32) {
        self.over.retain(|other| *other != control);
        if let Some(engine) = self.engines.remove(&control) {
            self.dead.push(control);
            self.had.extend(engine.inbox.iter().map(|task| self.keys[task]));
            self.gone.extend(engine.id);
            self.note_hopeless();
        }
        self.clients.remove(&control);
    }

    /// Notes what names dead engines and none that is there.
    pub fn note_hopeless(&mut self) {
        let World { balanced, engines, gone, had, .. } = self;
        let is_there = |goes: &Goes| engines.iter().any(|(control, engine)| goes.may_go_to(*control, engine));
        let names_dead = |goes: &Goes| goes.only.iter().flatten().any(|id| gone.contains(id));
        had.extend(balanced.iter().filter(|(_, goes)| names_dead(goes) && !is_there(goes)).map(|(key, _)| *key));
    }

    /// The process of a peer has ended, and something holds its connections.
    pub fn exits(&mut self, control: u32, how: Option<&str>) {
        let peer = self.greeted[&control].peer;
        assert_eq!(self.watched.get(&peer), Some(&control), "watched");
        self.over.push(control);
        self.feed(Event::ProcessEnded(peer, how.map(str::to_owned)));
    }

    /// Nothing more comes from those whose processes have ended.
    pub fn nothing_more_comes(&mut self) {
        self.now += Limits::default().exit_grace;
        for control in std::mem::take(&mut self.over) {
            self.forgotten(control);
        }
        self.feed(Event::Tick);
    }

    pub fn gone(&mut self, control: u32, data: bool) {
        self.forgotten(control);
        self.feed(Event::Gone(Route(control + u32::from(data))));
        // The other connection ends a moment later.
        self.feed(Event::Gone(Route(control + u32::from(!data))));
    }
}
