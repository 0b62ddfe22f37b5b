//! What those see who look on.

use crate::world::World;
use ipclusterz_base::ids::EngineId;
use ipclusterz_runtime::events::Scene;
use ipclusterz_runtime::wire::message::*;
use std::collections::{BTreeMap, BTreeSet};

/// Tasks that have not ended, each with the engine that has it.
type Open = BTreeMap<TaskName, Option<EngineId>>;

impl World {
    pub fn look_on(&mut self) {
        let told = self.core.take_observed().into_iter();
        self.seen.extend(told.map(|(at, what)| Seen { at: at.as_secs_f64(), what }));
    }

    /// Another controller goes on.
    pub fn look_on_anew(&mut self) {
        self.seen.clear();
        self.core.begin_to_observe();
        self.look_on();
    }

    /// Whoever has followed what happened knows what the controller knows, also if it came late.
    pub fn check_what_was_seen(&self) {
        let (open, engines) = followed(&self.seen);
        assert_eq!(open.len(), self.core.work().open_tasks(), "tasks without an answer");
        let registered = self.core.registry().engines().filter(|(_, peer)| peer.stood);
        assert_eq!(engines, registered.map(|(id, _)| id).collect::<BTreeSet<_>>());
        for engine in open.values().flatten() {
            assert!(engines.contains(engine), "a task is where no engine is");
        }
        for late in [0, self.seen.len() / 3, self.seen.len() / 2, self.seen.len()] {
            let (before, after) = self.seen.split_at(late);
            let mut scene = Scene::default();
            before.iter().cloned().for_each(|seen| scene.apply(seen));
            let known = [scene.events(), after.to_vec()].concat();
            assert_eq!(followed(&known), (open.clone(), engines.clone()), "behind {late} events");
        }
    }
}

/// What whoever was told that knows: each thing once, and in order.
fn followed(events: &[Seen]) -> (Open, BTreeSet<EngineId>) {
    let (mut open, mut engines) = (Open::new(), BTreeSet::new());
    let mut time = 0.0;
    for Seen { at, what } in events {
        assert!(*at >= time, "time goes back");
        time = *at;
        match what.clone() {
            Happened::Submitted(submission) => {
                let Submission { client, request, count, ended, .. } = *submission;
                for position in (0..count).filter(|position| !ended.contains(position)) {
                    let task = TaskName { client, request, position };
                    assert_eq!(open.insert(task, None), None, "submitted twice: {task:?}");
                }
            }
            Happened::Given { task, engine } => {
                assert!(engines.contains(&engine), "given to an engine that is not there");
                *open.get_mut(&task).expect("a task that was submitted") = Some(engine);
            }
            Happened::Returned { task } => *open.get_mut(&task).expect("a task that was submitted") = None,
            Happened::Ended(ended) => {
                assert!(open.remove(&ended.task).is_some(), "ended without being open: {ended:?}");
            }
            Happened::EngineJoined(joined) => assert!(engines.insert(joined.engine), "joined twice"),
            Happened::EngineLeft { engine, .. } => assert!(engines.remove(&engine), "left without being there"),
            _ => {}
        }
    }
    (open, engines)
}
