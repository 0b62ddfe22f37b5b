//! The end of every test: all that is under way comes to its end, and nothing is left.

use crate::steps::Step;
use crate::world::World;
use ipclusterz_base::connection::Role;
use ipclusterz_base::ids::TaskId;
use ipclusterz_runtime::controller::Limits;
use ipclusterz_runtime::controller::event::Event;
use ipclusterz_runtime::wire::message::{OUTPUT_WINDOW, TaskOutcome};

impl World {
    /// No word of the launcher comes any more.
    fn give_up_words(&mut self) {
        self.now += Limits::default().loss_grace;
        self.feed(Event::Tick);
    }

    /// Lets everything that is under way come to its end, and looks at what is left.
    pub fn settle(mut self) {
        // What waits for an engine that is about to end goes to one that comes, or is lost with the only one that it
        // may go to.
        self.join_offering(Role::Engine, None, None, 0.0, 9);
        let ending = self.engines.iter().filter(|(_, engine)| engine.end.is_some()).map(|(control, _)| *control);
        for control in ending.collect::<Vec<_>>() {
            self.gone(control, false);
        }
        self.nothing_more_comes();
        self.answer_all_recalls();
        self.give_up_words();
        for client in self.clients.values() {
            let undecided =
                client.aborted.iter().find(|key| !client.answered.contains(key) && !client.started.contains(key));
            assert_eq!(undecided, None, "neither given up nor known to have begun");
        }
        for client in self.clients.values() {
            assert_eq!(client.told, 0, "not told that another client gave up everything");
        }
        for engine in self.engines.values() {
            let for_nobody = |task: &&TaskId| {
                let (client, _) = self.keys[*task];
                !self.clients.contains_key(&client) && !self.goodbyes.contains(&client)
            };
            assert_eq!(engine.inbox.iter().skip(1).find(for_nobody), None, "it waits for nobody");
        }
        for _ in 0..10_000 {
            let before = self.core.work().open_tasks();
            self.answer_all_recalls();
            (0..self.clients.len()).for_each(|client| self.step(Step::Acknowledge(client)));
            let controls: Vec<u32> = self.engines.keys().copied().collect();
            for control in controls {
                self.finish(control, 1, TaskOutcome::Ok);
            }
            self.leave();
            self.step(Step::Wait(20));
            if before == 0 {
                break;
            }
        }
        self.give_up_words();
        assert_eq!(self.core.work().open_tasks(), 0, "tasks without an end");
        assert_eq!(self.engines.values().find(|engine| engine.retiring).map(|engine| engine.id), None, "not retired");
        assert_eq!(self.core.work().queued(), 0);
        for client in self.clients.values() {
            assert_eq!(client.expected, client.answered, "answers are missing");
        }
        (0..self.clients.len()).for_each(|client| self.step(Step::Acknowledge(client)));
        let kept_back = |bytes: &u64| *bytes >= OUTPUT_WINDOW / 4;
        for engine in self.engines.values() {
            assert_eq!(engine.under_way.values().find(|bytes| kept_back(bytes)), None, "output that was acknowledged");
        }
        let clients: Vec<u32> = self.clients.keys().copied().collect();
        clients.into_iter().for_each(|control| self.gone(control, false));
        for engine in self.engines.values() {
            assert_eq!(engine.under_way.values().find(|bytes| **bytes > 0), None, "output for a client that has left");
        }
        let engines: Vec<u32> = self.engines.keys().copied().collect();
        engines.into_iter().for_each(|control| self.gone(control, false));
        assert_eq!(self.core.work().held_bytes(), 0, "payload is still held");
        assert!(self.core.registry().is_empty());
        self.give_up_words();
        assert!(self.watched.is_empty(), "watched for nobody");
    }
}
