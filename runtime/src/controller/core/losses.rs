//! How engines that died have ended.
//!
//! A connection that breaks does not say why. The launcher sees the process end, and says how a moment later. The
//! answers for the tasks of such an engine wait for that, for a moment at most. Clients are told at once that it has
//! left, and once more when it is known how.

use super::Core;
use crate::controller::event::Action;
use crate::controller::losses::Unexplained;
use crate::controller::peer::Peer;
use crate::wire::Channel;
use crate::wire::message::{EngineEnded, EngineLeft, EngineLoss, Message, Outcome};
use ipclusterz_base::connection::Role;
use ipclusterz_base::ids::EngineId;
use std::time::Duration;

impl Core {
    /// An engine has left: its tasks are answered, and clients are told.
    pub(super) fn lost_engine(&mut self, engine: EngineId, peer: &Peer, why: &str, now: Duration) {
        let who = format!("engine {engine} (pid {} on {})", peer.hello.pid, peer.hello.host);
        let how = peer.ended.as_deref().unwrap_or(why);
        let reason = if peer.leaving { format!("{who} was shut down") } else { format!("{who} died: {how}") };
        self.actions.push(Action::Log(reason.clone()));
        if !peer.leaving {
            let (uuid, host, how) = (peer.hello.uuid.clone(), peer.hello.host.clone(), how.to_owned());
            let loss = EngineLoss { id: engine, uuid, host, pid: peer.hello.pid, how, seconds_ago: 0.0 };
            self.losses.remember(loss, now);
        }
        // One that never had its second connection had no tasks, and no client was told of it.
        let explained = peer.leaving || peer.ended.is_some() || peer.data.is_none() || !self.has_launcher();
        if !explained {
            let (uuid, reason, until) =
                (peer.hello.uuid.clone(), reason.clone(), now.saturating_add(self.limits.loss_grace));
            self.losses.wait_for_word(Unexplained { engine, uuid, who, reason, until, replies: vec![] });
        }
        self.worlds.left(engine, &reason);
        self.work.engine_left(engine, &reason, now);
        if peer.data.is_some() {
            self.tell_left(engine, &reason, !explained, true);
        }
    }

    /// The launcher says how an engine's process ended, or that it does not know.
    pub(super) fn engine_ended(&mut self, ended: &EngineEnded) {
        if let Some(how) = &ended.how {
            self.losses.correct(&ended.uuid, how);
            let engine = self.registry.of_uuid(Role::Engine, &ended.uuid);
            if let Some(peer) = engine.and_then(|peer| self.registry.peer_mut(peer)) {
                peer.ended = Some(how.clone());
            }
        }
        for loss in self.losses.take(|loss| loss.uuid == ended.uuid) {
            self.explain(loss, ended.how.as_deref());
        }
    }

    /// Waits no longer for a word about an engine whose id another one has now.
    pub(super) fn give_up_word_about(&mut self, engine: EngineId) {
        for loss in self.losses.take(|loss| loss.engine == engine) {
            self.explain(loss, None);
        }
    }

    /// Waits no longer for words that did not come in time.
    pub(super) fn give_up_words(&mut self, now: Duration) {
        for loss in self.losses.take(|loss| loss.until <= now) {
            self.explain(loss, None);
        }
    }

    /// Says what was kept back, with what is known now.
    fn explain(&mut self, loss: Unexplained, how: Option<&str>) {
        let reason = how.map_or_else(|| loss.reason.clone(), |how| format!("{} died: {how}", loss.who));
        if how.is_some() {
            self.actions.push(Action::Log(reason.clone()));
            self.worlds.explained(&loss.reason, &reason);
            self.work.explained(loss.engine, &loss.reason, &reason);
        }
        self.tell_left(loss.engine, &reason, false, false);
        for (client, mut reply) in loss.replies {
            if let Outcome::Lost(why) | Outcome::RankLost(why) = &mut reply.outcome {
                *why = why.replace(&loss.reason, &reason);
            }
            self.send_client(client, Channel::Data, Message::Reply(reply), vec![]);
        }
    }

    /// `more`: another notice will come. It is not for the launcher, which knows what it says.
    fn tell_left(&mut self, id: EngineId, reason: &str, more: bool, to_launcher: bool) {
        let clients = self.registry.clients().filter(|(_, peer)| to_launcher || !peer.hello.launcher).map(|(id, _)| id);
        for client in clients.collect::<Vec<_>>() {
            let left = EngineLeft { id, reason: reason.to_owned(), more };
            self.send_client(client, Channel::Control, Message::EngineLeft(left), vec![]);
        }
    }

    fn has_launcher(&self) -> bool {
        self.registry.clients().any(|(_, peer)| peer.hello.launcher)
    }
}
