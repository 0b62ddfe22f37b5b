//! What clients do and hear.

use crate::truth::{Asked, key_in, payload_of};
use crate::world::World;
use ipclusterz_base::ids::EngineId;
use ipclusterz_runtime::client::Pending;
use ipclusterz_runtime::client::request::Outgoing;
use ipclusterz_runtime::wire::message::*;
use ipclusterz_runtime::wire::part::{Packed, Part};
use ipclusterz_runtime::wire::resend::{Sending, is_counted};
use ipclusterz_runtime::wire::{Channel, Frame};
use std::sync::Arc;

/// The function that some tasks call.
const FUNCTION: FunctionName = FunctionName([9; 16]);

/// And its code.
pub const CODE: &[u8] = b"code";

/// Where a request goes.
#[derive(Debug, Clone, Copy)]
pub enum Goes {
    /// To whichever engine is free, and to others so many times if that dies.
    Anywhere(u8),
    /// To the engines of which this has the bit.
    To(u8),
}

impl Goes {
    fn asked(self) -> Asked {
        match self {
            Goes::Anywhere(retries) => Asked { targets: vec![None], retries: u32::from(retries) },
            Goes::To(bits) => {
                let ids = (0..3).filter(|id| bits >> id & 1 == 1).map(|id| Some(EngineId(id)));
                Asked { targets: ids.collect(), retries: 0 }
            }
        }
    }

    fn placement(self, asked: &Asked) -> Placement {
        match self {
            Goes::Anywhere(_) => Placement::Balanced { retries: asked.retries, engines: None, duration: None },
            Goes::To(_) => Placement::Engines(asked.targets.iter().flatten().copied().collect()),
        }
    }
}

impl World {
    pub fn submit(&mut self, at: usize, goes: Goes, function: bool) {
        let asked = goes.asked();
        if asked.targets.is_empty() {
            return;
        }
        let client = self.peers[at].client();
        let first = client.first as u32;
        let pending = Pending::new(asked.targets.clone(), 0.0, Arc::clone(&client.watched), Arc::default());
        let id = client.core.number(1);
        let key = (first, id);
        let function = function.then(|| (FUNCTION, client.core.functions.code(FUNCTION, CODE)));
        let mut packed = Packed::default();
        packed.push(&payload_of(key), None).expect("memory");
        let (placement, count, weak) = (goes.placement(&asked), asked.targets.len(), Arc::downgrade(&pending));
        client.core.submit(Outgoing {
            id,
            placement,
            op: Op::Apply,
            function,
            packed,
            pending: weak,
            base: 0,
            count,
            collective: false,
            timeout: None,
            keep: None,
            about: None,
            name: None,
            part: 0,
            terms: None,
            map: None,
            rank: 0,
        });
        client.submitted.insert(id, pending);
        let before = self.truth.asked.insert(key, asked);
        assert!(before.is_none(), "another client of this session has submitted {key:?}");
        self.flush(at, vec![]);
    }

    /// Gives up the last request, or all requests of this client or of all clients.
    pub fn abort(&mut self, at: usize, all: bool, all_clients: bool) {
        let client = self.peers[at].client();
        let Some((last, _)) = client.submitted.last_key_value() else { return };
        let requests = (!all && !all_clients).then_some(*last);
        let range = requests.map(|last| last..ipclusterz_base::ids::RequestId(last.0 + 1));
        client.core.abort_unsent(range.as_ref(), false, 0.0);
        let first = client.first as u32;
        let own = |key: &(u32, _)| all_clients || key.0 == first && requests.is_none_or(|last| key.1 == last);
        let keys: Vec<_> = self.truth.asked.keys().copied().filter(own).collect();
        self.truth.aborted.extend(keys);
        // What was submitted before goes first.
        let mut first = self.peers[at].client().core.next_sends();
        let requests = requests.map(|last| vec![last]);
        first.push((Channel::Data, Message::Abort(Abort { requests, all_clients, ..Abort::default() }), vec![]));
        self.flush(at, first);
    }

    pub fn ask_status(&mut self, at: usize) {
        self.flush(at, vec![(Channel::Control, Message::StatusRequest(Empty {}), vec![])]);
    }

    /// Has a client send what it may, as its reactor does.
    pub fn flush(&mut self, at: usize, mut sends: Vec<Sending>) {
        let crate::peers::Part::Client(client) = &mut self.peers[at].part else { return };
        if client.core.standing.is_none() {
            return;
        }
        sends.extend(client.core.next_sends());
        for (channel, message, _) in &sends {
            if *channel == Channel::Data && is_counted(message) {
                let request = if let Message::Request(request) = message { Some(request.id) } else { None };
                client.sent.push(request);
            }
        }
        let sends = client.core.outgoing(sends);
        self.put(at, sends);
    }

    pub fn client_hears(&mut self, at: usize, channel: Channel, message: Message, payload: Vec<Frame>) {
        match &message {
            Message::Reply(reply) => {
                let target = (self.key(at, reply.request), reply.position);
                let first = self.truth.answered.insert(target);
                assert!(first || self.truth.power_cuts > 0, "a second answer: {reply:?}");
                assert!(
                    reply.outcome != Outcome::Ok || key_in(&payload[0]) == target.0,
                    "not of {target:?}: {reply:?}"
                );
            }
            Message::Abort(_) => {
                let first = self.peers[at].client().first as u32;
                let all: Vec<_> = self.truth.asked.keys().copied().filter(|key| key.0 == first).collect();
                self.truth.aborted.extend(all);
            }
            _ => {}
        }
        let plain = |frames: Vec<Frame>, _: &Reply| Ok(frames.into_iter().map(Part::Frame).collect());
        self.peers[at].client().core.message(channel, message, payload, 0.0, plain);
        self.flush(at, vec![]);
    }

    /// The launcher says how an engine ended that it has seen end.
    pub fn launcher_tells(&mut self) {
        let Some(at) = self.launcher() else { return };
        if let Some(uuid) = self.words.pop() {
            let ended = EngineEnded { uuid, how: Some("signal: 9 (SIGKILL)".to_owned()), certain: true };
            self.flush(at, vec![(Channel::Control, Message::EngineEnded(ended), vec![])]);
            self.moved = true;
        }
    }
}
