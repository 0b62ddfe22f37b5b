//! Who may say what: each message of a peer goes to the part responsible for it; any other message is refused.

use super::Core;
use super::sending::kind;
use crate::controller::work::Sessions;
use crate::controller::worlds::{NoGroup, Worlds};
use crate::transport::{Admitted, Route};
use crate::wire::message::{Group, Happened, Inspected, Message, Outcome, Placement, Refused, Request};
use crate::wire::{Channel, Frame};
use ipclusterz_base::connection::Role;
use ipclusterz_base::ids::{EngineId, PeerId};
use std::collections::BTreeSet;
use std::time::Duration;

impl Core {
    pub(super) fn message(
        &mut self,
        route: Route,
        admitted: Admitted,
        message: Message,
        payload: Vec<Frame>,
        now: Duration,
    ) {
        if matches!(message, Message::Hello(_) | Message::Attach(_)) {
            // The peer behind this connection starts anew.
            if let Some((peer, _)) = self.registry.of_route(route) {
                self.forget(peer, Some(route), "it started anew", now);
            }
        }
        let Some((peer, channel)) = self.registry.of_route(route) else {
            return self.stranger_says(route, admitted, message, now);
        };
        if !self.exits.is_empty() && self.exits.has(peer) {
            self.exits.wait_until(peer, now.saturating_add(self.limits.exit_grace));
        }
        self.count(peer, channel, &message, &payload);
        let (role, refused) = match self.registry.peer(peer).and_then(|peer| peer.engine_id) {
            Some(engine) => (Role::Engine, self.engine_says(peer, engine, channel, message, payload, now)),
            None => (Role::Client, self.client_says(peer, channel, message, payload, now)),
        };
        if let Some(message) = refused {
            self.reject(route, format!("a {} from this {role} on its {channel:?} connection", kind(&message)));
        }
    }

    /// A message on a connection without a peer.
    fn stranger_says(&mut self, route: Route, admitted: Admitted, message: Message, now: Duration) {
        match message {
            Message::Hello(hello) => self.hello(route, admitted, hello, now),
            Message::Attach(attach) => self.attach(route, &attach, now),
            // A client that closes, and whose other connection was found closed before.
            Message::Goodbye(_) => {}
            other => {
                // A peer whose other connection broke still thinks that it is known: it must start anew.
                self.send(route, Message::Refused(Refused::new("say hello first")));
                self.reject(route, format!("a {} before hello or attach", kind(&other)));
            }
        }
    }

    /// Handles a message of an engine; returns one that an engine may not send there.
    fn engine_says(
        &mut self,
        peer: PeerId,
        engine: EngineId,
        channel: Channel,
        message: Message,
        payload: Vec<Frame>,
        now: Duration,
    ) -> Option<Message> {
        if let Some(peer) = self.registry.peer_mut(peer) {
            peer.unanswered = 0;
        }
        match (channel, message) {
            (Channel::Data, Message::Result(result)) if Worlds::is_own(result.id) => {
                self.worlds.answered(engine, result.id, result.outcome, &payload);
            }
            (Channel::Data, Message::Result(result)) => self.work.result(engine, result, payload, now),
            (Channel::Data, Message::Recalled(recalled)) => {
                self.work.recalled(engine, &recalled, now);
                self.has_given_back(engine, now);
            }
            (Channel::Data, Message::NeedFunction(need)) => self.work.need_function(engine, need.task),
            (Channel::Data, Message::Output(output)) => self.work.output(engine, output, payload),
            (Channel::Control, Message::Ack(ack)) => {
                if let Some(peer) = self.registry.peer_mut(peer) {
                    peer.sent.arrived(ack.messages);
                }
            }
            (Channel::Control, Message::Usage(usage)) => {
                if let Some(peer) = self.registry.peer_mut(peer) {
                    peer.resident_bytes = usage.resident_bytes;
                }
                self.work.observed.note(|| Happened::EngineUsage { engine, usage });
            }
            (Channel::Control, Message::Inspect(inspect)) => self.inspect(peer, inspect),
            (Channel::Control, Message::Inspected(inspected)) => {
                self.inspected(Inspected { engine: Some(engine), ..inspected });
            }
            (_, other) => return Some(other),
        }
        None
    }

