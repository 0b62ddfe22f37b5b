//! What has to go when a host has no room for another environment. Pure.

use std::time::Duration;

/// What nobody has used for so long goes in any case.
pub const UNUSED_MOST: Duration = Duration::from_secs(30 * 24 * 3600);
/// The part of a file system that stays free, in percent, for others.
const FREE_PERCENT: u64 = 5;

/// An environment that a host has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// Its name.
    pub name: String,
    /// Bytes of the archive; 0 if that has gone.
    pub archive: u64,
    /// Bytes of its files.
    pub files: u64,
    /// Since when nobody has used it; none if somebody does.
    pub unused: Option<Duration>,
}

/// What goes of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Removal {
    /// The archive: it can be used on, but not passed on.
    Archive(String),
    /// All of it.
    All(String),
}

/// What has to go so that `wanted` more bytes have room on a disk of `size` bytes, of which `free` are free: archives first,
/// then whole environments, those first that have not been used for longest. Nothing that is in use.
pub fn removals(kept: &[Kept], size: u64, free: u64, wanted: u64) -> Vec<Removal> {
    let mut unused: Vec<(Duration, &Kept)> = kept.iter().filter_map(|kept| Some((kept.unused?, kept))).collect();
    unused.sort_by_key(|(unused, _)| std::cmp::Reverse(*unused));
    let mut gone = Vec::new();
    let mut free = free;
    unused.retain(|(unused, kept)| {
        let old = *unused > UNUSED_MOST;
        if old {
            free = free.saturating_add(kept.archive).saturating_add(kept.files);
            gone.push(Removal::All(kept.name.clone()));
        }
        !old
    });
    let enough = least_free(size).saturating_add(wanted);
    let mut archives = Vec::new();
    for (_, kept) in unused.iter().filter(|(_, kept)| kept.archive > 0) {
        if free < enough {
            free = free.saturating_add(kept.archive);
            archives.push(kept.name.clone());
        }
    }
    let mut whole = Vec::new();
    for (_, kept) in unused {
        if free < enough {
            free = free.saturating_add(kept.files);
            whole.push(kept.name.clone());
        }
    }
    gone.extend(archives.into_iter().filter(|name| !whole.contains(name)).map(Removal::Archive));
    gone.extend(whole.into_iter().map(Removal::All));
    gone
}

/// Whether `wanted` more bytes have room.
pub fn has_room(size: u64, free: u64, wanted: u64) -> bool {
    free >= least_free(size).saturating_add(wanted)
}

fn least_free(size: u64) -> u64 {
    size / 100 * FREE_PERCENT
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn kept(name: &str, archive: u64, files: u64, unused: Option<u64>) -> Kept {
        Kept { name: name.to_owned(), archive, files, unused: unused.map(Duration::from_secs) }
    }

    #[test]
    fn archives_go_before_environments_and_the_oldest_first() {
        let all = [kept("new", 10, 10, Some(1)), kept("old", 10, 10, Some(9)), kept("used", 90, 90, None)];
        let of = |free, wanted| removals(&all, 1000, free, wanted);
        let (archive, whole) =
            (|name: &str| Removal::Archive(name.to_owned()), |name: &str| Removal::All(name.to_owned()));
        assert_eq!(of(100, 50), []);
        assert_eq!(of(100, 60), [archive("old")]);
        assert_eq!(of(100, 70), [archive("old"), archive("new")]);
        assert_eq!(of(100, 71), [archive("new"), whole("old")]);
        assert_eq!(of(0, 500), [whole("old"), whole("new")]);
    }

    #[test]
    fn what_nobody_has_used_for_a_month_goes_in_any_case() {
        let old = UNUSED_MOST.as_secs() + 1;
        let all = [kept("old", 1, 1, Some(old)), kept("used", 1, 1, None), kept("new", 1, 1, Some(5))];
        assert_eq!(removals(&all, 1000, 1000, 0), [Removal::All("old".to_owned())]);
    }

    proptest! {
        #[test]
        fn what_goes_is_unused_and_no_more_than_is_needed(
            sizes in prop::collection::vec((0..1000_u64, 1..1000_u64, prop::option::of(0..1000_u64)), 0..10),
            free in 0..5000_u64,
            wanted in any::<u64>(),
        ) {
            let all: Vec<Kept> = sizes.iter().enumerate()
                .map(|(index, (archive, files, unused))| kept(&index.to_string(), *archive, *files, *unused)).collect();
            let gone = removals(&all, 10_000, free, wanted);
            let find = |name: &String| all.iter().find(|kept| kept.name == *name).expect("of these");
            let freed = |removal: &Removal| match removal {
                Removal::Archive(name) => find(name).archive,
                Removal::All(name) => find(name).archive + find(name).files,
            };
            for removal in &gone {
                let (Removal::Archive(name) | Removal::All(name)) = removal;
                prop_assert!(find(name).unused.is_some());
            }
            let all_freed: u64 = gone.iter().map(freed).sum();
            if has_room(10_000, free, wanted) {
                prop_assert!(gone.is_empty());
            } else if has_room(10_000, free + all_freed, wanted)
                && let Some(Removal::All(last)) = gone.last()
            {
                prop_assert!(!has_room(10_000, free + all_freed - find(last).files, wanted));
            }
        }
    }
}
