//! Which host reads an environment from where it is installed, and which have it from whom. Pure.
//!
//! The first host that asks reads it; the others wait. Then each gets it from a host that has it and gives it to few
//! others at that time. So what has it doubles, and no host sends to all.

use super::order::{Content, Staged};
use std::collections::{BTreeMap, BTreeSet};

/// To how many others a host gives it at once.
const AT_ONCE: usize = 2;
/// After so many hosts from which it could not be had, a host reads it itself.
const TRIES: usize = 3;

/// What a host is to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Task {
    /// Read it from where it is installed.
    Read,
    /// Get this from these hosts, by the addresses of each.
    Take {
        /// What to get.
        content: Content,
        /// Empty where it has it already.
        sources: Vec<Vec<String>>,
    },
    /// Ask again; for a person: why.
    Wait(String),
}

/// The hosts of one start, by the environments that they are to have.
#[derive(Debug, Default)]
pub struct Board {
    environments: BTreeMap<String, Environment>,
}

/// One environment; hosts are known by their numbers.
#[derive(Debug, Default)]
struct Environment {
    reader: Option<(usize, String)>,
    content: Option<Content>,
    /// The addresses of those that have it and can be reached.
    holders: BTreeMap<usize, Vec<String>>,
    /// From whom a host gets it now.
    taking: BTreeMap<usize, usize>,
    /// From whom a host could not get it.
    failed: BTreeMap<usize, BTreeSet<usize>>,
}

impl Board {
    /// What the host `host`, called `name`, is to do for the environment `which`. `kept` are the hashes of what it has.
    pub fn ask(&mut self, which: &str, host: usize, name: &str, kept: &[String]) -> Task {
        let environment = self.environments.entry(which.to_owned()).or_default();
        let Some(content) = environment.content.clone() else {
            return match &environment.reader {
                Some((reader, name)) if *reader != host => Task::Wait(format!("{name} reads its environment")),
                _ => {
                    environment.reader = Some((host, name.to_owned()));
                    Task::Read
                }
            };
        };
        if kept.contains(&content.hash) {
            return Task::Take { content, sources: Vec::new() };
        }
        let failed = environment.failed.get(&host).cloned().unwrap_or_default();
        let others = || environment.holders.iter().filter(|(holder, _)| **holder != host && !failed.contains(holder));
        if failed.len() >= TRIES || others().next().is_none() {
            return Task::Read;
        }
        let busy = |holder: &usize| environment.taking.values().filter(|from| *from == holder).count();
        let free = others().min_by_key(|(holder, _)| busy(holder)).filter(|(holder, _)| busy(holder) < AT_ONCE);
        let Some((holder, addresses)) = free.map(|(holder, addresses)| (*holder, addresses.clone())) else {
            return Task::Wait("all hosts that have its environment are giving it to others".to_owned());
        };
        environment.taking.insert(host, holder);
        Task::Take { content, sources: vec![addresses] }
    }

    /// A host has it.
    pub fn staged(&mut self, which: &str, host: usize, staged: &Staged) {
        let environment = self.environments.entry(which.to_owned()).or_default();
        if environment.reader.as_ref().is_some_and(|(reader, _)| *reader == host) {
            environment.reader = None;
            environment.content.get_or_insert_with(|| staged.content.clone());
        }
        if let Some(holder) = environment.taking.remove(&host)
            && staged.instead.is_some()
        {
            environment.failed.entry(host).or_default().insert(holder);
        }
        let same = environment.content.as_ref().is_some_and(|content| content.hash == staged.content.hash);
        if same && !staged.addresses.is_empty() {
            environment.holders.insert(host, staged.addresses.clone());
        }
    }

    /// A host is gone, whatever it had or was to have.
    pub fn forget(&mut self, host: usize) {
        let all: Vec<String> = self.environments.keys().cloned().collect();
        all.iter().for_each(|which| self.gone(which, host));
    }

