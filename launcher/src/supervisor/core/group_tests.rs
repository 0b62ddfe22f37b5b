//! Groups of engines that grow and shrink by themselves, and the nodes that engines of a job leave.

use super::*;
use crate::supervisor::inputs::ControllerWord;

fn core(now: Instant) -> Core {
    let policy = Policy { host: "head".to_owned(), ..super::tests::policy(false) };
    let mut core = Core::new(policy, now);
    core.handle(Input::ControllerSaid(ControllerWord::Listens), now);
    core
}

/// The engines `ids` register from `host`.
fn join(core: &mut Core, ids: std::ops::Range<u32>, host: &str, now: Instant) {
    for id in ids {
        let (uuid, host, address) = (format!("uuid-{id}"), host.to_owned(), String::new());
        let info = EngineInfo { id: EngineId(id), uuid, host, pid: 500 + id, address, birth: None };
        core.handle(Input::EngineJoined(info), now);
    }
}

fn left(core: &mut Core, id: u32, now: Instant) -> Vec<Action> {
    core.handle(Input::EngineLeft { id: EngineId(id), reason: format!("engine {id} was shut down") }, now)
}

#[test]
fn a_group_grows_and_shrinks_by_itself() {
    let now = Instant::now();
    let mut core = core(now);
    let started = core.grow_group(Some("big"), 2, 2).len() + core.grow_group(Some("small"), 3, 3).len();
    let sets: Vec<(&str, u32, u32)> =
        core.sets().map(|set| (set.set.group.as_deref().unwrap_or_default(), set.set.first.0, set.set.count)).collect();
    assert_eq!((started, sets), (2, vec![("big", 0, 2), ("small", 2, 3)]));
    assert_eq!(core.name_of(SetId(1)), "engines 2 to 4 (small)");
    join(&mut core, 0..5, "n1", now);
    assert_eq!((core.wanted_of(Some("big")), core.wanted_of(Some("small")), core.wanted_of(None)), (2, 3, 5));
    assert_eq!(core.shrink_group(Some("big"), 1, |_| 0), Ok(vec![Action::Retire(vec![EngineId(1)])]));
    assert_eq!((core.wanted_of(Some("big")), core.wanted()), (1, 4));
    assert!(core.shrink_group(Some("big"), 2, |_| 0).is_err(), "those of the other are not of it");
}

#[test]
fn nodes_that_the_last_engine_has_left_are_given_back() {
    let now = Instant::now();
    let mut core = core(now);
    core.grow(6, 6);
    for (host, first) in [("n1", 0), ("n2", 2), ("n3", 4)] {
        join(&mut core, first..first + 2, host, now);
    }
    let told = |id: u32| Action::Say(format!("engine {id} was shut down"));
    let vacate = |hosts: &[&str]| Action::Vacate(SetId(0), hosts.iter().map(|host| (*host).to_owned()).collect());
    core.shrink(3, |_| 0).expect("possible");
    assert_eq!(left(&mut core, 5, now), [told(5)]);
    assert_eq!(left(&mut core, 4, now), [told(4), vacate(&["n3"])]);
    assert_eq!(left(&mut core, 3, now), [told(3)], "engine 2 is there");
    core.shrink(1, |_| 0).expect("possible");
    assert_eq!(left(&mut core, 2, now), [told(2), vacate(&["n2", "n3"])], "what was not given back is tried again");
    // A job that ends gives all back.
    core.shrink(2, |_| 0).expect("possible");
    assert_eq!(left(&mut core, 1, now), [told(1)]);
}
