//! What must hold when everything has come to rest.

use crate::peers::{Client, Part, Peer};
use crate::truth::{Target, value_of};
use crate::world::{SESSION_GRACE, World};
use ipclusterz_base::ids::{EngineId, RequestId};
use ipclusterz_runtime::client::Answer;
use ipclusterz_runtime::controller::peer::Presence;
use ipclusterz_runtime::wire::message::Outcome;

impl World {
    /// Each target of each request of a client that lives has its one answer; and what was received of others was done.
    pub fn looks_at_answers(&self) {
        for (at, peer) in self.peers.iter().enumerate() {
            let Part::Client(client) = &peer.part else { continue };
            if peer.alive {
                self.looks_at_client(at, client);
            } else if let Some(since) = peer.vanished
                // Of a process of its host, the kernel tells the controller that it has ended.
                && !peer.beside
                && self.now < peer.trouble.unwrap_or(since).min(since) + SESSION_GRACE
            {
                let received = client.sent.iter().take(peer.received.data as usize).flatten();
                received.for_each(|request| self.looks_at_orphan(at, client, *request));
            }
        }
    }

    /// Who has a session knows the engines that there are, and what the session is called.
    fn looks_at_session(&self, client: &Client) {
        let process = self.process.as_ref().expect("a controller");
        let there: Vec<_> = process.core.registry().engines().map(|(id, peer)| (id, &*peer.hello.uuid)).collect();
        let known: Vec<_> = client.core.engines.iter().map(|(id, (info, _))| (*id, &*info.uuid)).collect();
        assert_eq!(known, there, "the engines that a client knows, and those that there are");
        assert!(client.core.session.is_some(), "it does not know what its session is called");
    }

    fn looks_at_client(&self, at: usize, client: &Client) {
        if client.core.standing.is_some() {
            self.looks_at_session(client);
        }
        assert_eq!(client.core.under_way(), 0, "answers are missing");
        for (request, pending) in &client.submitted {
            for index in 0..pending.len() {
                let target = (self.key(at, *request), index as u32);
                let answer = pending.answer(index).unwrap_or_else(|| panic!("{target:?} has no answer"));
                self.looks_at_answer(client, target, &answer);
                let texts = self.truth.texts.get(&target).map_or("", String::as_str);
                let once = self.truth.runs.get(&target).is_some_and(|runs| runs.len() == 1);
                if once && self.truth.power_cuts == 0 && answer.outcome == Outcome::Ok {
                    let (written, _) = pending.outputs(index).expect("an answer");
                    assert_eq!(written, texts, "what {target:?} wrote");
                }
            }
        }
    }

    fn looks_at_answer(&self, client: &Client, target: Target, answer: &Answer) {
        let runs = self.truth.runs.get(&target).map(Vec::as_slice).unwrap_or_default();
        match &answer.outcome {
            Outcome::Ok => {
                assert_eq!(&*answer.parts[0], &value_of(target)[..], "another one's answer");
                assert!(!runs.is_empty(), "{target:?} never ran");
            }
            Outcome::Aborted => {
                assert!(self.truth.aborted.contains(&target.0), "nobody gave {target:?} up");
                // After a loss of power the abort comes again, and may come too late.
                let may_have_run = self.truth.power_cuts > 0 || self.truth.asked[&target.0].retries > 0;
                assert!(runs.is_empty() || may_have_run, "{target:?} was given up, and ran: {runs:?}");
            }
            Outcome::Lost(why) => {
                assert!(self.may_be_lost(client, target, answer.engine), "{target:?} was lost: {why}; {runs:?}");
            }
            other => panic!("{target:?}: {other:?}"),
        }
    }

    /// Its session has ended, or an engine with this id has, or there was none; or it was given up in a moment that the journal
    /// has forgotten.
    fn may_be_lost(&self, client: &Client, (key, _): Target, engine: Option<EngineId>) -> bool {
        let by_engine = match engine {
            Some(id) => !self.was_always_there(id),
            None => !(0..3).any(|id| self.was_always_there(EngineId(id))),
        };
        let forgotten = self.truth.power_cuts > 0 && self.truth.aborted.contains(&key);
        client.cut_off.contains(&key.1) || by_engine || forgotten
    }

    /// The first engine with this id has never been away for too long.
    fn was_always_there(&self, id: EngineId) -> bool {
        let first = self.peers.iter().find_map(|peer| match &peer.part {
            Part::Engine(engine) if engine.id == Some(id) => Some((peer, engine)),
            _ => None,
        });
        first.is_some_and(|(peer, engine)| peer.alive && !engine.ended && engine.wanted.is_none() && peer.pid < 103)
    }

    /// A request of a client that has vanished was received.
    fn looks_at_orphan(&self, at: usize, client: &Client, request: RequestId) {
        let key = self.key(at, request);
        let ended = |peer: &Peer| matches!(&peer.part, Part::Engine(engine) if engine.ended);
        if self.truth.aborted.contains(&key) || client.cut_off.contains(&request) || self.peers.iter().any(ended) {
            return;
        }
        for target in (0..).map(|position| (key, position)).take(self.truth.asked[&key].targets.len()) {
            let ran = self.truth.runs.get(&target).is_some_and(|runs| !runs.is_empty());
            assert!(ran || self.is_for_nobody(target), "{target:?} was received, and never ran");
        }
    }

    /// It was for an engine that was not there.
    fn is_for_nobody(&self, (key, position): Target) -> bool {
        let target = self.truth.asked[&key].targets[position as usize];
        target.is_some_and(|id| !self.was_always_there(id))
    }

    /// All have said how much they have: nothing is kept for them.
    pub fn looks_at_what_is_kept(&self) {
        for peer in self.peers.iter().filter(|peer| peer.alive) {
            assert_eq!(peer.kept(), 0, "{} keeps something", peer.uuid);
        }
        let Some(process) = &self.process else { panic!("it has returned") };
        for (id, peer) in process.core.registry().peers().filter(|(_, peer)| peer.presence == Presence::Here) {
            assert!(peer.sent.is_empty(), "something is kept for {id}: {:?}", peer.sent);
        }
    }
}