    /// A host has it not, or is gone: it gives it to nobody, and another one may read it.
    pub fn gone(&mut self, which: &str, host: usize) {
        let environment = self.environments.entry(which.to_owned()).or_default();
        if environment.reader.as_ref().is_some_and(|(reader, _)| *reader == host) {
            environment.reader = None;
        }
        environment.holders.remove(&host);
        if let Some(holder) = environment.taking.remove(&host) {
            environment.failed.entry(host).or_default().insert(holder);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::order::Origin;
    use super::*;
    use proptest::prelude::*;

    fn content() -> Content {
        Content { hash: "c0ffee".to_owned(), fingerprint: "f".to_owned() }
    }

    fn staged(host: usize, from: Origin) -> Staged {
        Staged {
            python: "/tmp/python".to_owned(),
            entry: "/tmp".to_owned(),
            content: content(),
            addresses: vec![format!("n{host}:1")],
            from,
            instead: None,
        }
    }

    fn take(from: usize) -> Task {
        Task::Take { content: content(), sources: vec![vec![format!("n{from}:1")]] }
    }

    #[test]
    fn one_reads_it_and_the_others_have_it_from_whoever_is_free() {
        let mut board = Board::default();
        let ask = |board: &mut Board, host: usize| board.ask("env", host, &format!("n{host}"), &[]);
        assert_eq!(ask(&mut board, 0), Task::Read);
        assert_eq!(ask(&mut board, 1), Task::Wait("n0 reads its environment".to_owned()));
        board.staged("env", 0, &staged(0, Origin::Installed));
        assert_eq!([1, 2].map(|host| ask(&mut board, host)), [take(0), take(0)]);
        assert!(matches!(ask(&mut board, 3), Task::Wait(_)));
        board.staged("env", 1, &staged(1, Origin::Host));
        assert_eq!([3, 4].map(|host| ask(&mut board, host)), [take(1), take(0)]);
        // Another environment is another matter.
        assert_eq!(board.ask("other", 5, "n5", &[]), Task::Read);
        let kept = board.ask("env", 6, "n6", &["c0ffee".to_owned()]);
        assert_eq!(kept, Task::Take { content: content(), sources: Vec::new() });
    }

    #[test]
    fn a_reader_that_fails_is_followed_by_another() {
        let mut board = Board::default();
        assert_eq!(board.ask("env", 0, "n0", &[]), Task::Read);
        board.gone("env", 0);
        assert_eq!(board.ask("env", 1, "n1", &[]), Task::Read);
        // One that comes back does not wait for itself.
        assert_eq!(board.ask("env", 1, "n1", &[]), Task::Read);
    }

    #[test]
    fn who_reaches_nobody_reads_it_itself() {
        let mut board = Board::default();
        for host in 0..4 {
            board.ask("env", host, "n", &[]);
            board.staged("env", host, &staged(host, Origin::Installed));
        }
        for _ in 0..TRIES {
            assert!(matches!(board.ask("env", 9, "n9", &[]), Task::Take { .. }));
            board.gone("env", 9);
        }
        assert_eq!(board.ask("env", 9, "n9", &[]), Task::Read);
    }

    #[derive(Debug, Clone)]
    enum Step {
        Ask(usize),
        Staged(usize),
        Gone(usize),
    }

    fn step() -> impl Strategy<Value = Step> {
        let host = 0..8_usize;
        prop_oneof![host.clone().prop_map(Step::Ask), host.clone().prop_map(Step::Staged), host.prop_map(Step::Gone)]
    }

    proptest! {
        /// Whatever happens, nobody gives it to more than are allowed, nobody gets it from itself, and one reads it at a
        /// time until somebody has it.
        #[test]
        fn the_rules_hold_in_any_order(steps in prop::collection::vec(step(), 0..200)) {
            let mut board = Board::default();
            let mut doing: BTreeMap<usize, Task> = BTreeMap::new();
            for step in steps {
                match step {
                    Step::Ask(host) if !doing.contains_key(&host) => {
                        let task = board.ask("env", host, "n", &[]);
                        if !matches!(task, Task::Wait(_)) {
                            doing.insert(host, task);
                        }
                    }
                    Step::Staged(host) if doing.remove(&host).is_some() => {
                        board.staged("env", host, &staged(host, Origin::Host));
                    }
                    Step::Gone(host) => {
                        doing.remove(&host);
                        board.gone("env", host);
                    }
                    _ => {}
                }
                for host in 0..8 {
                    let from = |task: &&Task| **task == take(host);
                    prop_assert!(doing.values().filter(from).count() <= AT_ONCE);
                    prop_assert!(doing.get(&host) != Some(&take(host)));
                }
                let known = board.environments.get("env").is_some_and(|environment| environment.content.is_some());
                prop_assert!(known || doing.values().filter(|task| **task == Task::Read).count() <= 1);
            }
        }
    }
}
