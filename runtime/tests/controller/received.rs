//! What engines and clients are sent, and what must hold of it.

use crate::model::{Goes, Parents};
use crate::world::{FUNCTION, Key, World};
use ipclusterz_base::ids::{RequestId, TaskId};
use ipclusterz_runtime::wire::message::*;
use ipclusterz_runtime::wire::{Channel, Frame};

impl World {
    pub fn engine_gets(&mut self, route: u32, message: Message, payload: &[Frame]) {
        let control = route & !1;
        let engine = self.engines.get_mut(&control).expect("an existing engine");
        match message {
            Message::Task(task) => {
                assert!(!engine.told_to_end, "an engine that was told to end was given {task:?}");
                assert!(!engine.inbox.contains(&task.id), "task {} came twice", task.id);
                engine.inbox.push_back(task.id);
                self.askers.insert(task.id, task.client);
                let (client, request) = payload[0][..12].split_at(4);
                let request = RequestId(u64::from_be_bytes(request.try_into().expect("eight bytes")));
                let key = (u32::from_be_bytes(client.try_into().expect("four bytes")), request);
                self.keys.insert(task.id, key);
                // What was asked for before may have had to wait until its client reads.
                let before = engine.asked_before.get(&key.0).is_some_and(|last| request <= *last);
                let due = !self.balanced.contains_key(&key) && before;
                assert!(!engine.retiring || due, "an engine that is being retired was given {task:?}");
                if let Some(goes) = self.balanced.get_mut(&key) {
                    goes.given = self.now;
                }
                let engine = &self.engines[&control];
                if let Some(goes) = self.balanced.get(&key) {
                    let alone = goes.asked.time_limit.is_none() || engine.inbox.len() == 1;
                    assert!(alone, "{key:?} has no engine for itself: {engine:?}");
                    for parents in [&goes.asked.after, &goes.asked.follow].into_iter().flatten() {
                        self.check_parents(key, parents);
                    }
                    assert!(goes.may_go_to(control, engine), "{key:?} was given to {engine:?}: {goes:?}");
                    assert!(engine.takes(goes.duration, self.now), "{goes:?} at {:?}: {engine:?}", self.now);
                    assert_eq!(self.waits_before(key), None, "{key:?} was given first");
                }
                if task.function.is_some() {
                    self.function_asks.push((route & !1, task.id));
                }
            }
            Message::Recall(Recall { tasks, interrupt, kill }) => {
                let limit = |task: &TaskId| self.balanced.get(&self.keys[task]).and_then(|goes| goes.asked.time_limit);
                let over = interrupt.iter().chain(&kill).all(|task| limit(task).is_some());
                assert!(over || self.interrupts, "nobody wanted that: {interrupt:?}, {kill:?}");
                let asked = interrupt.iter().all(|task| engine.inbox.contains(task));
                assert!(asked, "{interrupt:?}, of {:?}", engine.inbox);
                engine.recalls.push_back(tasks);
            }
            Message::Function(code) => {
                assert_eq!((code.function, &*payload[0]), (FUNCTION, &b"code"[..]));
            }
            Message::Shutdown(_) => {
                assert!(engine.retiring && engine.inbox.is_empty(), "told to end: {engine:?}");
                assert!(!std::mem::replace(&mut engine.told_to_end, true), "told twice");
            }
            Message::OutputTaken(OutputTaken { client, bytes, .. }) => {
                let under_way = engine.under_way.entry(client).or_default();
                *under_way = under_way.checked_sub(bytes).expect("no more is taken than was written");
            }
            Message::Attached(_) | Message::Refused(_) => {}
            other => panic!("an engine got {other:?}"),
        }
    }

    /// A request that waits for the same engines as `key`, and was made before it.
    fn waits_before(&self, key: Key) -> Option<Key> {
        let (client, request) = key;
        let goes = &self.balanced[&key];
        let answered = |key: &Key| self.clients.get(&client).is_none_or(|c| c.answered.contains(&(key.1, 0)));
        let given = |key: &Key| {
            let mut inboxes = self.engines.values().flat_map(|engine| &engine.inbox);
            inboxes.any(|task| self.keys[task] == *key)
        };
        let before = self.balanced.range((client, RequestId(0))..=(client, RequestId(u64::MAX)));
        // Its loss may not have been told yet.
        let lost = |key: &Key| (self.launcher.is_some() || self.here) && self.had.contains(key);
        let waits = |key: &Key| !answered(key) && !given(key) && !lost(key) && !self.has_open_parents(key);
        let first = |(key, other): &(&Key, &Goes)| {
            let sooner = other.asked.priority == goes.asked.priority && **key < (client, request);
            sooner || other.asked.priority > goes.asked.priority
        };
        let mut waiting = before.filter(first).filter(|(key, other)| other.is_like(goes) && waits(key));
        waiting.next().map(|(key, _)| *key)
    }

    /// Whether a request has not been answered, as far as its client knows. Of a client that is gone nobody knows.
    fn is_open(&self, key: Key) -> bool {
        let (client, request) = key;
        self.clients.get(&client).is_some_and(|client| !client.answered.contains(&(request, 0)))
    }

