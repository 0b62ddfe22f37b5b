//! What can happen.

use crate::clients::Goes;
use crate::deaths::Point;
use crate::peers::Part;
use crate::world::World;
use proptest::prelude::*;

/// Most engines, and most clients, that live at a time.
const MOST: usize = 3;

/// Whom a number means is counted among those that live.
#[derive(Debug, Clone, Copy)]
pub enum Step {
    Submit {
        client: u8,
        goes: Goes,
        function: bool,
    },
    Abort {
        client: u8,
        all: bool,
        all_clients: bool,
    },
    AskStatus(u8),
    /// So often that the controller says what it has received.
    AskOften(u8),
    Begin(u8),
    Write(u8),
    Finish(u8),
    Up {
        peer: u8,
        channel: usize,
        count: usize,
    },
    Down {
        peer: u8,
        channel: usize,
        count: usize,
    },
    /// A peer and the controller take all that is under way between them.
    Exchange(u8),
    /// So many steps of that.
    Approach {
        peer: u8,
        steps: usize,
    },
    /// The controller takes all that peers have sent, and nothing follows from it yet.
    Gather,
    Connect(u8),
    Cut(u8),
    Late {
        which: usize,
        end: bool,
    },
    /// The controller finds a connection broken, and the peer does not.
    Drop {
        peer: u8,
        channel: usize,
    },
    EngineDies {
        engine: u8,
        arrive: usize,
    },
    EngineComes {
        beside: bool,
    },
    ClientDies {
        client: u8,
        arrive: usize,
    },
    ClientCloses(u8),
    BreaksRules(u8),
    ClientComes {
        beside: bool,
    },
    /// Another client comes in the session of one that is or was there.
    Succeeds {
        client: u8,
        beside: bool,
    },
    KernelTells,
    LauncherTells,
    /// So many milliseconds.
    Wait(u64),
    Commit,
    Sync,
    Compact,
    Die {
        point: Point,
        arrive: usize,
    },
    Return,
    LosePower {
        at: u16,
        hole: bool,
        arrive: usize,
    },
}

fn goes() -> impl Strategy<Value = Goes> {
    prop_oneof![
        3 => Just(Goes::Anywhere(0)),
        1 => (1..3_u8).prop_map(Goes::Anywhere),
        2 => (1..8_u8).prop_map(Goes::To),
    ]
}

fn point() -> impl Strategy<Value = Point> {
    prop_oneof![
        Just(Point::BeforeWrite),
        any::<u16>().prop_map(Point::MidWrite),
        Just(Point::Written),
        (0..8_u8).prop_map(Point::MidSend),
    ]
}

/// How many messages of a connection still arrive.
fn arrive() -> impl Strategy<Value = usize> {
    prop_oneof![0..3_usize, Just(usize::MAX)]
}

fn work() -> impl Strategy<Value = Step> {
    let which = any::<u8>;
    prop_oneof![
        8 => (which(), goes(), any::<bool>()).prop_map(|(client, goes, function)| Step::Submit { client, goes, function }),
        1 => (which(), any::<bool>(), prop::bool::weighted(0.2))
            .prop_map(|(client, all, all_clients)| Step::Abort { client, all, all_clients }),
        1 => prop_oneof![20 => which().prop_map(Step::AskStatus), 1 => which().prop_map(Step::AskOften)],
        6 => which().prop_map(Step::Begin),
        2 => which().prop_map(Step::Write),
        6 => which().prop_map(Step::Finish),
    ]
}

fn network() -> impl Strategy<Value = Step> {
    let which = any::<u8>;
    let some = || (which(), 0..2_usize, 1..6_usize);
    prop_oneof![
        4 => some().prop_map(|(peer, channel, count)| Step::Up { peer, channel, count }),
        4 => some().prop_map(|(peer, channel, count)| Step::Down { peer, channel, count }),
        6 => which().prop_map(Step::Exchange),
        2 => (which(), 1..12_usize).prop_map(|(peer, steps)| Step::Approach { peer, steps }),
        1 => Just(Step::Gather),
        3 => which().prop_map(Step::Connect),
        2 => which().prop_map(Step::Cut),
        2 => (0..6_usize, any::<bool>()).prop_map(|(which, end)| Step::Late { which, end }),
        1 => (which(), 0..2_usize).prop_map(|(peer, channel)| Step::Drop { peer, channel }),
    ]
}

