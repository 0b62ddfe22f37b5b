//! Which strand is which engine's connection. Pure.

use crate::transport::Route;
use crate::transport::bulk::lane::Whole;
use crate::wire::Channel;
use crate::wire::message::Message;
use crate::wire::strand::Strand;
use ipclusterz_base::ids::PeerId;
use std::collections::{BTreeMap, HashMap};

/// What a connection of an engine is, by the first message on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Opening {
    channel: Channel,
    /// Whose `data` it is.
    peer: Option<PeerId>,
}

impl Opening {
    /// None: the message is none with which a connection begins.
    pub fn of(message: &Message) -> Option<Opening> {
        match message {
            Message::Hello(_) => Some(Opening { channel: Channel::Control, peer: None }),
            Message::Attach(attach) => Some(Opening { channel: Channel::Data, peer: Some(attach.peer) }),
            _ => None,
        }
    }
}

/// What happened.
#[derive(Debug)]
pub enum Event {
    /// The controller has let the agent in.
    Up,
    /// The connections to the controller have broken.
    Down,
    /// A message of an engine's connection, and if that is not known yet, what it is to be.
    Engine(Route, Option<Opening>, Whole),
    /// An engine's connection has ended.
    EngineGone(Route),
    /// A message of a strand.
    Controller(Strand, Whole),
}

/// What is to be done.
#[derive(Debug)]
pub enum Action {
    /// Send this to the controller.
    Up(Channel, Strand, Whole),
    /// Send this to an engine; large frames as segments of its own.
    Down(Route, Option<PeerId>, Whole),
    /// End an engine's connection.
    Close(Route),
    /// Remove the segments of an engine that nobody will read.
    Sweep(PeerId),
}

#[derive(Debug, Clone, Copy)]
struct Line {
    strand: Strand,
    opening: Opening,
}

/// See the file.
#[derive(Debug, Default)]
pub struct Core {
    up: bool,
    last: u32,
    lines: HashMap<Route, Line>,
    routes: BTreeMap<Strand, Route>,
}

impl Core {
    /// Whether this connection has a strand. Of one that has none, the next message says what it is to be.
    pub fn knows(&self, route: Route) -> bool {
        self.lines.contains_key(&route)
    }

    /// Whether no engine has a connection.
    pub fn is_idle(&self) -> bool {
        self.lines.is_empty()
    }

    /// What follows from an event.
    pub fn handle(&mut self, event: Event) -> Vec<Action> {
        match event {
            Event::Up => {
                self.up = true;
                vec![]
            }
            Event::Down => self.down(),
            Event::Engine(route, opening, whole) => self.engine(route, opening, whole),
            Event::EngineGone(route) => self.engine_gone(route),
            Event::Controller(strand, whole) => self.controller(strand, whole),
        }
    }

    fn down(&mut self) -> Vec<Action> {
        self.up = false;
        self.lines.clear();
        std::mem::take(&mut self.routes).into_values().map(Action::Close).collect()
    }

    fn engine(&mut self, route: Route, opening: Option<Opening>, whole: Whole) -> Vec<Action> {
        let line = match (self.lines.get(&route), opening) {
            (Some(line), _) => *line,
            (None, Some(_)) if !self.up => return vec![Action::Close(route)],
            (None, Some(opening)) => self.open(route, opening),
            // Of a connection that was ended from this side.
            (None, None) => return vec![],
        };
        vec![Action::Up(line.opening.channel, line.strand, whole)]
    }

    fn open(&mut self, route: Route, opening: Opening) -> Line {
        self.last = self.last.wrapping_add(1).max(1);
        let line = Line { strand: Strand(self.last), opening };
        self.lines.insert(route, line);
        self.routes.insert(line.strand, route);
        line
    }

