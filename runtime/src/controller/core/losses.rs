//! How engines that died have ended.
//!
//! A connection that breaks does not say why. The launcher sees the process end, and says how a moment later; the kernel
//! tells of processes of this host. The answers for the tasks of such an engine wait for that, for a moment at most.
//! Clients are told at once that it has left, and once more when it is known how.
//!
//! And a connection need not break: a child that the process has left may hold its sockets. So what the launcher and the
//! kernel say ends a peer, too, once nothing more comes from it.

use super::Core;
use crate::controller::event::Action;
use crate::controller::losses::{Awaited, Unexplained};
use crate::controller::peer::{Peer, Presence};
use crate::wire::Channel;
use crate::wire::message::{EngineEnded, EngineLeft, EngineLoss, Happened, Message, Outcome};
use ipclusterz_base::connection::Role;
use ipclusterz_base::ids::{EngineId, PeerId};
use ipclusterz_base::process::Halt;
use std::time::Duration;

/// How a process ended of which no more is known.
const ENDED: &str = "its process has ended";

impl Core {
    /// An engine has left: its tasks are answered, and clients are told.
    pub(super) fn lost_engine(&mut self, id: PeerId, engine: EngineId, peer: &Peer, why: &str, now: Duration) {
        let who = format!("engine {engine} (pid {} on {})", peer.hello.pid, peer.hello.host);
        // At the end of a cluster all leave: nothing is looked up for them.
        let halt = if peer.leaving { None } else { self.halt(peer) };
        let why = halt.map_or_else(|| why.to_owned(), |halt| format!("{why}, and its process {}", halt.what()));
        let how = peer.ended.as_deref().or(peer.exited.as_deref()).unwrap_or(&why);
        let reason = if peer.leaving { format!("{who} was shut down") } else { format!("{who} died: {how}") };
        self.actions.push(Action::Log(reason.clone()));
        if !peer.leaving {
            let (uuid, host, how) = (peer.hello.uuid.clone(), peer.hello.host.clone(), how.to_owned());
            let loss = EngineLoss { id: engine, uuid, host, pid: peer.hello.pid, how, seconds_ago: 0.0 };
            self.losses.remember(loss, now);
        }
        // Of a process that is there nobody can say how it ended.
        let awaited = if halt.is_some() { Awaited::NOBODY } else { self.awaited(peer) };
        if awaited.any() {
            let until = now.saturating_add(self.limits.loss_grace);
            let (uuid, reason) = (peer.hello.uuid.clone(), reason.clone());
            let (watched, how) = (peer.watched, peer.exited.clone());
            let loss =
                Unexplained { engine, peer: id, watched, awaited, how, uuid, who, reason, until, replies: vec![] };
            self.losses.wait_for_word(loss);
        } else {
            self.unwatch(id, peer.watched);
        }
        self.worlds.left(engine, &reason);
        self.work.engine_left(engine, !peer.leaving, &reason, now);
        if peer.stood {
            let (reason, died) = (reason.clone(), !peer.leaving);
            self.work.observed.note(|| Happened::EngineLeft { engine, reason, died });
        }
        if peer.stood {
            self.tell_left(engine, &reason, awaited.any(), true);
        }
    }

    /// Why the process of a peer of this host does not go on.
    fn halt(&mut self, peer: &Peer) -> Option<Halt> {
        let birth = peer.hello.birth.filter(|_| peer.watched)?;
        self.oracle.halt(peer.hello.pid, birth.start_time)
    }

    /// Who may say in a moment how an engine ended that has left.
    fn awaited(&self, peer: &Peer) -> Awaited {
        // One that never had its second connection had no tasks, and no client was told of it.
        let open = !peer.leaving && peer.ended.is_none() && peer.stood;
        Awaited { launcher: open && self.has_launcher(), kernel: open && peer.watched && peer.exited.is_none() }
    }

