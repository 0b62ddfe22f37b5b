//! Aborting what waits, interrupting what runs, and ending engines or the whole cluster.

use super::Core;
use crate::controller::event::Action;
use crate::controller::peer::Presence;
use crate::wire::Channel;
use crate::wire::message::{Abort, Goodbye, Message, Targets};
use ipclusterz_base::ids::{EngineId, PeerId};
use std::collections::BTreeSet;
use std::time::Duration;

impl Core {
    /// Aborts requests. If they are those of all clients, these are told, for they may have more that they have not sent.
    pub(super) fn abort(&mut self, client: PeerId, abort: Abort, now: Duration) {
        let Some(session) = self.session_named(abort.session.as_deref(), client) else { return };
        self.work.abort(session, &abort, now);
        if !abort.all_clients {
            return;
        }
        let hello = self.registry.peer(client).map(|peer| &peer.hello);
        let who = hello.map(|hello| format!(" (pid {} on {})", hello.pid, hello.host)).unwrap_or_default();
        self.actions.push(Action::Log(format!("client {client}{who} aborted the requests of all clients")));
        // Who has no second connection yet has submitted nothing, and would not get it.
        let others = self.registry.clients().filter(|(id, peer)| *id != client && peer.stood).map(|(id, _)| id);
        let others: Vec<PeerId> = others.collect();
        for other in others {
            self.send_client(other, Channel::Data, Message::Abort(Abort { requests: None, ..abort.clone() }), vec![]);
        }
    }

    pub(super) fn interrupt(&mut self, targets: Targets) {
        for engine in self.resolve(targets.engines) {
            self.send_engine(engine, Channel::Data, Message::Interrupt(Targets { engines: None }), vec![]);
        }
    }

    pub(super) fn shutdown(&mut self, targets: Targets, now: Duration) {
        if targets.engines.is_none() {
            return self.stop_all(now);
        }
        for engine in self.resolve(targets.engines) {
            match self.registry.engine_mut(engine) {
                Some(peer) if !peer.leaving => peer.leaving = true,
                // It was told already.
                _ => continue,
            }
            self.send_engine(engine, Channel::Control, Message::Shutdown(Targets { engines: None }), vec![]);
            if let Some(id) = self.registry.peer_of_engine(engine) {
                self.wait_less(id, now);
            }
        }
    }

    pub(super) fn retire(&mut self, engines: Vec<EngineId>) {
        for engine in engines {
            // Not an engine that was told to end before.
            if self.work.loads.get(engine).is_some_and(|load| !load.horizon.retiring) {
                self.retiring.insert(engine);
                self.actions.push(Action::Log(format!("engine {engine} is being retired")));
                self.work.retire(engine);
            }
        }
    }

    pub(super) fn stop_all(&mut self, now: Duration) {
        if self.stopping.is_none() {
            self.actions.push(Action::Log("stopping".to_owned()));
            self.stopping = Some(now.saturating_add(self.limits.shutdown_grace));
            let mut engines = self.resolve(None);
            if self.limits.durable {
                // What an engine has not begun is taken back first: those of another cluster may do it.
                self.work.close();
                engines.retain(|engine| !self.work.retire(*engine));
            }
            self.shutdown(Targets { engines: Some(engines) }, now);
        }
    }

    /// An engine has given back what it had not begun.
    pub(super) fn has_given_back(&mut self, engine: EngineId, now: Duration) {
        if self.stopping.is_some() {
            self.shutdown(Targets { engines: Some(vec![engine]) }, now);
        }
    }

    fn has_present_engine(&self) -> bool {
        self.registry.engines().any(|(_, peer)| peer.presence == Presence::Here)
    }

    fn resolve(&self, engines: Option<Vec<EngineId>>) -> Vec<EngineId> {
        match engines {
            // Each once, however often it is named.
            Some(engines) => BTreeSet::from_iter(engines).into_iter().collect(),
            None => self.registry.engines().map(|(id, _)| id).collect(),
        }
    }

    /// The controller exits once all engines have left, or at the deadline of the shutdown.
    pub(super) fn leave_in_time(&mut self, now: Duration) {
        if self.stopping.is_some_and(|deadline| now >= deadline || !self.has_present_engine()) {
            self.give_up_words(Duration::MAX);
            // Those that have not answered in time.
            self.shutdown(Targets { engines: Some(self.resolve(None)) }, now);
            // Clients on other hosts then do not wait for it to come back.
            let goodbye = Message::Goodbye(Goodbye { reason: "the cluster was stopped".to_owned(), taken: false });
            self.notify_present(&goodbye);
            self.actions.push(Action::Exit);
        }
    }
}