fn lives() -> impl Strategy<Value = Step> {
    let which = any::<u8>;
    prop_oneof![
        2 => (which(), arrive()).prop_map(|(engine, arrive)| Step::EngineDies { engine, arrive }),
        2 => any::<bool>().prop_map(|beside| Step::EngineComes { beside }),
        1 => (which(), arrive()).prop_map(|(client, arrive)| Step::ClientDies { client, arrive }),
        1 => which().prop_map(Step::ClientCloses),
        1 => which().prop_map(Step::BreaksRules),
        1 => any::<bool>().prop_map(|beside| Step::ClientComes { beside }),
        2 => (which(), any::<bool>()).prop_map(|(client, beside)| Step::Succeeds { client, beside }),
        2 => Just(Step::KernelTells),
        2 => Just(Step::LauncherTells),
        2 => prop_oneof![Just(5), Just(600), Just(3000), Just(31_000)].prop_map(Step::Wait),
    ]
}

fn controller() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => Just(Step::Commit),
        5 => Just(Step::Sync),
        1 => Just(Step::Compact),
        3 => (point(), arrive()).prop_map(|(point, arrive)| Step::Die { point, arrive }),
        4 => Just(Step::Return),
    ]
}

/// Anything but a loss of power.
pub fn step() -> impl Strategy<Value = Step> {
    prop_oneof![6 => work(), 6 => network(), 1 => lives(), 4 => controller()]
}

/// Anything.
pub fn step_with_power() -> impl Strategy<Value = Step> {
    let power =
        (any::<u16>(), any::<bool>(), arrive()).prop_map(|(at, hole, arrive)| Step::LosePower { at, hole, arrive });
    prop_oneof![24 => step(), 1 => power]
}

impl World {
    pub fn step(&mut self, step: Step) {
        match step {
            Step::Submit { client, goes, function } => self.with_client(client, |w, at| w.submit(at, goes, function)),
            Step::Abort { client, all, all_clients } => {
                self.with_client(client, |w, at| w.abort(at, all, all_clients));
            }
            Step::AskStatus(client) => self.with_client(client, World::ask_status),
            Step::AskOften(client) => self.with_client(client, |w, at| (0..70).for_each(|_| w.ask_status(at))),
            Step::Begin(engine) => self.with_engine(engine, World::begin),
            Step::Write(engine) => self.with_engine(engine, World::write_text),
            Step::Finish(engine) => self.with_engine(engine, World::finish),
            Step::Up { peer, channel, count } => self.with_peer(peer, |w, at| w.up(at, channel, count)),
            Step::Down { peer, channel, count } => self.with_peer(peer, |w, at| w.down(at, channel, count)),
            Step::Exchange(peer) => self.with_peer(peer, World::exchange),
            Step::Approach { peer, steps } => self.with_peer(peer, |w, at| w.approach(at, steps)),
            Step::Gather => (0..self.peers.len()).for_each(|at| self.up_all(at)),
            Step::Connect(peer) => self.with_peer(peer, World::connect),
            Step::Cut(peer) => self.with_peer(peer, World::cut_if_it_may),
            Step::Late { which, end } => self.late(which, end),
            Step::Drop { peer, channel } => self.with_peer(peer, |w, at| w.drop_connection(at, channel)),
            Step::Commit => self.commit(),
            Step::Sync => self.sync(),
            Step::Compact => self.compact(),
            Step::Die { point, arrive } => self.dies(point, arrive),
            Step::Return => self.returns(),
            Step::LosePower { at, hole, arrive } => self.loses_power(at, hole, arrive),
            Step::Wait(milliseconds) => self.waits(milliseconds),
            _ => self.step_of_lives(step),
        }
    }

    fn step_of_lives(&mut self, step: Step) {
        let engines = self.count(|part| matches!(part, Part::Engine(_)));
        let clients = self.count(|part| matches!(part, Part::Client(_)));
        match step {
            Step::EngineDies { engine, arrive } => self.with_engine(engine, |w, at| w.process_ends(at, arrive)),
            Step::EngineComes { beside } if engines < MOST => self.engine_comes(beside),
            Step::ClientDies { client, arrive } => self.with_client(client, |w, at| w.process_ends(at, arrive)),
            Step::ClientCloses(client) => self.with_client(client, World::client_closes),
            Step::BreaksRules(client) => self.with_client(client, World::breaks_rules),
            Step::ClientComes { beside } if clients < MOST => {
                self.client_comes(beside, self.launcher().is_none(), None)
            }
            Step::Succeeds { client, beside } if clients < MOST => self.succeeds(client, beside),
            Step::KernelTells => self.kernel_tells(),
            Step::LauncherTells => self.launcher_tells(),
            _ => {}
        }
    }

    fn with_peer(&mut self, which: u8, act: impl FnOnce(&mut World, usize)) {
        if let Some(at) = self.any_peer(which) {
            act(self, at);
        }
    }

    fn with_client(&mut self, which: u8, act: impl FnOnce(&mut World, usize)) {
        if let Some(at) = self.any_client(which) {
            act(self, at);
        }
    }

    fn with_engine(&mut self, which: u8, act: impl FnOnce(&mut World, usize)) {
        if let Some(at) = self.any_engine(which) {
            act(self, at);
        }
    }
}
