//! What arrives: replies and output go to those who wait for them, and changes of the cluster are noted.

use super::Core;
use crate::client::answer_id::{AnswerId, CLIENT_DIGITS};
use crate::client::event::Event;
use crate::client::pending::Answer;
use crate::client::questions::For;
use crate::wire::message::{Abort, EngineAway, Found, Kept, Message, Outcome, Reply, RequestOutput, Started, Stream};
use crate::wire::part::Part;
use crate::wire::weight::bytes_of;
use crate::wire::{Channel, Frame};
use ipclusterz_base::ids::{EngineId, RequestId};
use std::collections::BTreeSet;
use std::sync::Arc;

impl Core {
    /// A message of the controller; `unpack` maps a reply's segments.
    pub fn message(
        &mut self,
        channel: Channel,
        message: Message,
        payload: Vec<Frame>,
        now: f64,
        unpack: impl FnOnce(Vec<Frame>, &Reply) -> Result<Vec<Part>, String>,
    ) {
        self.received.messages.count(channel, &message);
        self.received_bytes += bytes_of(&payload, &[]);
        match message {
            Message::Reply(reply) => self.reply(reply, payload, now, unpack),
            Message::Started(started) => self.started(started),
            Message::RequestOutput(output) => self.output(output, &payload),
            Message::EngineJoined(info) => {
                self.engines.insert(info.id, (info.clone(), Arc::from(info.uuid.as_str())));
                self.gone.0.remove(&info.id);
                self.absent.remove(&info.id);
                self.happened(Event::EngineJoined(info));
            }
            Message::EngineAway(EngineAway { id, hangs: true, .. }) => self.happened(Event::EngineHangs(id)),
            Message::EngineAway(EngineAway { id, away: Some(away), .. }) => drop(self.absent.insert(id, (away, now))),
            Message::EngineAway(EngineAway { id, away: None, .. }) => drop(self.absent.remove(&id)),
            Message::EngineLeft(left) => {
                self.absent.remove(&left.id);
                let was_here = self.engines.remove(&left.id).is_some();
                self.gone.0.insert(left.id, left.clone());
                // A second notice only says how it ended.
                if was_here {
                    self.happened(Event::EngineLeft { id: left.id, reason: left.reason });
                }
            }
            Message::EnginesExpected(expected) => self.expected = Some(expected),
            Message::Abort(abort) => self.aborted_by_other(abort, now),
            Message::Received(counts) => self.sent.arrived(counts),
            Message::Goodbye(goodbye) => self.lost(&goodbye.reason, now),
            Message::StatusReply(status) => self.status = (self.status.0.wrapping_add(1), Some(*status)),
            Message::Inspected(inspected) => self.inspections.answered(inspected),
            Message::Kept(kept) => {
                let parts = payload.into_iter().map(Part::Frame).collect();
                let news = self.questions.kept(*kept, parts);
                self.answered(news, now);
            }
            Message::Found(found) => {
                let news = self.questions.found(found, payload);
                self.answered(news, now);
            }
            _ => {}
        }
    }

    fn reply(
        &mut self,
        reply: Reply,
        payload: Vec<Frame>,
        now: f64,
        unpack: impl FnOnce(Vec<Frame>, &Reply) -> Result<Vec<Part>, String>,
    ) {
        self.received.replies = self.received.replies.saturating_add(1);
        self.acknowledge |= !reply.segments.is_empty();
        let Some(request) = self.requests.get_mut(&reply.request) else {
            if let Some(early) = &mut self.early {
                early.insert(AnswerId { request: reply.request, position: reply.position });
            }
            return;
        };
        let Some(index) = request.index(reply.position) else { return };
        if request.pending.upgrade().is_some_and(|pending| pending.is_done(index)) {
            // It came again, from a controller whose journal has lost its end.
            return;
        }
        request.open -= 1;
        self.open_replies -= 1;
        if let (Outcome::Rejected(_), Some(name)) = (&reply.outcome, request.function) {
            self.functions.refused(name);
        }
        if let Some(pending) = request.pending.upgrade() {
            let unpacked = unpack(payload, &reply);
            let engine_uuid = reply.engine.and_then(|id| self.engines.get(&id)).map(|(_, uuid)| Arc::clone(uuid));
            let (outcome, parts) = match unpacked {
                Ok(parts) => (reply.outcome, parts),
                Err(problem) => (Outcome::Rejected(problem), vec![]),
            };
            let (started, completed) = (reply.started, reply.completed);
            let answer =
                Answer { outcome, engine: reply.engine, engine_uuid, parts, started, completed, received: now };
            pending.resolve(index, answer);
        }
        if request.open.0 == 0 {
            self.open_bytes -= request.bytes;
            self.requests.remove(&reply.request);
        }
    }

