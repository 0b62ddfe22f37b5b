//! Which tasks of a session have failed, and how: of all others that have ended, it is known that they have not. Pure.

use crate::wire::message::Fate;
use ipclusterz_base::ids::RequestId;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Most failures that are remembered of a session; of the oldest ones it is forgotten how they ended.
const MOST: usize = 1 << 16;

/// The tasks of one session that have failed, by request and position.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Failures {
    fates: BTreeMap<(RequestId, u32), Fate>,
    /// Of requests up to this one not all failures are known.
    forgotten: Option<RequestId>,
}

impl Failures {
    /// A task has failed.
    pub fn add(&mut self, request: RequestId, position: u32, fate: Fate) {
        self.fates.insert((request, position), fate);
        if self.fates.len() > MOST
            && let Some(((oldest, _), _)) = self.fates.pop_first()
        {
            self.forgotten = self.forgotten.max(Some(oldest));
        }
    }

    /// How a task has ended that was submitted, and has not failed later than this; none: that was forgotten.
    pub fn fate(&self, request: RequestId, position: u32) -> Option<Fate> {
        let failed = self.fates.get(&(request, position)).copied();
        failed.or_else(|| (Some(request) > self.forgotten).then_some(Fate::Ok))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_to_have_failed_has_not_unless_that_was_forgotten() {
        let mut failures = Failures::default();
        failures.add(RequestId(3), 1, Fate::Lost);
        assert_eq!(failures.fate(RequestId(3), 1), Some(Fate::Lost));
        assert_eq!(failures.fate(RequestId(3), 0), Some(Fate::Ok));
        (10..10 + MOST as u64).for_each(|request| failures.add(RequestId(request), 0, Fate::Error));
        assert_eq!([1, 3, 4].map(|request| failures.fate(RequestId(request), 1)), [None, None, Some(Fate::Ok)]);
        assert_eq!(failures.fate(RequestId(10), 0), Some(Fate::Error));
    }
}
