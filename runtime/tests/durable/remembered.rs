//! What the history has of sessions with names, and that nothing of them is missing.

use crate::world::World;
use ipclusterz_base::ids::RequestId;
use ipclusterz_runtime::controller::history::Entry;
use std::collections::BTreeSet;

/// A request, by its session.
type Submitted = (String, RequestId);

#[derive(Debug, Clone, Default)]
struct Rows {
    requests: BTreeSet<Submitted>,
    answers: BTreeSet<(Submitted, u32)>,
}

/// The history. What was written since the last checkpoint goes with its controller, as it may.
#[derive(Debug, Default)]
pub struct Remembered {
    rows: Rows,
    on_disk: Rows,
}

impl Remembered {
    pub fn keep(&mut self, entry: Entry) {
        match entry {
            Entry::Request { session, request, .. } => {
                self.rows.requests.insert((session, request));
            }
            Entry::Answer { session, reply, .. } => {
                self.rows.answers.insert(((session, reply.request), reply.position));
            }
            Entry::Done { .. } | Entry::Output { .. } => {}
        }
    }

    pub fn checkpoint(&mut self) {
        self.on_disk = self.rows.clone();
    }

    pub fn forget_since_checkpoint(&mut self) {
        self.rows = self.on_disk.clone();
    }
}

impl World {
    /// Whoever comes into a session now gets each answer that it has not had: now, or later.
    pub fn looks_at_sessions(&self) {
        let Some(process) = &self.process else { return };
        for submitted in &self.remembered.rows.requests {
            let (session, request) = submitted;
            let peer = process.core.registry().clients().find(|(_, peer)| peer.session.id == *session);
            let name = &peer.unwrap_or_else(|| panic!("{session:?} is not known")).1.session.name;
            let unanswered = process.core.unanswered(name, &BTreeSet::from([*request]));
            let begins = &session[..8];
            let first = begins.parse::<u32>().expect("a number") - 100;
            for position in 0..self.truth.asked[&(first, *request)].targets.len() as u32 {
                let id = format!("{begins}-{request}-{position}");
                let comes = unanswered.iter().any(|task| task.id == id);
                let kept = self.remembered.rows.answers.contains(&(submitted.clone(), position));
                assert!(comes || kept, "nobody has the answer {id}");
            }
        }
    }
}
