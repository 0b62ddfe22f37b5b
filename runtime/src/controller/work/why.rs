//! Why a task has not begun, in words: what it waits for, and which engines cannot have it, and why.

use super::Work;
use crate::controller::load::Load;
use crate::controller::queue::Choice;
use crate::controller::task::{Balanced, Place};
use crate::controller::waits::Waits;
use ipclusterz_base::ids::{EngineId, TaskId};
use std::collections::BTreeMap;

/// Most tasks, and most engines, of which one line speaks.
const NAMED_MAX: usize = 5;

impl Work {
    /// What a task waits for, in lines for people. The first one says the most.
    pub fn why(&self, task: TaskId) -> Vec<String> {
        let Some(state) = self.tasks.get(&task) else { return Vec::new() };
        match state.place {
            Place::Waiting => self.awaited_by(task),
            Place::Delayed => vec!["it failed, and is started again when its retry_delay is over".to_owned()],
            Place::Held(engine) => {
                vec![format!("its client does not read its answers; then it goes to engine {engine}")]
            }
            Place::At(engine) => self.place_at(engine, task).into_iter().collect(),
            Place::Queued => state.balanced.as_ref().map(|it| self.queued_for(task, it)).unwrap_or_default(),
        }
    }

    /// Whether an engine might be given a task, if it were free.
    pub fn fits(&self, task: TaskId, engine: EngineId) -> bool {
        let choice = self.tasks.get(&task).and_then(|state| state.balanced.as_ref()).map(|balanced| &balanced.choice);
        choice.is_some_and(|choice| choice.allows(engine, &self.loads))
    }

    fn awaited_by(&self, task: TaskId) -> Vec<String> {
        let [after, follow] = self.waits_for(task);
        let waits = [("begins after", after), ("follows", follow)];
        let waits = waits.into_iter().filter_map(|(verb, waits)| Some((verb, waits?)));
        waits
            .filter(|(_, waits)| !waits.open().is_empty())
            .map(|(verb, waits)| self.parents_in_words(verb, waits))
            .collect()
    }

    fn parents_in_words(&self, verb: &str, waits: &Waits) -> String {
        let named: Vec<String> = waits.open().iter().take(NAMED_MAX).map(|parent| self.id_of(*parent)).collect();
        let more = waits.open().len().saturating_sub(named.len());
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        format!("it {verb} {}{more}", named.join(", "))
    }

    fn place_at(&self, engine: EngineId, task: TaskId) -> Option<String> {
        let load = self.loads.get(engine)?;
        match load.outstanding.iter().position(|other| *other == task)? {
            0 => None,
            before => Some(format!("{before} task{} before it at engine {engine}", if before > 1 { "s" } else { "" })),
        }
    }

    fn queued_for(&self, task: TaskId, balanced: &Balanced) -> Vec<String> {
        let state = self.tasks.get(&task).and_then(|state| self.clients.get(&state.client));
        let Some(client) = state else { return Vec::new() };
        let mut lines = self.engines_in_words(&balanced.choice);
        let before = client.queue.before(task, &balanced.choice, balanced.priority());
        if before > 0 {
            lines.push(format!("{before} task{} of this session before it", if before > 1 { "s" } else { "" }));
        }
        let others =
            self.turns.iter().filter(|other| self.clients.get(other).is_some_and(|other| other.id != client.id));
        match others.count() {
            0 => {}
            1 => lines.push("another client has tasks that wait, too: they have turns".to_owned()),
            count => lines.push(format!("{count} other clients have tasks that wait, too: they have turns")),
        }
        if client.full {
            lines.insert(0, "its client does not read its answers".to_owned());
        }
        lines
    }

    /// Why no engine has taken a task of this choice, the engines with the same reason together.
    fn engines_in_words(&self, choice: &Choice) -> Vec<String> {
        if self.loads.is_empty() {
            let why = self.expected().map(|expected| expected.why.as_str()).filter(|why| !why.is_empty());
            return vec![format!("there is no engine{}", why.map(|why| format!(": {why}")).unwrap_or_default())];
        }
        let mut reasons: BTreeMap<String, Vec<EngineId>> = BTreeMap::new();
        for engine in self.loads.engines() {
            if let Some(load) = self.loads.get(engine) {
                reasons.entry(self.refused_by(engine, load, choice)).or_default().push(engine);
            }
        }
        let lines = reasons.into_iter().map(|(reason, engines)| format!("{}: {reason}", engines_in_words(&engines)));
        lines.collect()
    }

    fn refused_by(&self, engine: EngineId, load: &Load, choice: &Choice) -> String {
        let lacks: Vec<String> = load.offers.lacks(choice.needs()).collect();
        if !choice.named().is_empty() && !choice.named().contains(&engine) {
            "not among those that it may go to".to_owned()
        } else if !lacks.is_empty() {
            lacks.join("; ")
        } else if !choice.is_meant(engine, &self.loads) {
            "restarted since what it follows ran there".to_owned()
        } else if choice.has_tried(engine, &self.loads) {
            "lacks what its function depends on".to_owned()
        } else if let Some(state) = load.state_in_words() {
            state.to_owned()
        } else if choice.is_alone() && !load.outstanding.is_empty() {
            "busy; it needs an engine for itself".to_owned()
        } else if load.outstanding.is_empty() {
            "free, and is given the tasks before it first".to_owned()
        } else {
            "busy".to_owned()
        }
    }
}

/// `engines 0, 1, 2, 3, 4 and 7 more`.
fn engines_in_words(engines: &[EngineId]) -> String {
    let named: Vec<String> = engines.iter().take(NAMED_MAX).map(EngineId::to_string).collect();
    let more = engines.len().saturating_sub(named.len());
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("engine{} {}{more}", if engines.len() > 1 { "s" } else { "" }, named.join(", "))
}