    fn has_open_parents(&self, key: &Key) -> bool {
        let asked = &self.balanced[key].asked;
        let parents = [&asked.after, &asked.follow].into_iter().flatten().flat_map(|parents| &parents.on);
        parents.into_iter().any(|parent| self.is_open(*parent))
    }

    /// A task that waits for these has begun.
    fn check_parents(&self, key: Key, parents: &Parents) {
        let told_late = self.launcher.is_some() || self.here;
        let fates = parents.on.iter().map(|parent| (self.is_open(*parent), self.fates.get(parent)));
        let counts = |fate: Option<&Fate>| fate.is_none_or(|fate| parents.counts(*fate));
        for (open, fate) in fates.clone().filter(|_| parents.all) {
            assert!(!open || told_late, "{key:?} was begun before one of {parents:?}");
            assert!(counts(fate), "{key:?} was begun though one of {parents:?}: {fate:?}");
        }
        let any = parents.on.is_empty() || fates.clone().any(|(open, fate)| (!open || told_late) && counts(fate));
        assert!(any, "{key:?} was begun though none of {parents:?}");
    }

    fn check_outcome(&self, key: Key, outcome: &Outcome) {
        let asked = self.balanced.get(&key).map(|goes| &goes.asked);
        match outcome {
            Outcome::Impossible(_) => {
                assert!(
                    asked.is_some_and(|asked| asked.after.is_some() || asked.follow.is_some()),
                    "{key:?}: {outcome:?}"
                );
            }
            Outcome::TimedOut(_) => {
                let timed = asked.is_some_and(|asked| asked.timeout.is_some() || asked.time_limit.is_some());
                assert!(timed, "{key:?}: {outcome:?}");
            }
            _ => {}
        }
    }

    pub fn client_gets(&mut self, route: u32, message: Message, payload: &[Frame]) {
        let control = route & !1;
        let client = self.clients.get_mut(&control).expect("an existing client");
        let channel = if route == control { Channel::Control } else { Channel::Data };
        client.received.messages.count(channel, &message);
        match message {
            Message::Reply(reply) => {
                let key = (reply.request, reply.position);
                assert!(client.expected.contains(&key), "an answer to nothing: {reply:?}");
                assert!(client.answered.insert(key), "a second answer: {reply:?}");
                if reply.position == 0 {
                    self.fates.insert((control, reply.request), reply.outcome.fate());
                }
                self.check_outcome((control, reply.request), &reply.outcome);
                let client = self.clients.get_mut(&control).expect("an existing client");
                let begun = client.started.contains(&key);
                assert!(!(begun && reply.outcome == Outcome::Aborted), "it had begun: {reply:?}");
                if let Some(goes) = self.balanced.get(&(control, reply.request)) {
                    let nowhere = !self.engines.iter().any(|(control, engine)| goes.may_go_to(*control, engine));
                    let says = |why: &str| why.contains(" is there") || why.contains("there is no ");
                    // What waits for the launcher's or the kernel's word may be told when there is another engine with that id.
                    let told_late = self.launcher.is_some() || self.here;
                    let missing = matches!(&reply.outcome, Outcome::Lost(why) if says(why) && !told_late);
                    let follows = goes.asked.follow.is_some();
                    assert!(!missing || follows || (nowhere && goes.tried.is_empty()), "{reply:?}: {goes:?}");
                    let unmet = reply.outcome == Outcome::Error && *payload[0] == *b"unmet";
                    let given_up = client.aborted.contains(&key) || client.elsewhere.contains(&key);
                    assert!(!unmet || nowhere || given_up || follows, "{reply:?}: {goes:?}");
                }
                if let Outcome::Lost(why) = &reply.outcome {
                    client.lost.push(why.clone());
                }
                client.received.replies += 1;
            }
            Message::Abort(abort) => {
                assert!(abort.all_clients && client.told > 0, "nobody gave that up: {abort:?}");
                client.told -= 1;
            }
            Message::Started(Started { request, position }) => {
                let key = (request, position);
                let given_up = client.aborted.contains(&key) || client.elsewhere.contains(&key);
                assert!(given_up && !client.answered.contains(&key), "{key:?} has begun");
                client.started.insert(key);
            }
            Message::RequestOutput(output) => {
                let key = (output.request, output.position);
                assert!(client.expected.contains(&key) && !client.answered.contains(&key), "late: {output:?}");
                client.read.push((output.stream, String::from_utf8_lossy(&payload[0]).into_owned()));
            }
            Message::StatusReply(status) => self.losses = status.losses,
            Message::EngineLeft(left) => client.left.push(left.reason),
            Message::EnginesExpected(expected) => client.coming.push(expected),
            Message::EngineAway(away) => client.hanging.extend(away.hangs.then_some(away.id)),
            Message::Attached(_) | Message::EngineJoined(_) | Message::Refused(_) => {}
            other => panic!("a client got {other:?}"),
        }
    }
}
