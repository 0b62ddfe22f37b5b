//! Announces engines that have registered: in the order of their ids, and many of them in one line. Pure.

use super::names::name_ranges;
use ipclusterz_base::ids::EngineId;
use ipclusterz_runtime::wire::message::EngineInfo;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// From how many engines on they share a line.
const MANY: usize = 16;
/// How long an engine is kept back for others with lower ids, or to share a line.
const PATIENCE: Duration = Duration::from_secs(5);

/// Engines that have registered and are not announced yet.
#[derive(Debug, Default)]
pub struct Announcements {
    waiting: BTreeMap<EngineId, (String, u32)>,
    since: Option<Instant>,
    /// Whether those that come now are so many that they share a line.
    many: bool,
}

impl Announcements {
    /// Takes in an engine that has registered.
    pub fn add(&mut self, info: &EngineInfo, now: Instant) {
        self.waiting.insert(info.id, (info.host.clone(), info.pid));
        self.since.get_or_insert(now);
    }

    /// Drops an engine that has left again.
    pub fn forget(&mut self, id: EngineId) {
        self.waiting.remove(&id);
    }

    /// When [`Announcements::lines`] has something to say even if no engine comes.
    pub fn next_tick(&self) -> Option<Instant> {
        self.since.filter(|_| !self.waiting.is_empty()).map(|since| since + PATIENCE)
    }

    /// The lines that are due, given the engines that are still waited for.
    pub fn lines(&mut self, awaited: &BTreeSet<EngineId>, now: Instant) -> Vec<String> {
        self.many |= self.waiting.len() + awaited.len() >= MANY;
        let all = awaited.is_empty() || self.next_tick().is_some_and(|tick| tick <= now);
        let due = match awaited.first() {
            Some(_) if !all && self.many => BTreeMap::new(),
            Some(first) if !all => {
                let later = self.waiting.split_off(first);
                std::mem::replace(&mut self.waiting, later)
            }
            _ => std::mem::take(&mut self.waiting),
        };
        let lines = if self.many { one_line(&due) } else { due.iter().map(line_of_one).collect() };
        self.many &= !awaited.is_empty();
        self.since = if self.waiting.is_empty() { None } else { self.since };
        lines
    }
}

fn line_of_one((id, (host, pid)): (&EngineId, &(String, u32))) -> String {
    format!("engine {id} is ready on {host} (pid {pid})")
}

/// `engines 0-127 are ready on 4 hosts`; no line without engines.
fn one_line(due: &BTreeMap<EngineId, (String, u32)>) -> Vec<String> {
    if due.len() < 2 {
        return due.iter().map(line_of_one).collect();
    }
    let hosts: BTreeSet<&str> = due.values().map(|(host, _)| host.as_str()).collect();
    let place = match (hosts.first(), hosts.len()) {
        (Some(host), 1) => (*host).to_owned(),
        (_, count) => format!("{count} hosts"),
    };
    vec![format!("{} are ready on {place}", name_ranges(due.keys().copied()))]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(id: u32, host: &str) -> EngineInfo {
        EngineInfo {
            id: EngineId(id),
            uuid: String::new(),
            host: host.to_owned(),
            pid: 100 + id,
            address: String::new(),
            birth: None,
        }
    }

    fn ids(range: impl IntoIterator<Item = u32>) -> BTreeSet<EngineId> {
        range.into_iter().map(EngineId).collect()
    }

    #[test]
    fn a_few_are_named_one_by_one_in_order() {
        let now = Instant::now();
        let mut announcements = Announcements::default();
        announcements.add(&info(2, "n1"), now);
        assert!(announcements.lines(&ids([0, 1]), now).is_empty());
        announcements.add(&info(0, "n1"), now);
        assert_eq!(announcements.lines(&ids([1]), now), ["engine 0 is ready on n1 (pid 100)"]);
        announcements.add(&info(1, "n2"), now);
        let rest = ["engine 1 is ready on n2 (pid 101)", "engine 2 is ready on n1 (pid 102)"];
        assert_eq!(announcements.lines(&ids([]), now), rest);
        assert_eq!(announcements.next_tick(), None);
    }

    #[test]
    fn nobody_is_kept_back_for_long_or_announced_after_leaving() {
        let now = Instant::now();
        let mut announcements = Announcements::default();
        announcements.add(&info(3, "n1"), now);
        announcements.add(&info(2, "n1"), now);
        announcements.forget(EngineId(2));
        assert_eq!(announcements.next_tick(), Some(now + PATIENCE));
        assert_eq!(announcements.lines(&ids([0]), now + PATIENCE), ["engine 3 is ready on n1 (pid 103)"]);
        announcements.add(&info(1, "n1"), now);
        announcements.forget(EngineId(1));
        assert_eq!(announcements.next_tick(), None);
    }

    #[test]
    fn many_share_a_line_and_hosts_are_counted() {
        let now = Instant::now();
        let mut announcements = Announcements::default();
        for id in 0..128 {
            announcements.add(&info(id, &format!("n{}", id / 32)), now);
            let lines = announcements.lines(&ids(id + 1..128), now);
            let expected: &[&str] = if id < 127 { &[] } else { &["engines 0-127 are ready on 4 hosts"] };
            assert_eq!(lines, expected);
        }
        // The last of many that come late share a line, too.
        (0..60).for_each(|id| announcements.add(&info(id, "n1"), now));
        assert_eq!(announcements.lines(&ids(60..64), now + PATIENCE), ["engines 0-59 are ready on n1"]);
        (60..64).for_each(|id| announcements.add(&info(id, "n1"), now));
        assert_eq!(announcements.lines(&ids([]), now), ["engines 60-63 are ready on n1"]);
        announcements.add(&info(7, "n1"), now);
        assert_eq!(announcements.lines(&ids([]), now), ["engine 7 is ready on n1 (pid 107)"]);
    }

    #[test]
    fn sixteen_are_many_and_gaps_are_shown() {
        let now = Instant::now();
        let mut announcements = Announcements::default();
        (0..15).for_each(|id| announcements.add(&info(id, "n1"), now));
        assert_eq!(announcements.lines(&ids([]), now).len(), 15);
        (0..18).filter(|id| *id != 5 && *id != 7).for_each(|id| announcements.add(&info(id, "n1"), now));
        assert_eq!(announcements.lines(&ids([]), now), ["engines 0-4, 6, 8-17 are ready on n1"]);
    }
}
