//! What peers may say to a controller, from their first byte on: its core, fed with raw frames.
//!
//! # Format
//!
//! A sequence of steps. The first byte of each says what happens, in the lower three bits, and how many payload frames a
//! message has, in the two above; the second byte names a connection. A message goes on with its length (two bytes, the lower
//! one first) and its header.
//!
//! Connections 0 to 3 came through the unix socket, 4 and 5 with the key of a client, 6 and 7 with that of an engine.

use ipclusterz_base::connection::Role;
use ipclusterz_runtime::controller::Limits;
use ipclusterz_runtime::controller::core::{Core, Identity};
use ipclusterz_runtime::controller::event::{Action, Event};
use ipclusterz_runtime::controller::oracle::Oracle;
use ipclusterz_runtime::transport::{Admitted, Route};
use ipclusterz_runtime::wire::message::Message;
use ipclusterz_runtime::wire::{Frame, codec};
use std::time::Duration;

const CONNECTIONS: u32 = 8;

/// Peers may say anything in any order. Each gets only what its key is good for, a stranger hardly anything, and answers
/// are no more than what was asked for.
pub fn handshake(bytes: &[u8]) {
    let mut world = World::new();
    let mut rest = bytes;
    while let Some(event) = world.next_event(&mut rest) {
        if !world.feed(event) {
            return;
        }
    }
}

struct World {
    core: Core,
    now: Duration,
    /// How often each connection was made anew: a number is never used again.
    made: [u32; CONNECTIONS as usize],
    /// How much was said so far.
    said: usize,
    /// Somebody who may has asked for the end.
    may_end: bool,
}

impl World {
    fn new() -> World {
        let identity = Identity { cluster: "fuzz".to_owned(), host: "n1".to_owned(), pid: 1, table: None };
        let limits = Limits { durable: true, ..Limits::default() };
        let core = Core::new(identity, limits, Oracle::new(|| "token".to_owned(), |_, _| None));
        World { core, now: Duration::ZERO, made: [0; CONNECTIONS as usize], said: 0, may_end: false }
    }

    /// The next step; none when the bytes are used up.
    fn next_event(&mut self, rest: &mut &[u8]) -> Option<Event> {
        let (what, connection) = (take(rest, 1)?[0], u32::from(take(rest, 1)?[0]) % CONNECTIONS);
        let made = &mut self.made[connection as usize];
        let route = Route(*made * CONNECTIONS + connection);
        Some(match what % 8 {
            5 => {
                *made += 1;
                if what & 8 == 0 { Event::Gone(route) } else { Event::Silent(route) }
            }
            6 => {
                self.now += Duration::from_millis(u64::from(what) * 64);
                Event::Tick
            }
            7 if what == 255 => {
                self.may_end = true;
                Event::Stop
            }
            _ => {
                let length = u16::from_le_bytes(take(rest, 2)?.try_into().ok()?);
                let header = take(rest, usize::from(length).min(rest.len()))?;
                let payload = vec![Frame::from(&b"payload"[..]); usize::from(what >> 3 & 3)];
                self.said += header.len() + payload.len() + 4;
                self.message(route, header, payload)
            }
        })
    }

    fn message(&mut self, route: Route, header: &[u8], payload: Vec<Frame>) -> Event {
        let admitted = admitted(route);
        match codec::decode(header) {
            Ok(message) => {
                self.may_end |= admitted != Admitted::Keyed(Role::Engine) && matches!(message, Message::Shutdown(_));
                Event::Message { route, admitted, message, payload }
            }
            Err(error) => Event::Undecodable { route, reason: error.to_string() },
        }
    }

    /// False: the controller has ended.
    fn feed(&mut self, event: Event) -> bool {
        let ticked = matches!(event, Event::Tick);
        let known = self.known();
        let actions = self.core.handle(event, self.now);
        assert!(ticked || actions.len() <= 64 + 8 * self.said, "{} actions after {} bytes", actions.len(), self.said);
        for action in actions {
            match action {
                Action::Send { route, message, .. } => self.sent(route, &message, known[index(route)]),
                Action::Log(text) | Action::Rejected(text) => assert!(text.len() < 1024 + 2 * self.said, "{text}"),
                Action::Exit => {
                    assert!(self.may_end, "the controller has ended, and nobody asked for it");
                    return false;
                }
                _ => {}
            }
        }
        let _ = self.core.next_tick();
        true
    }

    /// Which connections have a peer behind them.
    fn known(&self) -> [bool; CONNECTIONS as usize] {
        std::array::from_fn(|at| {
            let route = Route(self.made[at] * CONNECTIONS + at as u32);
            self.core.registry().of_route(route).is_some()
        })
    }

    /// What the controller says can be read, and is for the eyes of that peer.
    fn sent(&self, route: Route, message: &Message, known: bool) {
        let bytes = codec::encode(message);
        let again = codec::decode(&bytes).expect("our own header");
        assert_eq!(codec::encode(&again), bytes);
        if admitted(route) == Admitted::Keyed(Role::Engine) {
            assert!(!for_clients(message), "the holder of an engine's key was sent {message:?}");
        }
        // One that has gone gets nothing: its number is never used again.
        let stands = route.0 / CONNECTIONS == self.made[index(route)];
        if stands && !known && self.core.registry().of_route(route).is_none() {
            let greeting = matches!(message, Message::Refused(_) | Message::Goodbye(_));
            assert!(greeting, "a stranger was sent {message:?}");
        }
    }
}

fn index(route: Route) -> usize {
    (route.0 % CONNECTIONS) as usize
}

fn admitted(route: Route) -> Admitted {
    match index(route) {
        0..=3 => Admitted::Local,
        4 | 5 => Admitted::Keyed(Role::Client),
        _ => Admitted::Keyed(Role::Engine),
    }
}

fn for_clients(message: &Message) -> bool {
    use Message::{EngineAway, EngineJoined, EngineLeft, Reply, RequestOutput, StatusReply};
    matches!(message, Reply(_) | RequestOutput(_) | StatusReply(_) | EngineJoined(_) | EngineLeft(_) | EngineAway(_))
}

fn take<'a>(rest: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    rest.split_off(..count)
}