    pub(super) fn unwatch(&mut self, peer: PeerId, watched: bool) {
        self.actions.extend(watched.then_some(Action::Unwatch(peer)));
    }

    /// The launcher says how an engine's process ended, or that it does not know.
    pub(super) fn engine_ended(&mut self, ended: &EngineEnded, now: Duration) {
        let of_it = |loss: &Unexplained| loss.uuid == ended.uuid;
        self.losses.note(of_it, |loss| loss.awaited.launcher = false);
        if let Some(how) = &ended.how {
            self.losses.correct(&ended.uuid, how);
            self.losses.note(of_it, |loss| (loss.how, loss.awaited.kernel) = (Some(how.clone()), false));
            let engine = self.registry.of_uuid(Role::Engine, &ended.uuid);
            if let Some((id, peer)) = engine.and_then(|id| Some((id, self.registry.peer_mut(id)?))) {
                peer.ended = Some(how.clone());
                if ended.certain {
                    self.exits_soon(id, now);
                } else {
                    self.wait_less(id, now);
                }
            }
        }
        self.explain_known();
    }

    /// The process of a peer has ended. What it sent before may still come.
    fn exits_soon(&mut self, id: PeerId, now: Duration) {
        self.exits.wait_until(id, now.saturating_add(self.limits.exit_grace));
        if let Some(engine) = self.registry.peer(id).and_then(|peer| peer.engine_id) {
            self.work.loads.end(engine);
        }
    }

    /// The kernel says that a peer's process has ended, and perhaps how.
    pub(super) fn process_ended(&mut self, id: PeerId, how: Option<String>, now: Duration) {
        self.losses.note(
            |loss| loss.peer == id,
            |loss| {
                loss.awaited.kernel = false;
                loss.how = loss.how.take().or(how.clone());
            },
        );
        self.explain_known();
        let Some(peer) = self.registry.peer_mut(id) else { return };
        peer.exited = Some(how.unwrap_or_else(|| ENDED.to_owned()));
        match peer.presence {
            // It has no connections, and will not come back.
            Presence::Away(_) if peer.engine_id.is_some() => self.forget(id, None, ENDED, now),
            // It will not come back, but somebody else may.
            Presence::Away(_) => self.lose(id, true, ENDED, now),
            _ => self.exits_soon(id, now),
        }
    }

    /// Gives up peers whose processes have ended, and of which nothing more came.
    pub(super) fn give_up_exited(&mut self, now: Duration) {
        for peer in self.exits.due(now) {
            let engine = self.registry.peer(peer).is_some_and(|peer| peer.engine_id.is_some());
            if engine { self.forget(peer, None, ENDED, now) } else { self.lose_ended(peer, now) }
        }
    }

    fn explain_known(&mut self) {
        for loss in self.losses.take(|loss| !loss.awaited.any()) {
            self.explain(loss);
        }
    }

    /// Waits no longer for a word about an engine whose id another one has now.
    pub(super) fn give_up_word_about(&mut self, engine: EngineId) {
        for loss in self.losses.take(|loss| loss.engine == engine) {
            self.explain(loss);
        }
    }

    /// Waits no longer for words that did not come in time.
    pub(super) fn give_up_words(&mut self, now: Duration) {
        for loss in self.losses.take(|loss| loss.until <= now) {
            self.explain(loss);
        }
    }

    /// Says what was kept back, with what is known now.
    fn explain(&mut self, loss: Unexplained) {
        self.unwatch(loss.peer, loss.watched);
        let reason = loss.how.as_ref().map_or_else(|| loss.reason.clone(), |how| format!("{} died: {how}", loss.who));
        if let Some(how) = &loss.how {
            self.losses.correct(&loss.uuid, how);
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

    pub(super) fn is_launcher(&self, client: PeerId) -> bool {
        self.registry.peer(client).is_some_and(|peer| peer.hello.launcher)
    }

    fn has_launcher(&self) -> bool {
        self.registry.clients().any(|(_, peer)| peer.hello.launcher)
    }
}
