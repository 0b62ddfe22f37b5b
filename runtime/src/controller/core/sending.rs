//! Messages to peers, and the refusal of theirs.

use super::Core;
use crate::controller::event::Action;
use crate::controller::peer::{Peer, Presence};
use crate::transport::Route;
use crate::wire::message::Message;
use crate::wire::{Channel, Frame};
use ipclusterz_base::ids::{EngineId, PeerId};
use std::fmt::{self, Write};

/// So many questions and interrupts are sent to an engine that says nothing; it gets no more until it does.
const UNANSWERED_MAX: u32 = 1024;

impl Core {
    /// Sends to a client; if it has no connection, as soon as it has one again.
    pub(super) fn send_client(&mut self, client: PeerId, channel: Channel, message: Message, payload: Vec<Frame>) {
        if self.is_only_kept(client, &message, &payload) {
            return;
        }
        let Some(peer) = self.registry.peer_mut(client) else { return };
        if !self.work.told(client, channel, &message, &payload) {
            self.unreading.push(client);
        }
        peer.sent.push(channel, &message, &payload);
        if peer.presence == Presence::Here {
            self.actions.extend(to_peer(peer, channel, message, payload));
        }
    }

    pub(super) fn send_engine(&mut self, engine: EngineId, channel: Channel, message: Message, payload: Vec<Frame>) {
        let Some(peer) = self.registry.engine_mut(engine) else { return };
        if matches!(message, Message::Inspect(_) | Message::Interrupt(_)) {
            // Anybody may ask for these, as often as they like.
            if peer.unanswered >= UNANSWERED_MAX {
                return;
            }
            peer.unanswered = peer.unanswered.saturating_add(1);
        }
        peer.sent.push(channel, &message, &payload);
        if peer.presence == Presence::Here {
            self.actions.extend(to_peer(peer, channel, message, payload));
        }
    }

    pub(super) fn notify(&mut self, message: &Message) {
        let clients: Vec<PeerId> = self.registry.clients().map(|(id, _)| id).collect();
        for client in clients {
            self.send_client(client, Channel::Control, message.clone(), vec![]);
        }
    }

    /// The same for those that have their connections.
    pub(super) fn notify_present(&mut self, message: &Message) {
        let present = self.registry.clients().filter(|(_, peer)| peer.presence == Presence::Here);
        let clients: Vec<PeerId> = present.map(|(id, _)| id).collect();
        for client in clients {
            self.send_client(client, Channel::Control, message.clone(), vec![]);
        }
    }

    pub(super) fn send(&mut self, route: Route, message: Message) {
        self.actions.push(Action::Send { route, message, payload: vec![], shared_memory: false });
    }

    pub(super) fn reject(&mut self, route: Route, reason: String) {
        self.rejected += 1;
        self.actions.push(Action::Rejected(format!("connection {}: {reason}", route.0)));
    }
}

/// The action that sends to a peer; none if its `data` connection is not attached yet.
pub(super) fn to_peer(peer: &Peer, channel: Channel, message: Message, payload: Vec<Frame>) -> Option<Action> {
    let route = match channel {
        Channel::Control => peer.control,
        Channel::Data => peer.data?,
    };
    Some(Action::Send { route, message, payload, shared_memory: peer.hello.shared_memory })
}

/// What a message is called in a refusal; its content stays out of the log.
pub(super) fn kind(message: &Message) -> String {
    let mut kind = Kind(String::new());
    // It stops at the end of the first word, however much comes behind that.
    let _ = write!(kind, "{message:?}");
    kind.0
}

/// Takes the first word of what is written to it.
struct Kind(String);

impl fmt::Write for Kind {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let word = text.split(['(', ' ']).next().unwrap_or_default();
        self.0.push_str(word);
        if word.len() == text.len() { Ok(()) } else { Err(fmt::Error) }
    }
}
