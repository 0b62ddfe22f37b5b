//! Text on its way to clients: one that is slow is sent no more.

use super::{Effect, Work};
use crate::controller::task::Place;
use crate::wire::message::{Message, Output, RequestOutput, Stream};
use crate::wire::{Channel, Frame};
use ipclusterz_base::ids::EngineId;

impl Work {
    /// Passes text on to the client, unless too much of it is waiting there.
    pub fn output(&mut self, engine: EngineId, output: Output, payload: Vec<Frame>) {
        let Some(task) = self.tasks.get(&output.task) else { return };
        let Some(client) = self.clients.get_mut(&task.client) else { return };
        let Some(mut text) = payload.into_iter().next().filter(|_| task.place == Place::At(engine)) else { return };
        if client.unread.bytes() > self.limits.output_bytes {
            // A note would be no line of what is displayed.
            if client.output_dropped || output.stream == Stream::Display {
                return;
            }
            client.output_dropped = true;
            text = Frame::from(&b"\n[output dropped: the client is too slow]\n"[..]);
        } else {
            client.output_dropped = false;
        }
        let (request, position, stream) = (task.request, task.position, output.stream);
        let message = RequestOutput { request, position, engine, stream };
        self.effects.push(Effect::ToClient(task.client, Channel::Data, Message::RequestOutput(message), vec![text]));
    }
}
