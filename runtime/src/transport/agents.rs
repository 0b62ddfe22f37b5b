//! The controller's side of agents. The engines of a host share the two connections of its agent: each of theirs is a strand
//! of these. Nothing above the transport knows: a strand has a number as a connection has, and ends as one does.

use super::{Admitted, Route};
use crate::wire::Frame;
use crate::wire::message::{Attach, Empty, Hello, Message, Refused, Welcome, Window};
use crate::wire::strand::{Strand, WHOLE};
use ipclusterz_base::connection::Role;
use ipclusterz_base::ids::PeerId;
use ipclusterz_base::places::random_hex;
use std::collections::{BTreeMap, HashMap};

/// Most strands of a connection: more engines than a host has.
const STRANDS_MAX: usize = 1 << 14;
/// So far behind the numbers that libzmq gives to connections, one after the other, are those of strands.
const BEHIND: u32 = 1 << 31;

/// See the file.
#[derive(Debug, Default)]
pub(super) struct Agents {
    /// Those that were let in, by their first connection: with what ties the second one to it.
    admitted: HashMap<Route, (PeerId, String)>,
    /// How many were let in.
    count: u64,
    /// Connections that are shared, and the strands of each.
    shared: HashMap<Route, BTreeMap<Strand, Route>>,
    /// Of which connection a strand is.
    strands: HashMap<Route, (Route, Strand)>,
    /// Whose `data` a strand is.
    owners: HashMap<Route, PeerId>,
    /// The number of the next strand, once there is one.
    next: Option<u32>,
}

impl Agents {
    /// An agent says `hello`: the answer.
    pub fn greet(&mut self, route: Route, admitted: Admitted, hello: &Hello) -> Message {
        if admitted != Admitted::Keyed(Role::Engine) || hello.role != Role::Engine {
            return Message::Refused(Refused::new("an agent needs the key of an engine, and comes through TCP"));
        }
        // From the last one down: those of peers count up.
        let peer = PeerId(u64::MAX.saturating_sub(self.count));
        self.count = self.count.saturating_add(1);
        let token = random_hex(16);
        self.admitted.insert(route, (peer, token.clone()));
        self.shared.insert(route, BTreeMap::new());
        Message::Welcome(Welcome::new(peer, token, Window { replies: 0, bytes: 0, request_bytes: 0 }))
    }

    /// Whether this peer is an agent.
    pub fn is_agent(&self, peer: PeerId) -> bool {
        self.admitted.values().any(|(agent, _)| *agent == peer)
    }

    /// An agent's second connection: the answer.
    pub fn attach(&mut self, route: Route, attach: &Attach) -> Message {
        if !self.admitted.values().any(|(peer, token)| *peer == attach.peer && *token == attach.token) {
            return Message::Refused(Refused::new("it belongs to no agent that was let in"));
        }
        self.shared.insert(route, BTreeMap::new());
        Message::Attached(Empty {})
    }

    /// A message says what a connection is to be. Whether that is a strand.
    pub fn heard(&mut self, route: Route, message: &Message) -> bool {
        let is_strand = self.strands.contains_key(&route);
        if let (Message::Attach(attach), true) = (message, is_strand) {
            self.owners.insert(route, attach.peer);
        }
        is_strand
    }

    /// Whose `data` a strand is, if it is one.
    pub fn owner(&self, route: Route) -> Option<PeerId> {
        self.owners.get(&route).copied()
    }

    /// Takes the mark from a message that is a strand's.
    pub fn unmark(&self, route: Route, frames: &mut Vec<Frame>) -> Strand {
        let marked = self.shared.contains_key(&route).then(|| frames.first().and_then(|first| Strand::of(first)));
        marked.flatten().inspect(|_| drop(frames.remove(0))).unwrap_or(WHOLE)
    }

    /// The number of a strand, as if it were a connection: it may be a new one. None where there are too many.
    pub fn route_of(&mut self, shared: Route, strand: Strand) -> Option<Route> {
        let strands = self.shared.get_mut(&shared)?;
        if let Some(route) = strands.get(&strand) {
            return Some(*route);
        }
        if strands.len() >= STRANDS_MAX {
            return None;
        }
        let number = self.next.unwrap_or(shared.0.wrapping_add(BEHIND));
        self.next = Some(number.wrapping_add(1));
        strands.insert(strand, Route(number));
        self.strands.insert(Route(number), (shared, strand));
        Some(Route(number))
    }