    fn engine_gone(&mut self, route: Route) -> Vec<Action> {
        let Some(Line { strand, opening }) = self.lines.remove(&route) else { return vec![] };
        self.routes.remove(&strand);
        let end = Action::Up(opening.channel, strand, Whole::default());
        // One that has dialled again goes on with what it has.
        let is_back = self.lines.values().any(|line| line.opening.peer == opening.peer);
        let swept = opening.peer.filter(|_| !is_back).map(Action::Sweep);
        [end].into_iter().chain(swept).collect()
    }

    fn controller(&mut self, strand: Strand, whole: Whole) -> Vec<Action> {
        let Some(route) = self.routes.get(&strand).copied() else { return vec![] };
        let peer = self.lines.get(&route).and_then(|line| line.opening.peer);
        vec![Action::Down(route, peer, whole)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Frame;
    use proptest::prelude::*;

    const CONTROL: Opening = Opening { channel: Channel::Control, peer: None };

    fn data(peer: u64) -> Opening {
        Opening { channel: Channel::Data, peer: Some(PeerId(peer)) }
    }

    fn message(number: u8) -> Whole {
        Whole::from(vec![Frame::from(vec![number])])
    }

    /// The strand of a connection that says its first message.
    fn open(core: &mut Core, route: u32, opening: Opening) -> Strand {
        match &core.handle(Event::Engine(Route(route), Some(opening), message(0)))[..] {
            [Action::Up(channel, strand, _)] if *channel == opening.channel => *strand,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn nobody_waits_at_an_agent_without_a_controller() {
        let mut core = Core::default();
        let actions = core.handle(Event::Engine(Route(1), Some(CONTROL), message(0)));
        assert!(matches!(actions[..], [Action::Close(Route(1))]));
        core.handle(Event::Up);
        let (first, second) = (open(&mut core, 1, CONTROL), open(&mut core, 2, data(7)));
        let closed = core.handle(Event::Down);
        assert!(matches!(closed[..], [Action::Close(Route(1)), Action::Close(Route(2))]) && core.is_idle());
        assert!(core.handle(Event::Engine(Route(1), None, message(1))).is_empty(), "what is late is dropped");
        assert!(core.handle(Event::Controller(first, message(1))).is_empty());
        core.handle(Event::Up);
        let third = open(&mut core, 3, CONTROL);
        assert!(![first, second].contains(&third), "no number is used twice");
    }

    #[test]
    fn segments_of_an_engine_go_with_its_last_connection() {
        let mut core = Core::default();
        core.handle(Event::Up);
        let strands = [open(&mut core, 1, data(7)), open(&mut core, 2, data(7))];
        let gone = core.handle(Event::EngineGone(Route(1)));
        assert!(
            matches!(&gone[..], [Action::Up(Channel::Data, strand, end)] if *strand == strands[0] && end.frames.is_empty())
        );
        let gone = core.handle(Event::EngineGone(Route(2)));
        assert!(matches!(gone[..], [Action::Up(..), Action::Sweep(PeerId(7))]));
        assert!(core.handle(Event::EngineGone(Route(2))).is_empty());
    }

    proptest! {
        #[test]
        fn what_is_said_comes_to_whom_it_is_meant_for_in_order(
            said in prop::collection::vec((1..5_u32, any::<bool>(), any::<u8>()), 0..64),
        ) {
            let mut core = Core::default();
            core.handle(Event::Up);
            let strands: Vec<Strand> = (1..5).map(|route| open(&mut core, route, data(route.into()))).collect();
            for (route, up, number) in said {
                let strand = strands[route as usize - 1];
                let event = if up { Event::Engine(Route(route), None, message(number)) } else { Event::Controller(strand, message(number)) };
                let actions = core.handle(event);
                let (found, whole) = match &actions[..] {
                    [Action::Up(Channel::Data, found, whole)] => (*found == strand && up, whole),
                    [Action::Down(found, peer, whole)] => (*found == Route(route) && *peer == Some(PeerId(route.into())) && !up, whole),
                    _ => panic!("{actions:?}"),
                };
                prop_assert!(found && *whole.frames[0] == [number]);
            }
        }
    }
}
