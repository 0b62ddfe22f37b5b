//! Text on its way to clients, and what clients say they have received: a client that is slow is sent no more.
//!
//! An engine has so much output for a client under way, and waits before it sends more. What a client has taken goes back
//! to the engine as credit, and so does what it will never take.

use super::{Effect, Work};
use crate::controller::task::{Place, Written};
use crate::wire::message::{Ack, Message, Output, OutputTaken, RequestOutput, Stream};
use crate::wire::{Channel, Frame};
use ipclusterz_base::ids::{EngineId, PeerId};
use std::time::Duration;

/// So many bytes are worth a message to the engine.
const CREDIT_BYTES: u64 = 256 << 10;

impl Work {
    /// Passes text on to the client, unless too much of it is waiting there.
    pub fn output(&mut self, engine: EngineId, output: Output, payload: Vec<Frame>) {
        let Some(text) = payload.into_iter().next() else { return };
        let bytes = text.len() as u64;
        if !self.pass_on(engine, output, text) {
            self.credit(engine, output.client, bytes);
        }
    }

    /// False: nobody gets it.
    fn pass_on(&mut self, engine: EngineId, output: Output, mut text: Frame) -> bool {
        let Some(task) = self.tasks.get(&output.task).filter(|task| task.place == Place::At(engine)) else {
            return false;
        };
        let Some(client) = self.clients.get_mut(&task.client) else { return false };
        let Some(writer) = self.loads.get(engine).map(|load| load.peer) else { return false };
        let most = self.limits.output_bytes.max(self.limits.output_window.saturating_mul(self.loads.len() as u64));
        let fits = client.output_bytes <= most;
        if !fits {
            // A note would be no line of what is displayed.
            if client.output_dropped || output.stream == Stream::Display {
                return false;
            }
            text = Frame::from(&b"\n[output dropped: the client is too slow]\n"[..]);
        }
        client.output_dropped = !fits;
        let bytes = text.len() as u64;
        client.sent.bytes += bytes;
        client.sent.output += bytes;
        client.output_bytes += bytes;
        client.outputs.push_back(Written { end: client.sent.output, bytes, engine, writer });
        let (request, position, stream) = (task.request, task.position, output.stream);
        let message = RequestOutput { request, position, engine, stream };
        self.effects.push(Effect::ToClient(task.client, Channel::Data, Message::RequestOutput(message), vec![text]));
        fits
    }

    /// What a client has received.
    pub fn ack(&mut self, client: PeerId, ack: Ack, now: Duration) {
        let Some(state) = self.clients.get_mut(&client) else { return };
        state.acked.replies = ack.replies.min(state.sent.replies).max(state.acked.replies);
        state.acked.bytes = ack.bytes.min(state.sent.bytes).max(state.acked.bytes);
        state.acked.output = ack.output.min(state.sent.output).max(state.acked.output);
        while let Some((_, name)) = state.reply_segments.pop_front_if(|(number, _)| *number <= state.acked.replies) {
            self.effects.push(Effect::Unlink(name));
        }
        if !state.queue.is_empty() && !self.turns.contains(&client) {
            self.turns.push_back(client);
            self.dispatch(now);
        }
        self.credit_taken(client);
        if self.clients.get_mut(&client).is_some_and(|state| std::mem::replace(&mut state.full, ack.full) != ack.full) {
            let engines: Vec<EngineId> = self.loads.engines().collect();
            engines.into_iter().for_each(|engine| self.tell_credit(engine, client));
        }
    }

    /// Gives engines credit for the output that a client has acknowledged.
    fn credit_taken(&mut self, client: PeerId) {
        let Some(state) = self.clients.get_mut(&client) else { return };
        let mut taken = Vec::new();
        while let Some(written) = state.outputs.pop_front_if(|written| written.end <= state.acked.output) {
            state.output_bytes -= written.bytes;
            taken.push(written);
        }
        taken.into_iter().for_each(|written| self.credit_writer(client, written));
    }

    fn credit_writer(&mut self, client: PeerId, written: Written) {
        if self.loads.get(written.engine).is_some_and(|load| load.peer == written.writer) {
            self.credit(written.engine, client, written.bytes);
        }
    }

    /// So much of what an engine has sent for a client is not under way any more. It is told when that is worth it.
    fn credit(&mut self, engine: EngineId, client: PeerId, bytes: u64) {
        if self.loads.get(engine).is_none() {
            return;
        }
        let credit = self.credits.entry((client, engine)).or_default();
        *credit += bytes;
        if *credit >= CREDIT_BYTES || !self.clients.contains_key(&client) {
            self.tell_credit(engine, client);
        }
    }

    /// Tells an engine what it was not told yet, and whether the client keeps more.
    fn tell_credit(&mut self, engine: EngineId, client: PeerId) {
        let bytes = self.credits.remove(&(client, engine)).unwrap_or_default();
        let full = self.clients.get(&client).is_some_and(|state| state.full);
        let taken = Message::OutputTaken(OutputTaken { client, bytes, full });
        self.effects.push(Effect::ToEngine(engine, Channel::Control, taken, Vec::new()));
    }

    /// A client has left: what engines have sent for it is not under way any more.
    pub(super) fn credit_all(&mut self, client: PeerId, outputs: impl IntoIterator<Item = Written>) {
        outputs.into_iter().for_each(|written| self.credit_writer(client, written));
        let of_client = (client, EngineId(0))..=(client, EngineId(u32::MAX));
        let engines: Vec<EngineId> = self.credits.range(of_client).map(|((_, engine), _)| *engine).collect();
        engines.into_iter().for_each(|engine| self.credit(engine, client, 0));
    }
}