    /// What came of requests that another client of this session has submitted.
    fn answered(&mut self, news: For, now: f64) {
        match news {
            For::Asker => {}
            For::Adopted(kept, parts) => {
                let Kept { reply, engine_uuid, output, dropped, .. } = *kept;
                self.write_all(&reply, output);
                let outcome = dropped.map_or(reply.outcome, Outcome::Lost);
                let answer = Answer {
                    outcome,
                    engine: reply.engine,
                    engine_uuid: engine_uuid.map(Arc::from),
                    parts,
                    started: reply.started,
                    completed: reply.completed,
                    // Not much later, there.
                    received: if reply.completed > 0.0 { reply.completed.min(now) } else { now },
                };
                self.resolve(reply.request, reply.position, answer);
            }
            For::Complete(requests, found) => self.give_up_unknown(&requests, &found, now),
        }
    }

    fn write_all(&self, reply: &Reply, output: Vec<(EngineId, Stream, String)>) {
        let Some(request) = self.requests.get(&reply.request) else { return };
        let Some((pending, index)) = request.pending.upgrade().zip(request.index(reply.position)) else { return };
        if !pending.is_done(index) {
            output.iter().for_each(|(engine, stream, text)| pending.output(index, *engine, *stream, text));
        }
    }

    /// Of what is neither under way nor kept nobody knows any more.
    fn give_up_unknown(&mut self, requests: &[RequestId], found: &Found, now: f64) {
        let open: BTreeSet<&str> = found.tasks.iter().map(|task| task.id.as_str()).collect();
        let why = found.error.clone().unwrap_or_else(|| "it is not kept any more".to_owned());
        let session = self.session.as_ref().map(|session| session.id.clone()).unwrap_or_default();
        let begins = session.get(..CLIENT_DIGITS).unwrap_or_default();
        for request in requests {
            let Some(under_way) = self.requests.get(request) else { continue };
            let count = u32::try_from(under_way.count).unwrap_or(u32::MAX);
            let unknown = |position: &u32| {
                !open.contains(AnswerId { request: *request, position: *position }.text(begins).as_str())
            };
            for position in (0..count).filter(unknown).collect::<Vec<_>>() {
                let (engine, engine_uuid, parts, started, completed) = Default::default();
                let outcome = Outcome::Lost(why.clone());
                let answer = Answer { outcome, engine, engine_uuid, parts, started, completed, received: now };
                self.resolve(*request, position, answer);
            }
        }
    }

    /// An answer that did not come as a reply.
    fn resolve(&mut self, request: RequestId, position: u32, answer: Answer) {
        let Some(under_way) = self.requests.get_mut(&request) else { return };
        let Some(index) = under_way.index(position) else { return };
        let pending = under_way.pending.upgrade();
        if pending.as_ref().is_some_and(|pending| pending.is_done(index)) {
            return;
        }
        under_way.open -= 1;
        self.open_replies -= 1;
        if under_way.open.0 == 0 {
            self.open_bytes -= under_way.bytes;
            self.requests.remove(&request);
        }
        if let Some(pending) = pending {
            pending.resolve(index, answer);
        }
    }

    /// Another client aborts what all have: also what is on its way to the controller, and what was not sent.
    fn aborted_by_other(&mut self, abort: Abort, now: f64) {
        if abort.engines.is_none() {
            self.abort_unsent(None, false, now);
        }
        self.abort = Some(Abort { all_clients: false, ..abort });
    }

    fn started(&self, started: Started) {
        if let Some(request) = self.requests.get(&started.request)
            && let Some(pending) = request.pending.upgrade()
        {
            request.index(started.position).into_iter().for_each(|index| pending.started(index));
        }
    }

    fn output(&mut self, output: RequestOutput, payload: &[Frame]) {
        let text = payload.first().map_or(&[][..], |text| text);
        if let Some(request) = self.requests.get(&output.request)
            && let Some(pending) = request.pending.upgrade()
            && let Some(index) = request.index(output.position)
        {
            pending.output(index, output.engine, output.stream, &String::from_utf8_lossy(text));
        }
    }
}
