//! What the client and the engines do.

use crate::world::{ENGINES, World};
use ipclusterz_base::connection::Role;
use ipclusterz_base::ids::{EngineId, TaskId};
use ipclusterz_runtime::client::Pending;
use ipclusterz_runtime::client::request::Outgoing;
use ipclusterz_runtime::wire::message::*;
use ipclusterz_runtime::wire::part::Packed;
use ipclusterz_runtime::wire::{Channel, Frame};
use std::sync::Arc;

impl World {
    pub fn submit(&mut self, balanced: bool, function: bool) {
        let targets = if balanced { vec![None] } else { (0..ENGINES).map(|id| Some(EngineId(id))).collect() };
        let count = targets.len();
        let pending = Pending::new(targets, 0.0, Arc::clone(&self.watched), Arc::default());
        let id = self.client.number(1);
        let placement = if balanced {
            Placement::Balanced { retries: 0, engines: None, duration: None }
        } else {
            Placement::Engines((0..ENGINES).map(EngineId).collect())
        };
        let name = FunctionName([9; 16]);
        let function = function.then(|| (name, self.client.functions.code(name, b"code")));
        let mut packed = Packed::default();
        packed.push(&id.0.to_be_bytes(), None).expect("memory");
        let (weak, base) = (Arc::downgrade(&pending), 0);
        self.client.submit(Outgoing {
            id,
            placement,
            op: Op::Apply,
            function,
            packed,
            pending: weak,
            base,
            count,
            collective: false,
            timeout: None,
            keep: None,
            name: None,
            about: None,
            part: 0,
            terms: None,
            map: None,
            rank: 0,
        });
        self.submitted.insert(id, pending);
        self.flush(vec![]);
    }

    pub fn abort(&mut self, all: bool) {
        let Some((last, _)) = self.submitted.last_key_value() else { return };
        let requests = (!all).then(|| vec![*last]);
        // What was submitted before goes first, as from `Client::abort`.
        let mut first = self.client.next_sends();
        first.push((Channel::Data, Message::Abort(Abort { requests, ..Abort::default() }), vec![]));
        self.flush(first);
    }

    pub fn abort_by_other(&mut self) {
        let (control, data) = (500, 501);
        let (peer, token) = self.welcome(control, Role::Client, "other");
        self.tell(data, Message::Attach(Attach { peer, token }), vec![]);
        self.tell(data, Message::Abort(Abort { all_clients: true, ..Abort::default() }), vec![]);
        [control, data].into_iter().for_each(|route| self.gone(route));
    }

    pub fn ask_status(&mut self) {
        self.statuses.0 += 1;
        self.flush(vec![(Channel::Control, Message::StatusRequest(Empty {}), vec![])]);
    }

    pub fn write(&mut self, number: u32) {
        let Some(&(task, request)) = self.engines[number as usize].inbox.front() else { return };
        let text = self.written.entry(request).or_default();
        let piece = format!("{number}:{},", text.len());
        text.push_str(&piece);
        let output = Message::Output(Output { task, client: ipclusterz_base::ids::PeerId(0), stream: Stream::Stdout });
        self.tell(2 * number + 1, output, vec![Frame::from(piece.into_bytes())]);
    }

    pub fn finish(&mut self, number: u32) {
        let Some((id, request)) = self.engines[number as usize].inbox.pop_front() else { return };
        *self.ran.entry(request).or_default() += 1;
        let (outcome, segments) = (TaskOutcome::Ok, vec![]);
        let result = TaskResult { id, outcome, started: 0.0, completed: 0.1, segments, standing: None, again: false };
        self.tell(2 * number + 1, Message::Result(result), vec![Frame::from(&b"value"[..])]);
    }

    pub fn answer_recall(&mut self, number: u32) {
        let engine = &mut self.engines[number as usize];
        let Some(asked) = engine.recalls.pop_front() else { return };
        let waits = |task: &TaskId| engine.inbox.iter().skip(1).any(|(other, _)| other == task);
        let (returned, kept): (Vec<TaskId>, Vec<TaskId>) = asked.into_iter().partition(waits);
        engine.inbox.retain(|(task, _)| !returned.contains(task));
        for task in &returned {
            // A balanced one may be given again.
            self.given.remove(task);
        }
        self.tell(2 * number + 1, Message::Recalled(Recalled { returned, kept }), vec![]);
    }
}