    /// The connection by which a strand is reached, and the mark of its messages. Other connections are themselves.
    pub fn way(&self, route: Route) -> (Route, Option<Frame>) {
        self.strands.get(&route).map_or((route, None), |(shared, strand)| (*shared, Some(strand.mark())))
    }

    /// A strand has ended.
    pub fn strand_ended(&mut self, route: Route) {
        self.owners.remove(&route);
        let strand = self.strands.remove(&route);
        if let Some((strands, strand)) =
            strand.and_then(|(shared, strand)| Some((self.shared.get_mut(&shared)?, strand)))
        {
            strands.remove(&strand);
        }
    }

    /// A connection has ended: the strands that end with it. None where it was not shared.
    pub fn ended(&mut self, route: Route) -> Option<Vec<Route>> {
        self.admitted.remove(&route);
        let strands: Vec<Route> = self.shared.remove(&route)?.into_values().collect();
        strands.iter().for_each(|strand| self.strand_ended(*strand));
        Some(strands)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENGINE: Admitted = Admitted::Keyed(Role::Engine);

    fn hello() -> Hello {
        Hello { agent: true, ..Hello::new(Role::Engine, "a".to_owned(), "n1".to_owned(), 1) }
    }

    /// Agents with one that was let in: its connections.
    fn with_one() -> (Agents, Route, Route) {
        let (mut agents, control, data) = (Agents::default(), Route(u32::MAX), Route(0));
        let Message::Welcome(welcome) = agents.greet(control, ENGINE, &hello()) else { panic!("refused") };
        assert!(agents.is_agent(welcome.peer));
        let wrong = Attach { peer: welcome.peer, token: "another".to_owned() };
        assert!(matches!(agents.attach(data, &wrong), Message::Refused(_)));
        let attached = agents.attach(data, &Attach { peer: welcome.peer, token: welcome.token });
        assert_eq!(attached, Message::Attached(Empty {}));
        (agents, control, data)
    }

    #[test]
    fn who_has_no_key_of_an_engine_is_no_agent() {
        let mut agents = Agents::default();
        for admitted in [Admitted::Local, Admitted::Keyed(Role::Client)] {
            assert!(matches!(agents.greet(Route(1), admitted, &hello()), Message::Refused(_)));
        }
        assert!(agents.ended(Route(1)).is_none());
    }

    #[test]
    fn strands_are_numbered_apart_from_connections_and_end_with_theirs() {
        let (mut agents, control, data) = with_one();
        let first = agents.route_of(control, Strand(1)).expect("a number");
        let second = agents.route_of(data, Strand(2)).expect("a number");
        assert!(![control, data, second].contains(&first));
        assert_eq!(agents.route_of(control, Strand(1)), Some(first));
        assert_eq!(agents.way(first), (control, Some(Strand(1).mark())));
        assert_eq!(agents.way(Route(5)), (Route(5), None));
        agents.strand_ended(first);
        assert_ne!(agents.route_of(control, Strand(1)), Some(first), "a new one");
        assert_eq!(agents.ended(data), Some(vec![second]));
        assert_eq!(agents.way(second), (second, None));
        assert_eq!(agents.route_of(data, Strand(3)), None);
    }

    #[test]
    fn only_shared_connections_have_marks() {
        let (agents, control, _) = with_one();
        let mut frames = vec![Strand(7).mark(), Frame::from(vec![0x82])];
        assert_eq!(agents.unmark(Route(5), &mut frames), WHOLE);
        assert_eq!((agents.unmark(control, &mut frames), frames.len()), (Strand(7), 1));
        assert_eq!((agents.unmark(control, &mut frames), frames.len()), (WHOLE, 1));
    }

    #[test]
    fn there_are_bounds() {
        let (mut agents, control, _) = with_one();
        for number in 0..STRANDS_MAX {
            assert!(agents.route_of(control, Strand(number as u32)).is_some());
        }
        assert_eq!(agents.route_of(control, Strand(u32::MAX)), None);
    }
}
