//! Text on its way to clients, and what clients say they have received: a client that is slow is sent no more.

use super::{Effect, Work};
use crate::controller::task::Place;
use crate::wire::message::{Ack, Message, Output, RequestOutput, Stream};
use crate::wire::{Channel, Frame};
use ipclusterz_base::ids::{EngineId, PeerId};
use std::time::Duration;

impl Work {
    /// Passes text on to the client, unless too much of it is waiting there.
    pub fn output(&mut self, engine: EngineId, output: Output, payload: Vec<Frame>) {
        let Some(task) = self.tasks.get(&output.task) else { return };
        let Some(client) = self.clients.get_mut(&task.client) else { return };
        let Some(mut text) = payload.into_iter().next().filter(|_| task.place == Place::At(engine)) else { return };
        if client.waiting_bytes() > self.limits.output_bytes {
            // A note would be no line of what is displayed.
            if client.output_dropped || output.stream == Stream::Display {
                return;
            }
            client.output_dropped = true;
            text = Frame::from(&b"\n[output dropped: the client is too slow]\n"[..]);
        } else {
            client.output_dropped = false;
        }
        client.sent.bytes += text.len() as u64;
        let (request, position, stream) = (task.request, task.position, output.stream);
        let message = RequestOutput { request, position, engine, stream };
        self.effects.push(Effect::ToClient(task.client, Channel::Data, Message::RequestOutput(message), vec![text]));
    }

    /// What a client has received.
    pub fn ack(&mut self, client: PeerId, ack: Ack, now: Duration) {
        let Some(state) = self.clients.get_mut(&client) else { return };
        state.acked.replies = ack.replies.min(state.sent.replies).max(state.acked.replies);
        state.acked.bytes = ack.bytes.min(state.sent.bytes).max(state.acked.bytes);
        while let Some((_, name)) = state.reply_segments.pop_front_if(|(number, _)| *number <= state.acked.replies) {
            self.effects.push(Effect::Unlink(name));
        }
        if !state.queue.is_empty() && !self.turns.contains(&client) {
            self.turns.push_back(client);
            self.dispatch(now);
        }
    }
}
