//! Text on its way to clients: one that is slow is sent no more.
//!
//! An engine has so much output for a client under way, and waits before it sends more. What a client has taken goes back
//! to the engine as credit, and so does what it will never take.

use super::{Effect, Work};
use crate::controller::task::{Place, Written, size};
use crate::wire::message::{Message, Output, OutputTaken, RequestOutput, Stream};
use crate::wire::{Channel, Frame};
use ipclusterz_base::ids::{EngineId, PeerId};

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
        let windows = self.limits.output_window.saturating_mul(self.loads.len() as u64);
        let fits = client.output_bytes.0 <= self.limits.output_bytes.max(windows);
        if !fits {
            // A note would be no line of what is displayed.
            if client.output_dropped || output.stream == Stream::Display {
                return false;
            }
            text = Frame::from(&b"\n[output dropped: the client is too slow]\n"[..]);
        }
        client.output_dropped = !fits;
        let (request, position, stream) = (task.request, task.position, output.stream);
        let message = RequestOutput { request, position, engine, stream };
        self.effects.push(Effect::ToClient(task.client, Channel::Data, Message::RequestOutput(message), vec![text]));
        fits
    }

    /// Gives engines credit for the output that a client has: all messages on `data` up to `number`.
    pub(super) fn credit_taken(&mut self, client: PeerId, number: u64) {
        let Some(state) = self.clients.get_mut(&client) else { return };
        let mut taken = Vec::new();
        while let Some(written) = state.outputs.pop_front_if(|written| written.number <= number) {
            state.output_bytes -= written.bytes;
            taken.push(written);
        }
        taken.into_iter().for_each(|written| self.credit_writer(client, written));
    }

    /// Tells all engines, if that has changed, whether a client's results keep hardly any more output.
    pub(super) fn keeps_little(&mut self, client: PeerId, little: bool) {
        let Some(state) = self.clients.get_mut(&client) else { return };
        if std::mem::replace(&mut state.keeps_little, little) != little {
            let engines: Vec<EngineId> = self.loads.engines().collect();
            engines.into_iter().for_each(|engine| self.tell_credit(engine, client));
        }
    }

    pub(super) fn credit_writer(&mut self, client: PeerId, written: Written) {
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
        *credit = credit.saturating_add(bytes);
        if *credit >= CREDIT_BYTES || !self.clients.contains_key(&client) {
            self.tell_credit(engine, client);
        }
    }

    /// Tells an engine what it was not told yet, and whether the client keeps more.
    fn tell_credit(&mut self, engine: EngineId, client: PeerId) {
        let bytes = self.credits.remove(&(client, engine)).unwrap_or_default();
        let full = self.clients.get(&client).is_some_and(|state| state.keeps_little);
        let taken = Message::OutputTaken(OutputTaken { client, bytes, full });
        self.effects.push(Effect::ToEngine(engine, Channel::Control, taken, Vec::new()));
    }

    /// A client will not come back: no engine is to wait until it has read what is written.
    pub fn client_gone(&mut self, client: PeerId) {
        let Some(state) = self.clients.get_mut(&client) else { return };
        state.gone = true;
        self.held_bytes -= state.forget_all_functions();
        let outputs = std::mem::take(&mut state.outputs);
        self.credit_all(client, outputs);
    }

    /// Something is for a client that is not there and will not come back: another one finds it in the history.
    pub fn taken_by_nobody(&mut self, client: PeerId, message: &Message, payload: &[Frame]) {
        match message {
            Message::RequestOutput(output) => self.credit(output.engine, client, size(payload)),
            Message::Reply(_) => {
                let state = self.clients.get_mut(&client);
                let segments = state.map(|state| std::mem::take(&mut state.reply_segments)).unwrap_or_default();
                self.effects.extend(segments.into_iter().map(|(_, name)| Effect::Unlink(name)));
            }
            _ => {}
        }
    }

    /// A client has left: what engines have sent for it is not under way any more.
    pub(super) fn credit_all(&mut self, client: PeerId, outputs: impl IntoIterator<Item = Written>) {
        outputs.into_iter().for_each(|written| self.credit_writer(client, written));
        let of_client = (client, EngineId(0))..=(client, EngineId(u32::MAX));
        let engines: Vec<EngineId> = self.credits.range(of_client).map(|((_, engine), _)| *engine).collect();
        engines.into_iter().for_each(|engine| self.credit(engine, client, 0));
    }
}
