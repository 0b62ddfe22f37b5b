//! What the controller is told about how engines ended. Pure; a part of [`super::core`].
//!
//! The controller notices that an engine's connections broke, and a launcher that its process ended, in either order.

use ipclusterz_base::ids::EngineId;
use ipclusterz_launchers::set::{SetEnd, SetId};
use ipclusterz_runtime::wire::message::EngineEnded;
use std::collections::BTreeMap;

/// Engines that are there, and those whose end is not known.
#[derive(Debug, Default)]
pub struct Ends {
    /// The uuids of registered engines, by the ids that they were given.
    there: BTreeMap<EngineId, String>,
    /// Those of engines that have left, with their sets and the ids that they had asked for.
    left: Vec<(SetId, EngineId, String)>,
    words: Vec<EngineEnded>,
}

impl Ends {
    /// An engine has registered.
    pub fn joined(&mut self, given: EngineId, uuid: &str) {
        self.there.insert(given, uuid.to_owned());
    }

    /// An engine has left: one of a set, which had asked for an id, or one that this launcher has not started.
    pub fn left(&mut self, given: EngineId, own: Option<(SetId, EngineId)>) {
        let Some(uuid) = self.there.remove(&given) else { return };
        match own {
            Some((set, asked)) => self.left.push((set, asked, uuid)),
            // No launcher of ours can know.
            None => self.words.push(EngineEnded { uuid, how: None, certain: false }),
        }
    }

    /// The engine of a set that had asked for this id has ended.
    pub fn engine_ended(&mut self, set: SetId, asked: EngineId, how: &str) {
        let ended = self.left.extract_if(.., |(of, id, _)| *of == set && *id == asked);
        let word = |(_, _, uuid)| EngineEnded { uuid, how: Some(how.to_owned()), certain: true };
        self.words.extend(ended.map(word));
    }

    /// A whole set has ended, of which engines with these ids were still registered.
    pub fn set_ended(&mut self, set: SetId, given: impl IntoIterator<Item = EngineId>, end: &SetEnd) {
        let registered: Vec<String> = given.into_iter().filter_map(|id| self.there.remove(&id)).collect();
        let gone = self.left.extract_if(.., |(of, _, _)| *of == set).map(|(_, _, uuid)| uuid);
        let word = |uuid| EngineEnded { uuid, how: Some(end.how.clone()), certain: end.certain };
        self.words.extend(registered.into_iter().chain(gone).map(word));
    }

    /// What the controller is to be told since the last call.
    pub fn take_words(&mut self) -> Vec<EngineEnded> {
        std::mem::take(&mut self.words)
    }
}