    /// Handles a message of a client; returns one that a client may not send there.
    fn client_says(
        &mut self,
        peer: PeerId,
        channel: Channel,
        message: Message,
        payload: Vec<Frame>,
        now: Duration,
    ) -> Option<Message> {
        match (channel, message) {
            (Channel::Data, Message::Request(request)) => self.submit(peer, request, payload, now),
            (Channel::Data, Message::ForgetFunctions(forget)) => self.work.forget_functions(peer, &forget.functions),
            (Channel::Data, Message::Abort(abort)) => self.abort(peer, abort, now),
            (Channel::Data, Message::Fulfilled(fulfilled)) => self.work.fulfilled(peer, &fulfilled),
            (Channel::Data, Message::Interrupt(targets)) => self.interrupt(targets),
            (Channel::Data, Message::Retire(list)) => self.retire(list.engines),
            (Channel::Data, Message::Goodbye(_)) => self.goodbye(peer),
            (Channel::Control, Message::Ack(ack)) => {
                if let Some(peer) = self.registry.peer_mut(peer) {
                    peer.sent.arrived(ack.messages);
                }
                self.work.ack(peer, ack, now);
            }
            (Channel::Control, Message::Shutdown(targets)) => self.shutdown(targets, now),
            (Channel::Control, Message::EngineEnded(ended)) => self.engine_ended(&ended, now),
            (Channel::Control, Message::EnginesExpected(expected)) if self.is_launcher(peer) => {
                if self.work.expected() != Some(&expected) {
                    self.notify(&Message::EnginesExpected(expected.clone()));
                }
                self.work.engines_expected(expected, now);
            }
            // Whoever does not read the answers to its questions gets no more of them.
            (Channel::Control, question @ (Message::Inspect(_) | Message::StatusRequest(_)))
                if !self.work.is_reading(peer) =>
            {
                return Some(question);
            }
            (Channel::Control, Message::Inspect(inspect)) => self.inspect(peer, inspect),
            (Channel::Control, Message::StatusRequest(_)) => {
                let status = self.status(now);
                self.send_client(peer, Channel::Control, Message::StatusReply(Box::new(status)), vec![]);
            }
            (_, other) => return Some(other),
        }
        None
    }

    fn submit(&mut self, peer: PeerId, request: Request, payload: Vec<Frame>, now: Duration) {
        if let Some(why) = &self.full {
            return self.work.refuse_request(peer, &request, &Outcome::Rejected(why.clone()));
        }
        let group = request.collective.then(|| self.group_of(&request.placement, request.timeout));
        let sessions = self.sessions_in(&request);
        self.work.submit(peer, request, group, payload, &sessions, now);
    }

    /// The other sessions of which a request names tasks.
    fn sessions_in(&self, request: &Request) -> Sessions {
        let Some(terms) = &request.terms else { return Sessions::new() };
        let parents = [&terms.after, &terms.follow].into_iter().flatten().flat_map(|dependency| &dependency.on);
        let named: BTreeSet<&str> = parents.filter_map(|parent| parent.task.session.as_deref()).collect();
        let found = named.into_iter().filter_map(|begin| Some((begin.to_owned(), self.session_beginning(begin)?)));
        found.collect()
    }

    /// The group that a collective request is for, if all its members are there. All of them are then given the request
    /// in one step, so that all engines get all collective requests in one order and no two wait for each other.
    fn group_of(&self, placement: &Placement, timeout: Option<f64>) -> Result<Group, Outcome> {
        let Placement::Engines(engines) = placement else {
            return Err(Outcome::Rejected("a balanced task is for one engine".to_owned()));
        };
        let group = self.worlds.group(engines).map_err(|none| match none {
            NoGroup::Never(reason) => Outcome::Rejected(reason),
            NoGroup::Lost(reason) => Outcome::RankLost(reason),
        })?;
        let leaves = |id: &&EngineId| self.work.loads.get(**id).is_none_or(|load| load.horizon.retiring);
        match engines.iter().find(leaves) {
            Some(id) => Err(self.work.takes_nothing_new(*id)),
            None => Ok(Group { timeout, ..group }),
        }
    }
}
